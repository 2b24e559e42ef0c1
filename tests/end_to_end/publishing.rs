//! From a provider's request to what a subscriber's rule hears.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use domain::{OrderId, OrderKey, Provider, Status, StatusChange};
use serde_json::{Value, json};

use crate::proxy::{Calls, Fault};
use crate::stack::{Merchant, Stack, eventually};
use crate::tests;
use crate::webhooks::{answered, shipday};

tests![
    a_rule_hears_of_each_change_once_whatever_comes_twice_or_late,
    the_example_sends_an_email_for_a_failed_delivery_and_for_no_other,
    an_operator_has_an_order_told_again,
    an_endpoint_gets_the_change_alone_with_its_key,
];

/// On the stack that holds changes back.
pub(crate) const HELD: &[(&str, crate::Test)] = &[
    (
        "a_delivery_that_is_taken_back_in_time_is_not_told",
        a_delivery_that_is_taken_back_in_time_is_not_told,
    ),
    (
        "a_publisher_that_is_killed_publishes_all_the_same",
        a_publisher_that_is_killed_publishes_all_the_same,
    ),
];

const ORDER: u64 = 7;
const MINUTE: u64 = 60_000;
const POSTED_WITHIN: Duration = Duration::from_secs(60);

/// A queue of a test's own.
pub(crate) struct Queue<'a> {
    stack: &'a Stack,
    url: String,
    heard: RefCell<Vec<Value>>,
}

impl Queue<'_> {
    /// Takes what is in the queue, and gives all that ever was in it.
    fn heard(&self) -> Vec<Value> {
        let receive = self
            .stack
            .sqs()
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10);
        let received = self.stack.wait_for(receive.send()).unwrap();
        for message in received.messages() {
            let body = message.body().unwrap();
            let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
            self.heard.borrow_mut().push(body);
            let delete = self.stack.sqs().delete_message().queue_url(&self.url);
            let handle = message.receipt_handle().unwrap();
            self.stack
                .wait_for(delete.receipt_handle(handle).send())
                .unwrap();
        }
        self.heard.borrow().clone()
    }

    /// The events that it heard about an order of a merchant.
    pub(crate) fn changes(&self, merchant: &Merchant<'_>) -> Vec<StatusChange> {
        self.heard()
            .into_iter()
            .map(|event| {
                assert_eq!(event["source"], "delivery-webhooks");
                assert_eq!(event["detail-type"], "OrderStatusChanged");
                serde_json::from_value(event["detail"].clone()).unwrap()
            })
            .filter(|change: &StatusChange| change.merchant_id == merchant.id)
            .collect()
    }
}

/// Deploys a template, and waits until it stands.
fn deploy(stack: &Stack, name: &str, template: &str, parameters: &[(&str, &str)]) {
    let mut fields = vec![
        ("Action".to_owned(), "CreateStack".to_owned()),
        ("StackName".to_owned(), name.to_owned()),
        ("TemplateBody".to_owned(), template.to_owned()),
    ];
    for (number, (parameter, value)) in parameters.iter().enumerate() {
        let member = format!("Parameters.member.{}", number + 1);
        fields.push((format!("{member}.ParameterKey"), (*parameter).to_owned()));
        fields.push((format!("{member}.ParameterValue"), (*value).to_owned()));
    }
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    stack.query("cloudformation", "2010-05-15", &fields);
    eventually(&format!("{name} stands"), || {
        description(stack, name)
            .contains("CREATE_COMPLETE")
            .then_some(())
    });
}

fn description(stack: &Stack, name: &str) -> String {
    let fields = [("Action", "DescribeStacks"), ("StackName", name)];
    let description = stack.query("cloudformation", "2010-05-15", &fields);
    assert!(!description.contains("ROLLBACK"), "{description}");
    description
}

fn output(stack: &Stack, name: &str) -> String {
    let description = description(stack, name);
    let (_, value) = description.split_once("<OutputValue>").expect("an output");
    let (value, _) = value.split_once("</OutputValue>").expect("its end");
    value.to_owned()
}

/// A queue that hears of everything on the bus.
pub(crate) fn listening<'a>(stack: &'a Stack, name: &str) -> Queue<'a> {
    let rule = json!({
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventBusName": stack.bus(),
            "EventPattern": { "source": ["delivery-webhooks"] },
            "Targets": [{ "Id": "queue", "Arn": { "Fn::GetAtt": ["Queue", "Arn"] } }],
        },
    });
    queue_fed_by(stack, name, "events.amazonaws.com", &rule)
}

