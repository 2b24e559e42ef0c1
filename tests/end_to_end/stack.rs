//! The deployed stack, and what the tests ask of it.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws::{InstallationsTable, OrdersTable, RandomRequestIds, SystemClock, WebhooksTable};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::QueueAttributeName;
use domain::{
    Clock as _, Credential, CredentialDigest, EpochMillis, Installation, InstallationState,
    MerchantId, Millis, OrderId, OrderKey, Orders as _, Provider, RawWebhook, RecordState,
    RequestIds as _, Timeline, WebhookRecord, authenticate, record,
};
use hookctl::dev::{Functions, LocalStack, LocalStackOptions};
use hookctl::{HttpAnswer, WebhookAddress};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use providers::adapter;
use serde_json::{Value, json};
use testkit::Webhook;
use tokio::runtime::Runtime;

use crate::proxy::Proxy;

/// The functions under test.
pub(crate) const BINARIES: [&str; 5] = [
    "armada-webhook",
    "shipday-webhook",
    "order-consumer",
    "webhook-relay",
    "status-publisher",
];
/// How long the stack behind the proxy holds a change back: longer than it takes to take it back.
pub(crate) const HOLD_SECONDS: u16 = 10;
/// How long a condition may take to come true; the schedule alone takes a minute.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked at.
const POLL_EVERY: Duration = Duration::from_millis(50);
/// How often the relay may run for one record.
const RELAY_RUNS: usize = 4;
/// How long a run waits for the consumer before the next: a record that is sent too often is parked.
const CONSUMED_WITHIN: Duration = Duration::from_secs(10);

/// Where `cargo lambda build` puts a function.
pub(crate) fn bootstrap(binary: &str) -> PathBuf {
    lambda_folder().join(binary).join("bootstrap")
}

/// Where cargo puts everything.
pub(crate) fn target_folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it is in the target folder")
}

fn lambda_folder() -> PathBuf {
    target_folder().join("lambda")
}

/// The local stack with everything in it.
pub(crate) struct Stack {
    runtime: Runtime,
    stack: Mutex<Option<LocalStack>>,
    endpoint: String,
    proxy: Option<Proxy>,
    relay_turn: Mutex<()>,
    addresses: HashMap<Provider, WebhookAddress>,
    outputs: HashMap<String, String>,
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
}

/// A merchant of one test, with an installation at each provider.
pub(crate) struct Merchant<'a> {
    stack: &'a Stack,
    pub(crate) id: MerchantId,
    app_id: String,
    token: String,
}

impl Stack {
    /// The template as it is deployed.
    pub(crate) fn start() -> Self {
        Self::start_in("end-to-end", None)
    }

    /// The same with a proxy between functions and services that injects faults on demand.
    pub(crate) fn start_behind_proxy() -> Self {
        Self::start_in("end-to-end-faulty", Some(made_testable))
    }

    /// One for a single test, with the demo installations, as `make up` starts it.
    pub(crate) fn start_for_the_drill() -> Self {
        let drilled = Self::start_in("end-to-end-drill", None);
        drilled
            .with_local_stack(|stack| drilled.wait_for(stack.register_demo_installations()))
            .unwrap();
        drilled
    }

    fn start_in(folder: &str, behind_proxy: Option<fn(&mut Value)>) -> Self {
        for binary in BINARIES {
            assert!(
                bootstrap(binary).is_file(),
                "no bootstrap of {binary}: run `make bootstraps` first"
            );
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let folder = folder.canonicalize().unwrap();
        let proxy = behind_proxy.map(|_| runtime.block_on(Proxy::start(folder.join("tmp"))));
        let options = LocalStackOptions {
            repository: hookctl::repository_root().expect("the tests run in the repository"),
            port: 0,
            functions: Functions::Bootstraps(lambda_folder()),
            enforce_iam: true,
            folder,
            change_template: behind_proxy,
            function_endpoint: proxy.as_ref().map(Proxy::endpoint),
        };
        let stack = runtime
            .block_on(LocalStack::start(options))
            .unwrap_or_else(|error| panic!("{error}"));
        if let Some(proxy) = &proxy {
            proxy.forward_to(stack.endpoint());
        }
        Self {
            proxy,
            addresses: Provider::ALL
                .map(|provider| (provider, stack.webhook_address(provider)))
                .into(),
            endpoint: stack.endpoint().to_owned(),
            relay_turn: Mutex::new(()),
            outputs: stack.outputs().clone().into_iter().collect(),
            dynamodb: stack.dynamodb(),
            sqs: stack.sqs(),
            stack: Mutex::new(Some(stack)),
            runtime,
        }
    }

    /// Ends the stack's processes.
    pub(crate) fn stop(&self) {
        if let Some(stack) = self.stack.lock().unwrap().take() {
            self.runtime.block_on(stack.stop());
        }
    }

    /// The proxy between the functions and the services.
    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy
            .as_ref()
            .expect("this stack was started behind one")
    }

