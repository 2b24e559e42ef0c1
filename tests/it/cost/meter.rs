//! What calls cost: every request to DynamoDB and SQS with what it consumes.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
    BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::get_item::GetItemInput;
use aws_sdk_dynamodb::operation::put_item::PutItemInput;
use aws_sdk_dynamodb::operation::query::QueryInput;
use aws_sdk_dynamodb::operation::update_item::UpdateItemInput;
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use domain::{
    DeadLetters, EventBatches, EventQueue, MerchantId, PortError, QueueMessage, Redelivery,
};
use serde_json::{Map, Value, json};
use testkit::{Queued, World};

use crate::strict_dynamodb::Database;

/// A write of so many bytes is one unit.
const WRITE_UNIT_BYTES: usize = 1_024;
/// A message, or a batch of them, is billed as one request for each started chunk of so many bytes.
const SQS_CHUNK_BYTES: usize = 64 * 1_024;

/// One request to DynamoDB or SQS.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Call {
    /// Such as `PutItem`.
    pub(super) operation: String,
    /// The table or queue.
    pub(super) target: String,
    /// Whether its condition failed. DynamoDB bills the item that stands there.
    pub(super) refused: bool,
    /// Read units, of the table and its indexes.
    pub(super) read_units: f64,
    /// Write units of the table.
    pub(super) write_units: f64,
    /// Write units of its indexes.
    pub(super) index_units: f64,
    /// How many requests SQS bills.
    pub(super) queue_requests: usize,
    /// The item that was written, or stood in the way; the message or messages of a request to SQS.
    pub(super) item_bytes: usize,
    /// The body of the request, without what only the meter asked for.
    pub(super) request_bytes: usize,
    /// The body of the answer, without what only the meter asked for.
    pub(super) response_bytes: usize,
}

/// Every call since it was last read. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Meter {
    /// A client whose calls are counted.
    pub(super) fn client(&self, database: &Database) -> Client {
        let counted = Counted {
            meter: self.clone(),
            storage: Storage(database.storage.clone()),
        };
        let config = database.client.config().to_builder().interceptor(counted);
        Client::from_conf(config.build())
    }

    fn count(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }

    fn count_queue(&self, operation: &str, target: &str, bytes: usize) {
        self.count(Call {
            operation: operation.to_owned(),
            target: target.to_owned(),
            queue_requests: bytes.div_ceil(SQS_CHUNK_BYTES).max(1),
            item_bytes: bytes,
            ..Call::default()
        });
    }

    /// Counts what Lambda's pollers do for a batch that they hand to the consumer.
    pub(super) fn count_delivery(&self, batch: &[Queued]) {
        let bytes = batch.iter().map(|message| message.body.len()).sum();
        self.count_queue("ReceiveMessage", "EventsQueue", bytes);
        self.count_queue("DeleteMessageBatch", "EventsQueue", 0);
    }

    /// The calls since it was last read.
    pub(super) fn read(&self) -> Calls {
        Calls(std::mem::take(&mut *self.calls.lock().unwrap()))
    }
}

/// Some calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Calls(pub(super) Vec<Call>);

impl Calls {
    /// The sum over the calls of a target; of all with an empty name.
    pub(super) fn sum(&self, target: &str, of: impl Fn(&Call) -> f64) -> f64 {
        let of_target = |call: &&Call| target.is_empty() || call.target == target;
        self.0.iter().filter(of_target).map(of).sum()
    }

    pub(super) fn read_units(&self) -> f64 {
        self.sum("", |call| call.read_units)
    }

    /// Of tables and indexes.
    pub(super) fn write_units(&self) -> f64 {
        self.sum("", |call| call.write_units + call.index_units)
    }

    pub(super) fn queue_requests(&self) -> f64 {
        self.sum("", |call| call.queue_requests as f64)
    }

    /// The largest item of a call.
    pub(super) fn item_bytes(&self, operation: &str, target: &str) -> usize {
        let calls = self.0.iter();
        let calls = calls.filter(|call| call.operation == operation && call.target == target);
        calls.map(|call| call.item_bytes).max().unwrap_or_default()
    }