/// A queue that gets what a topic sends.
fn mailbox<'a>(stack: &'a Stack, name: &str, topic: &str) -> Queue<'a> {
    let subscription = json!({
        "Type": "AWS::SNS::Subscription",
        "Properties": {
            "TopicArn": topic,
            "Protocol": "sqs",
            "Endpoint": { "Fn::GetAtt": ["Queue", "Arn"] },
        },
    });
    queue_fed_by(stack, name, "sns.amazonaws.com", &subscription)
}

fn queue_fed_by<'a>(stack: &'a Stack, name: &str, service: &str, feed: &Value) -> Queue<'a> {
    let policy = json!({
        "Queues": [{ "Ref": "Queue" }],
        "PolicyDocument": { "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": service },
            "Action": "sqs:SendMessage",
            "Resource": { "Fn::GetAtt": ["Queue", "Arn"] },
        }] },
    });
    let template = json!({
        "Resources": {
            "Queue": { "Type": "AWS::SQS::Queue" },
            "Policy": { "Type": "AWS::SQS::QueuePolicy", "Properties": policy },
            "Feed": feed,
        },
        "Outputs": { "QueueUrl": { "Value": { "Ref": "Queue" } } },
    });
    deploy(stack, name, &template.to_string(), &[]);
    Queue {
        stack,
        url: output(stack, name),
        heard: RefCell::default(),
    }
}