    pub(crate) fn wait_for<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn output(&self, name: &str) -> &str {
        self.outputs
            .get(name)
            .unwrap_or_else(|| panic!("the template has no output {name}"))
    }

    /// A merchant with both installations, active.
    pub(crate) fn merchant(&self, id: &str) -> Merchant<'_> {
        let merchant = Merchant {
            stack: self,
            id: MerchantId::parse(id).unwrap(),
            app_id: format!("app-of-{id}"),
            token: format!("token-of-{id}"),
        };
        for provider in Provider::ALL {
            merchant.install(provider, InstallationState::Active);
        }
        merchant
    }

    /// All records of a merchant.
    pub(crate) fn records(&self, merchant: &MerchantId) -> Vec<HashMap<String, AttributeValue>> {
        let scan = self
            .dynamodb
            .scan()
            .table_name(self.output("WebhooksTableName"))
            .consistent_read(true)
            .filter_expression("merchant_id = :merchant")
            .expression_attribute_values(":merchant", AttributeValue::S(merchant.to_string()))
            .into_paginator()
            .items()
            .send();
        self.wait_for(scan.collect::<Result<Vec<_>, _>>()).unwrap()
    }

    /// How many rows of all tables are about a merchant whose id begins so.
    pub(crate) fn rows_of(&self, merchants: &str) -> usize {
        let tables = [
            "InstallationsTableName",
            "WebhooksTableName",
            "OrdersTableName",
        ];
        let rows = tables.map(|table| {
            let scan = self
                .dynamodb
                .scan()
                .table_name(self.output(table))
                .consistent_read(true)
                .filter_expression("contains(pk, :merchant) OR begins_with(merchant_id, :merchant)")
                .expression_attribute_values(":merchant", AttributeValue::S(merchants.to_owned()))
                .into_paginator()
                .items()
                .send();
            let rows = self.wait_for(scan.collect::<Result<Vec<_>, _>>()).unwrap();
            rows.len()
        });
        rows.iter().sum()
    }

    /// The keys of a merchant's records in the sparse index.
    pub(crate) fn pending(&self, merchant: &MerchantId) -> Vec<String> {
        let table = self.output("WebhooksTableName");
        let scan = self
            .dynamodb
            .scan()
            .table_name(table)
            .index_name("pending")
            .into_paginator()
            .items()
            .send();
        let keys = self.wait_for(scan.collect::<Result<Vec<_>, _>>()).unwrap();
        let of_merchant = |key: &String| key.split('#').nth(1) == Some(merchant.as_str());
        keys.iter()
            .map(|item| item["pk"].as_s().unwrap().clone())
            .filter(of_merchant)
            .collect()
    }

    /// Puts texts into the events queue, all at once.
    pub(crate) fn enqueue(&self, bodies: &[&str]) {
        let entries = bodies.iter().enumerate().map(|(n, body)| {
            aws_sdk_sqs::types::SendMessageBatchRequestEntry::builder()
                .id(n.to_string())
                .message_body(*body)
                .message_group_id("test")
                .build()
                .unwrap()
        });
        let send = self
            .sqs
            .send_message_batch()
            .queue_url(self.output("EventsQueueUrl"));
        let sent = self
            .wait_for(send.set_entries(Some(entries.collect())).send())
            .unwrap();
        assert!(sent.failed().is_empty());
    }

    /// What is in the dead-letter queue, without taking it out for longer than a look.
    pub(crate) fn dead_letters(&self) -> Vec<String> {
        let receive = self
            .sqs
            .receive_message()
            .queue_url(self.output("DeadLetterQueueUrl"));
        let received = receive
            .max_number_of_messages(10)
            .visibility_timeout(0)
            .send();
        let messages = self
            .wait_for(received)
            .unwrap()
            .messages
            .unwrap_or_default();
        messages
            .into_iter()
            .filter_map(|message| message.body)
            .collect()
    }

    /// Calls the relay through Lambda's own API, and gives what it answers.
    pub(crate) fn run_relay(&self) -> Value {
        let _turn = self.no_run_but_the_schedules();
        let name = self.output("WebhookRelayFunctionName");
        let path = format!("/2015-03-31/functions/{name}/invocations");
        serde_json::from_str(&self.ask("lambda", &path, "{}")).unwrap()
    }

    /// Everything that was ever written to the table of orders, as its stream tells it.
    pub(crate) fn orders_stream(&self) -> Vec<Value> {
        let ask = |operation: &str, question: Value| -> Value {
            let target = format!("DynamoDBStreams_20120810.{operation}");
            let headers = [("x-amz-target", target.as_str())];
            let answer = self.ask_with("dynamodb", "/", &headers, &question.to_string());
            serde_json::from_str(&answer).unwrap()
        };
        let table = json!({ "TableName": self.output("OrdersTableName") });
        let streams = ask("ListStreams", table);
        let stream = &streams["Streams"][0]["StreamArn"];
        let description = ask("DescribeStream", json!({ "StreamArn": stream }));
        let shard = &description["StreamDescription"]["Shards"][0]["ShardId"];
        let beginning = json!({
            "StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON",
        });
        let mut next = ask("GetShardIterator", beginning)["ShardIterator"].take();
        let mut records = Vec::new();
        loop {
            let mut page = ask("GetRecords", json!({ "ShardIterator": next }));
            match page["Records"].take() {
                Value::Array(page) if !page.is_empty() => records.extend(page),
                _ => return records,
            }
            next = page["NextShardIterator"].take();
        }
    }

    /// An order, as it is stored.
    pub(crate) fn timeline(&self, order: &OrderKey) -> Timeline {
        self.wait_for(self.orders().read(order)).unwrap()
    }

    /// Asks a service for which there is no client here, as the owner of the account.
    pub(crate) fn ask(&self, service: &str, path: &str, body: &str) -> String {
        self.ask_with(service, path, &[], body)
    }

    fn ask_with(
        &self,
        service: &str,
        path: &str,
        more_headers: &[(&str, &str)],
        body: &str,
    ) -> String {
        let address = WebhookAddress {
            url: format!("{}{path}", self.endpoint),
            host: None,
        };
        // Says which service is meant and who asks; signatures are not checked.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, \
             SignedHeaders=host, Signature=0"
        );
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let headers = [&headers, more_headers].concat();
        let answer = hookctl::post(&address, &headers, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Asks a service in the form of its query API.
    pub(crate) fn query(&self, service: &str, version: &str, fields: &[(&str, &str)]) -> String {
        let form: Vec<String> = fields
            .iter()
            .chain(&[("Version", version)])
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        self.ask(service, "/", &form.join("&"))
    }

    /// Where the services are.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The name of the event bus.
    pub(crate) fn bus(&self) -> &str {
        self.output("OrderEventsBusName")
    }

    /// The client of SQS, for queues of a test's own.
    pub(crate) fn sqs(&self) -> &aws_sdk_sqs::Client {
        &self.sqs
    }

    /// Lets the time pass after which a merchant's pending records are due.
    pub(crate) fn make_due(&self, merchant: &MerchantId) {
        for key in self.pending(merchant) {
            let update = self
                .dynamodb
                .update_item()
                .table_name(self.output("WebhooksTableName"))
                .key("pk", AttributeValue::S(key))
                .condition_expression("attribute_exists(pending_shard)")
                .update_expression("SET due_at_ms = received_at_ms");
            let updated = self.wait_for(update.send());
            if let Err(error) = updated {
                // It was closed meanwhile.
                let error = error.into_service_error();
                assert!(error.is_conditional_check_failed_exception(), "{error}");
            }
        }
    }

    /// Lets time pass and the relay run until none of a merchant's records is pending.
    pub(crate) fn relay_until_closed(&self, merchant: &MerchantId) {
        for _ in 0..RELAY_RUNS {
            if self.pending(merchant).is_empty() {
                return;
            }
            self.make_due(merchant);
            self.run_relay();
            within(CONSUMED_WITHIN, || {
                self.pending(merchant).is_empty().then_some(())
            });
        }
        panic!("{merchant} has pending records after {RELAY_RUNS} runs");
    }

    /// How many messages the events queue holds, taken or not.
    pub(crate) fn queued(&self) -> usize {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let attributes = self
            .sqs
            .get_queue_attributes()
            .queue_url(self.output("EventsQueueUrl"))
            .set_attribute_names(Some(counts.to_vec()));
        let answer = self.wait_for(attributes.send()).unwrap();
        let all = answer.attributes.unwrap();
        counts
            .iter()
            .map(|count| all[count].parse::<usize>().unwrap())
            .sum()
    }

    /// Waits until the events queue is.
    pub(crate) fn queue_is_empty(&self) {
        eventually("the queue is empty", || (self.queued() == 0).then_some(()));
    }

    /// While it is held, no test starts a run of the relay, and a run that happens is the schedule's.
    pub(crate) fn no_run_but_the_schedules(&self) -> MutexGuard<'_, ()> {
        // A test that failed while it held this has left nothing half done.
        self.relay_turn
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn orders(&self) -> OrdersTable {
        OrdersTable::new(self.dynamodb.clone(), self.output("OrdersTableName"))
    }

    pub(crate) fn webhooks(&self) -> WebhooksTable {
        WebhooksTable::new(self.dynamodb.clone(), self.output("WebhooksTableName"))
    }

    /// Puts a text into the dead-letter queue.
    pub(crate) fn bury(&self, body: &str, group: &str) {
        let send = self
            .sqs
            .send_message()
            .queue_url(self.output("DeadLetterQueueUrl"))
            .message_body(body)
            .message_group_id(group);
        self.wait_for(send.send()).unwrap();
    }

    /// Takes everything out of the dead-letter queue.
    pub(crate) fn forget_dead_letters(&self) {
        let purge = self
            .sqs
            .purge_queue()
            .queue_url(self.output("DeadLetterQueueUrl"));
        self.wait_for(purge.send()).unwrap();
    }

    /// Makes the body of a record unreadable.
    pub(crate) fn damage_body(&self, key: &str) {
        let update = self
            .dynamodb
            .update_item()
            .table_name(self.output("WebhooksTableName"))
            .key("pk", AttributeValue::S(key.to_owned()))
            .update_expression("SET body = :body")
            .expression_attribute_values(":body", AttributeValue::B(Blob::new([0xff])));
        self.wait_for(update.send()).unwrap();
    }

    /// The name of its CloudFormation stack.
    pub(crate) fn stack_name(&self) -> &'static str {
        let stack = self.stack.lock().unwrap();
        stack.as_ref().expect("it is not stopped yet").stack_name()
    }

    /// A `hookctl` for this stack, as its operator would have it.
    pub(crate) fn hookctl(&self) -> Command {
        self.environment(crate::repair::hookctl())
    }

    /// A program that knows this stack and its keys, and nothing else of this machine.
    pub(crate) fn environment(&self, program: Command) -> Command {
        let mut program = crate::repair::knowing_nothing(program);
        self.with_local_stack(|stack| {
            program
                .env("AWS_ENDPOINT_URL", stack.endpoint())
                .env("HOOKCTL_STACK_NAME", stack.stack_name())
                .env("HOOKCTL_FUNCTION_ENDPOINT", stack.function_endpoint());
        });
        program
    }

    fn with_local_stack<T>(&self, work: impl FnOnce(&LocalStack) -> T) -> T {
        let stack = self.stack.lock().unwrap();
        work(stack.as_ref().expect("it is not stopped yet"))
    }
}