    /// A table of the calls: equal operations on one target are one line, with the bytes of the largest.
    pub(super) fn table(&self) -> String {
        let mut lines: Vec<(String, &str, usize, Call)> = Vec::new();
        for call in &self.0 {
            let refused = if call.refused { " (refused)" } else { "" };
            let operation = format!("{}{refused}", call.operation);
            let known = lines
                .iter_mut()
                .find(|line| line.0 == operation && line.1 == call.target);
            match known {
                Some((_, _, times, sum)) => {
                    *times += 1;
                    add(sum, call);
                }
                None => lines.push((operation, &call.target, 1, call.clone())),
            }
        }
        let mut text = format!(
            "{:<22} {:<18} {:>5} {:>5} {:>5} {:>5} {:>5} {:>7} {:>7} {:>7}\n",
            "call", "on", "times", "read", "write", "index", "queue", "item", "sent", "answer"
        );
        for (operation, target, times, call) in &lines {
            let Call {
                item_bytes,
                request_bytes,
                response_bytes,
                ..
            } = call;
            let _ = writeln!(
                text,
                "{operation:<22} {target:<18} {times:>5} {:>5} {:>5} {:>5} {:>5} {item_bytes:>7} {request_bytes:>7} {response_bytes:>7}",
                call.read_units, call.write_units, call.index_units, call.queue_requests
            );
        }
        let index_units = self.sum("", |call| call.index_units);
        let _ = writeln!(
            text,
            "{:<41} {:>5} {:>5} {:>5} {index_units:>5} {:>5}",
            "all",
            self.0.len(),
            self.read_units(),
            self.write_units() - index_units,
            self.queue_requests()
        );
        text
    }
}

fn add(sum: &mut Call, call: &Call) {
    sum.read_units += call.read_units;
    sum.write_units += call.write_units;
    sum.index_units += call.index_units;
    sum.queue_requests += call.queue_requests;
    sum.item_bytes = sum.item_bytes.max(call.item_bytes);
    sum.request_bytes = sum.request_bytes.max(call.request_bytes);
    sum.response_bytes = sum.response_bytes.max(call.response_bytes);
}

/// The database past the client, so that looking into it costs nothing.
struct Storage(dynoxide::Database);

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Storage")
    }
}

impl Storage {
    /// The size of the item that a write was about, as DynamoDB counts it; 0 when there is none.
    fn item_bytes(&self, table: &str, key: &Value) -> usize {
        let request = json!({ "TableName": table, "Key": key, "ConsistentRead": true });
        let answer = self.0.get_item(serde_json::from_value(request).unwrap());
        let answer = serde_json::to_value(answer.unwrap()).unwrap();
        answer.get("Item").map_or(0, |item| {
            let item = serde_json::from_value(item.clone()).unwrap();
            dynoxide::types::item_size(&item)
        })
    }
}

/// A request on its way: the client gives it away with the attempt.
#[derive(Debug)]
struct Asked {
    operation: String,
    body: Map<String, Value>,
}

impl Storable for Asked {
    type Storer = StoreReplace<Self>;
}

/// Asks every call what it consumed, and tells the meter.
#[derive(Debug)]
struct Counted {
    meter: Meter,
    storage: Storage,
}

impl Intercept for Counted {
    fn name(&self) -> &'static str {
        "meter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let input = context.input_mut();
        let asked = Some(ReturnConsumedCapacity::Indexes);
        if let Some(input) = input.downcast_mut::<GetItemInput>() {
            input.return_consumed_capacity = asked;
        } else if let Some(input) = input.downcast_mut::<PutItemInput>() {
            input.return_consumed_capacity = asked;
        } else if let Some(input) = input.downcast_mut::<QueryInput>() {
            input.return_consumed_capacity = asked;
        } else if let Some(input) = input.downcast_mut::<UpdateItemInput>() {
            input.return_consumed_capacity = asked;
        } else {
            panic!("a call that has no price here: {input:?}");
        }
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = request.headers().get("x-amz-target").unwrap();
        config.interceptor_state().store_put(Asked {
            operation: target.rsplit('.').next().unwrap().to_owned(),
            body: object(request.body().bytes().unwrap()),
        });
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let asked = config.load::<Asked>().unwrap();
        let answered = object(context.response().body().bytes().unwrap());
        self.meter.count(self.call(asked, answered));
        Ok(())
    }
}