/// Sends the events of an order, minute by minute.
fn live(merchant: &Merchant<'_>, order: u64, steps: &[(u64, &str, &str)]) {
    for (minute, event, status) in steps {
        let at = 1_767_816_000_000 + minute * MINUTE;
        let answer = merchant.send(shipday(order, event, status, at));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

fn told(changes: &[StatusChange]) -> Vec<(Option<Status>, Status)> {
    changes
        .iter()
        .map(|change| (change.from, change.to))
        .collect()
}

fn a_rule_hears_of_each_change_once_whatever_comes_twice_or_late(stack: &Stack) {
    let merchant = stack.merchant("subscribed");
    let queue = listening(stack, "subscribed");

    live(
        &merchant,
        ORDER,
        &[
            (5, "ORDER_PIKEDUP", "PICKED_UP"),
            (1, "ORDER_ASSIGNED", "NOT_ACCEPTED"),
            (5, "ORDER_PIKEDUP", "PICKED_UP"),
        ],
    );
    merchant.order_with(2, Provider::Shipday, &ORDER.to_string());
    live(
        &merchant,
        ORDER,
        &[
            (2, "ORDER_ACCEPTED_AND_STARTED", "STARTED"),
            (9, "ORDER_COMPLETED", "ALREADY_DELIVERED"),
            (9, "ORDER_COMPLETED", "ALREADY_DELIVERED"),
        ],
    );
    let timeline = merchant.order_with(4, Provider::Shipday, &ORDER.to_string());

    let changes = eventually("the delivery is told", || {
        let changes = queue.changes(&merchant);
        let last = changes.last()?.to;
        (last == Status::Delivered).then_some(changes)
    });
    // What two messages at once made of the order's first moment is not promised; that it fits together is.
    let mut before = None;
    let mut revision = 0;
    for change in &changes {
        assert_eq!(change.from, before, "{:?}", told(&changes));
        assert!(change.revision > revision, "{changes:?}");
        assert!(!change.corrected && !change.republished);
        (before, revision) = (Some(change.to), change.revision);
    }
    assert!(told(&changes).contains(&(Some(Status::PickedUp), Status::Delivered)));
    let ids: BTreeMap<_, _> = changes
        .iter()
        .map(|change| (change.id.as_str(), change.revision))
        .collect();
    assert_eq!(ids.len(), changes.len(), "each once");
    let (last, state) = (changes.last().unwrap(), timeline.state.unwrap());
    assert_eq!(Some(last.occurred_at_ms), state.status_since_ms);
    assert_eq!(last.received_at_ms, state.status_received_at_ms);
    assert!(last.received_at_ms.is_some());
    assert!(last.driver.is_none() && last.tracking_url.is_none());
}

fn the_example_sends_an_email_for_a_failed_delivery_and_for_no_other(stack: &Stack) {
    let merchant = stack.merchant("emailed");
    let queue = listening(stack, "emailed-too");
    let example = include_str!("../../docs/examples/email-on-failed.yaml");
    let parameters = [("Bus", stack.bus()), ("Email", "someone@example.com")];
    deploy(stack, "email-on-failed", example, &parameters);
    let topic = output(stack, "email-on-failed");
    // What the topic sends by e-mail, it sends here as well.
    let mailbox = mailbox(stack, "mailbox", &topic);

    live(&merchant, 1, &[(1, "ORDER_COMPLETED", "ALREADY_DELIVERED")]);
    live(
        &merchant,
        2,
        &[
            (1, "ORDER_PIKEDUP", "PICKED_UP"),
            (2, "ORDER_FAILED", "FAILED_DELIVERY"),
        ],
    );

    let failed = eventually("the failure is told", || {
        let changes = queue.changes(&merchant);
        changes
            .into_iter()
            .find(|change| change.to == Status::Failed)
    });
    let of_merchant = |mail: &Value| mail["Message"].as_str().unwrap().contains("emailed");
    let mails = eventually("an e-mail is sent", || {
        let mails = mailbox.heard();
        mails.iter().any(of_merchant).then_some(mails)
    });
    let mails: Vec<_> = mails.into_iter().filter(of_merchant).collect();
    let text = format!(
        "Order 2 of emailed (shipday) failed. Change {}, revision {}.",
        failed.id.as_str(),
        failed.revision
    );
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert!(
        mails[0]["Message"].as_str().unwrap().contains(&text),
        "{mails:?}"
    );
}

fn an_operator_has_an_order_told_again(stack: &Stack) {
    let merchant = stack.merchant("told-again");
    live(&merchant, 1, &[(1, "ORDER_PIKEDUP", "PICKED_UP")]);
    merchant.order_with(1, Provider::Shipday, "1");
    let queue = listening(stack, "told-again");

    let hookctl = |words: &[&str]| {
        let mut command = stack.hookctl();
        let said = command.args(["order", "republish"]).args(words).output();
        let said = said.unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    };
    let again = |times: usize| {
        eventually(&format!("the order is told again, {times} times"), || {
            let mut changes = queue.changes(&merchant);
            changes.retain(|change| change.republished);
            (changes.len() == times).then_some(changes)
        })
    };

    hookctl(&["told-again", "shipday", "1"]);
    let change = again(1).remove(0);
    assert_eq!((change.from, change.to), (None, Status::PickedUp));

    let since = |time: &str, more: &[&str]| {
        hookctl(&[&["--since", time, "--merchant", "told-again"], more].concat())
    };
    assert!(since("2126-01-01T00:00:00Z", &["--yes"]).contains("0 order(s)"));
    assert!(since("2026-01-01T00:00:00Z", &[]).contains("1 order(s)"));
    since("2026-01-01T00:00:00Z", &["--yes"]);
    assert_eq!(again(2)[1].id, change.id, "and a dry run tells nobody");
}

/// What is posted to an address of this machine: headers and body of each request.
struct Endpoint {
    url: String,
    posted: Receiver<(String, Value)>,
}

impl Endpoint {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/orders", listener.local_addr().unwrap());
        let (sender, posted) = mpsc::channel();
        // It ends with the tests.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let request = answered_request(&connection.unwrap());
                if sender.send(request).is_err() {
                    return;
                }
            }
        });
        Self { url, posted }
    }

    fn next(&self) -> (String, Value) {
        self.posted.recv_timeout(POSTED_WITHIN).unwrap()
    }
}