impl Merchant<'_> {
    pub(crate) fn credential(&self, provider: Provider) -> CredentialDigest {
        match provider {
            Provider::Armada => Credential::armada_installation(&self.app_id, "installation"),
            Provider::Shipday => Credential::single(&self.token),
        }
        .digest(provider)
    }

    /// Registers the merchant's installation, or sets the state of a registered one.
    pub(crate) fn install(&self, provider: Provider, state: InstallationState) {
        let table = InstallationsTable::new(
            self.stack.dynamodb.clone(),
            self.stack.output("InstallationsTableName"),
        );
        let installation = self.installation(provider, state);
        self.stack.wait_for(table.register(&installation)).unwrap();
        assert!(
            self.stack
                .wait_for(table.set_state(&installation.credential, state))
                .unwrap()
        );
    }

    fn installation(&self, provider: Provider, state: InstallationState) -> Installation {
        Installation {
            credential: self.credential(provider),
            merchant_id: self.id.clone(),
            state,
            label: "end to end".to_owned(),
            created_at_ms: EpochMillis::new(0),
            not_after_ms: None,
            url_key_sha256: None,
            company_id: None,
        }
    }

    /// Leaves a webhook behind as a function does that ends between its put and its send: recorded ten
    /// minutes ago, as pending, and never sent.
    pub(crate) fn record_without_sending(&self, webhook: Webhook) {
        let adapter = adapter(webhook.provider);
        let webhook = self.signed(webhook);
        let received_at_ms = EpochMillis::new(
            SystemClock.now_ms().as_millis() - Millis::from_seconds(600).as_millis(),
        );
        let raw = RawWebhook {
            provider: webhook.provider,
            headers: webhook
                .headers
                .into_iter()
                .filter(|(name, _)| adapter.retained_headers().contains(&name.as_str()))
                .collect(),
            url_key: None,
            body: webhook.body,
            received_at_ms,
        };
        let installation = self.installation(webhook.provider, InstallationState::Active);
        let webhook = authenticate(raw, Some(&installation)).unwrap();
        let reading = adapter.read(&webhook);
        let new = WebhookRecord::new(&webhook, &reading, RandomRequestIds.draw());
        let table = WebhooksTable::new(
            self.stack.dynamodb.clone(),
            self.stack.output("WebhooksTableName"),
        );
        let put = record(&table, &new, RecordState::Pending, reading.order.as_ref());
        self.stack.wait_for(put).unwrap();
    }

    /// Makes a webhook the merchant's own.
    pub(crate) fn signed(&self, webhook: Webhook) -> Webhook {
        match webhook.provider {
            Provider::Armada => webhook
                .with_header("x-armada-app-id", &self.app_id)
                .with_header("x-armada-installation-id", "installation"),
            Provider::Shipday => webhook.with_header("token", &self.token),
        }
    }

    /// Sends a webhook of the merchant through the HTTP API.
    pub(crate) fn send(&self, webhook: Webhook) -> HttpAnswer {
        self.send_as_is(&self.signed(webhook))
    }

    /// Sends a webhook with whatever credential it has.
    pub(crate) fn send_as_is(&self, webhook: &Webhook) -> HttpAnswer {
        self.post(&self.stack.addresses[&webhook.provider], webhook)
    }

    /// Sends a webhook to another path of the API.
    pub(crate) fn send_to(&self, path: &str, webhook: &Webhook) -> HttpAnswer {
        let address = &self.stack.addresses[&webhook.provider];
        let own_path = format!("/webhooks/{}", webhook.provider);
        let url = address.url.replace(&own_path, path);
        assert_ne!(url, address.url);
        self.post(
            &WebhookAddress {
                url,
                ..address.clone()
            },
            webhook,
        )
    }

    fn post(&self, address: &WebhookAddress, webhook: &Webhook) -> HttpAnswer {
        let headers: Vec<(&str, &str)> = webhook
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        hookctl::post(address, &headers, &webhook.body).unwrap()
    }

    /// An order of the merchant as it is stored now.
    pub(crate) fn order(&self, provider: Provider, order: &str) -> Timeline {
        let key = OrderKey {
            merchant_id: self.id.clone(),
            provider,
            order_id: OrderId::parse(order).unwrap(),
        };
        self.stack.timeline(&key)
    }

    /// Waits until an order has so many events, its state says so, and none of the merchant's records is pending.
    #[track_caller]
    pub(crate) fn order_with(&self, events: usize, provider: Provider, order: &str) -> Timeline {
        eventually(&format!("{order} has {events} events"), || {
            let timeline = self.order(provider, order);
            let counted = timeline.state.as_ref().map(|state| state.event_count);
            (counted == Some(events) && self.stack.pending(&self.id).is_empty()).then_some(timeline)
        })
    }
}