impl Counted {
    fn call(&self, asked: &Asked, mut answered: Map<String, Value>) -> Call {
        let operation = asked.operation.as_str();
        let mut asked = asked.body.clone();
        let table = asked["TableName"].as_str().unwrap().to_owned();
        let consumed = answered.remove("ConsumedCapacity");
        asked.remove("ReturnConsumedCapacity");
        let units = |path: &str| {
            let units = consumed.as_ref().and_then(|all| all.pointer(path));
            units.and_then(Value::as_f64).unwrap_or_default()
        };
        let mut call = Call {
            operation: operation.to_owned(),
            request_bytes: length(&asked),
            response_bytes: length(&answered),
            ..Call::default()
        };
        match operation {
            "GetItem" | "Query" => call.read_units = units("/CapacityUnits"),
            "PutItem" | "UpdateItem" => {
                call.item_bytes = self.storage.item_bytes(&table, &key(&asked));
                call.refused = consumed.is_none();
                call.write_units = units("/Table/CapacityUnits");
                call.index_units = units("/CapacityUnits") - call.write_units;
                if call.refused {
                    assert!(failed_condition(&answered), "{answered:?}");
                    call.write_units = call.item_bytes.div_ceil(WRITE_UNIT_BYTES).max(1) as f64;
                }
            }
            _ => panic!("a call that has no price here: {operation}"),
        }
        call.target = table;
        call
    }
}

fn failed_condition(answered: &Map<String, Value>) -> bool {
    let name = answered["__type"].as_str().unwrap();
    name.ends_with("#ConditionalCheckFailedException")
}

/// The key of the item that a write is about.
fn key(asked: &Map<String, Value>) -> Value {
    asked.get("Key").cloned().unwrap_or_else(|| {
        let item = asked["Item"].as_object().unwrap();
        let parts = item
            .iter()
            .filter(|(name, _)| *name == "pk" || *name == "sk");
        let parts: Map<String, Value> = parts
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Value::Object(parts)
    })
}

fn object(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap()
}

fn length(body: &Map<String, Value>) -> usize {
    serde_json::to_string(body).unwrap().len()
}

/// The world's queues, with every request counted.
#[derive(Clone)]
pub(super) struct CountedQueue {
    pub(super) world: World,
    pub(super) meter: Meter,
}

fn message_bytes(message: &QueueMessage) -> usize {
    aws::message_text(message).unwrap().len()
}

impl EventQueue for CountedQueue {
    async fn send(
        &self,
        message: &QueueMessage,
        trace_header: Option<&str>,
    ) -> Result<(), PortError> {
        let bytes = message_bytes(message);
        self.meter.count_queue("SendMessage", "EventsQueue", bytes);
        self.world.send(message, trace_header).await
    }
}

impl EventBatches for CountedQueue {
    async fn send_all(&self, messages: &[QueueMessage]) -> Result<(), PortError> {
        let bytes = messages.iter().map(message_bytes).sum();
        self.meter
            .count_queue("SendMessageBatch", "EventsQueue", bytes);
        self.world.send_all(messages).await
    }

    async fn waiting(&self) -> Result<u64, PortError> {
        self.meter
            .count_queue("GetQueueAttributes", "EventsQueue", 0);
        self.world.waiting().await
    }
}

impl Redelivery for CountedQueue {
    async fn postpone(&self, receipt_handle: &str, seconds: u32) -> Result<(), PortError> {
        self.meter
            .count_queue("ChangeMessageVisibility", "EventsQueue", 0);
        self.world.postpone(receipt_handle, seconds).await
    }
}

impl DeadLetters for CountedQueue {
    async fn bury(&self, body: &str, merchant: Option<&MerchantId>) -> Result<(), PortError> {
        self.meter
            .count_queue("SendMessage", "DeadLetterQueue", body.len());
        self.world.bury(body, merchant).await
    }
}