fn answered_request(mut connection: &TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let head = head.to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
    connection.write_all(answer).unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

fn an_endpoint_gets_the_change_alone_with_its_key(stack: &Stack) {
    let merchant = stack.merchant("endpoint");
    let (first, second) = (Endpoint::start(), Endpoint::start());
    let tell = |words: &[&str]| {
        let mut command = stack.hookctl();
        command.args(["dev", "endpoint", "--service-endpoint", stack.endpoint()]);
        let said = command.args(words).output().unwrap();
        assert!(said.status.success(), "{said:?}");
    };
    let merchant_of = |body: &Value| body["merchant_id"].as_str().unwrap().to_owned();
    // Other tests' orders are posted too.
    let of_merchant = |endpoint: &Endpoint| {
        std::iter::repeat_with(|| endpoint.next())
            // Those of a smoke run are none of a merchant's business.
            .inspect(|(_, body)| assert!(!merchant_of(body).starts_with("smoke-test-"), "{body}"))
            .find(|(_, body)| merchant_of(body) == "endpoint")
            .unwrap()
    };

    tell(&[&first.url, "--key", "key-of-the-first"]);
    let smoke = stack.hookctl().args(["smoke", "--timeout=60"]).status();
    assert!(smoke.unwrap().success());
    live(&merchant, 1, &[(1, "ORDER_PIKEDUP", "PICKED_UP")]);
    let (head, body) = of_merchant(&first);
    assert!(head.starts_with("post /orders http/1.1\r\n"), "{head}");
    assert!(
        head.contains("\r\nx-api-key: key-of-the-first\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\ncontent-type: application/json"),
        "{head}"
    );
    let change: StatusChange = serde_json::from_value(body).unwrap();
    assert_eq!(told(&[change]), [(None, Status::PickedUp)]);

    tell(&[&second.url]);
    live(&merchant, 1, &[(2, "ORDER_FAILED", "FAILED_DELIVERY")]);
    let (_, body) = of_merchant(&second);
    assert_eq!(
        (&body["to"], &body["revision"]),
        (&json!("failed"), &json!(2))
    );

    tell(&["--off"]);
    let queue = listening(stack, "endpoint");
    live(&merchant, 2, &[(1, "ORDER_PIKEDUP", "PICKED_UP")]);
    eventually("it is told elsewhere", || queue.changes(&merchant).pop());
    for endpoint in [first, second] {
        let late = endpoint.posted.try_iter();
        assert_eq!(
            late.filter(|(_, body)| body["merchant_id"] == "endpoint")
                .count(),
            0
        );
    }
}

fn a_delivery_that_is_taken_back_in_time_is_not_told(stack: &Stack) {
    let merchant = stack.merchant("taken-back");
    let queue = listening(stack, "taken-back");

    live(&merchant, ORDER, &[(1, "ORDER_PIKEDUP", "PICKED_UP")]);
    merchant.order_with(1, Provider::Shipday, "7");
    live(
        &merchant,
        ORDER,
        &[(2, "ORDER_COMPLETED", "ALREADY_DELIVERED")],
    );
    merchant.order_with(2, Provider::Shipday, "7");
    live(&merchant, ORDER, &[(3, "ORDER_FAILED", "FAILED_DELIVERY")]);
    merchant.order_with(3, Provider::Shipday, "7");

    let changes = eventually("the failure is told", || {
        let changes = queue.changes(&merchant);
        changes
            .iter()
            .any(|change| change.to == Status::Failed)
            .then_some(changes)
    });
    assert_eq!(
        told(&changes),
        [
            (None, Status::PickedUp),
            (Some(Status::PickedUp), Status::Failed),
        ]
    );
}

fn a_publisher_that_is_killed_publishes_all_the_same(stack: &Stack) {
    let queue = listening(stack, "killed");
    for (when, fault) in [
        ("before", Fault::KilledBefore),
        ("after", Fault::KilledAfter),
    ] {
        for operation in ["PutEvents", "GetItem", "UpdateItem"] {
            let name = format!("publisher-dies-{when}-{}", operation.to_lowercase());
            let merchant = stack.merchant(&name);
            let operations: &'static [&'static str] = match operation {
                "PutEvents" => &["PutEvents"],
                "GetItem" => &["GetItem"],
                _ => &["UpdateItem"],
            };
            let calls = Calls::by("status-publisher").to(operations).about(&name);
            let killed = stack.proxy().next(1, calls, fault);

            let webhook = shipday(1, "ORDER_PIKEDUP", "PICKED_UP", 1_767_816_000_000);
            answered(&merchant.send(webhook), 200, "accepted");

            let change = eventually(&format!("{name} is told"), || {
                queue.changes(&merchant).pop()
            });
            assert_eq!(
                told(std::slice::from_ref(&change)),
                [(None, Status::PickedUp)]
            );
            let key = OrderKey {
                merchant_id: merchant.id.clone(),
                provider: Provider::Shipday,
                order_id: OrderId::parse("1").unwrap(),
            };
            assert_eq!(change.id, domain::ChangeId::of(&key, change.revision));
            // A call that comes after the publishing is only met when it was told.
            eventually(&format!("{name} was killed"), || {
                (killed.met() == 1).then_some(())
            });
        }
    }
}