/// Waits until a condition gives a value.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, condition: impl Fn() -> Option<T>) -> T {
    match within(PATIENCE, condition) {
        Some(value) => value,
        None => panic!("not within {} s: {what}", PATIENCE.as_secs()),
    }
}

/// The value of a condition, if it gives one in time.
fn within<T>(time: Duration, condition: impl Fn() -> Option<T>) -> Option<T> {
    for _ in 0..time.as_millis() / POLL_EVERY.as_millis() {
        if let Some(value) = condition() {
            return Some(value);
        }
        std::thread::sleep(POLL_EVERY);
    }
    None
}

/// A message that a killed consumer held comes again within seconds, not after six times the consumer's timeout,
/// the relay runs only when a test says so, and the publisher holds changes back.
fn made_testable(template: &mut Value) {
    let resources = &mut template["Resources"];
    resources["EventsQueue"]["Properties"]["VisibilityTimeout"] = json!(3);
    resources["HoldQueue"]["Properties"]["VisibilityTimeout"] = json!(3);
    let events = &mut resources["WebhookRelayFunction"]["Properties"]["Events"];
    events["EveryMinute"]["Properties"]["State"] = json!("DISABLED");
    template["Parameters"]["HoldSeconds"]["Default"] = json!(HOLD_SECONDS);
}
