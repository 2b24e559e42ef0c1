//! The stream of the `orders` table, in memory.

use domain::{OrderKey, OrderState};
use serde_json::{Map, Value, json};

/// A state, and how often it was saved.
type Saved = (OrderState, u64);

/// That an order's state was saved, or deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSaved {
    /// The order.
    pub order: OrderKey,
    /// Its state before.
    pub old: Option<Saved>,
    /// Its state now.
    pub new: Option<Saved>,
}

/// A state without when its status was received: what differs when the same webhooks come at other times.
pub fn but_for_the_receipt(state: &OrderState) -> OrderState {
    OrderState {
        status_received_at_ms: None,
        ..state.clone()
    }
}

/// Saves as Lambda hands them to the publisher; the first one has the sequence number `first`.
pub fn stream_batch(saves: &[StateSaved], first: usize) -> Value {
    let records: Vec<Value> = saves
        .iter()
        .enumerate()
        .map(|(place, saved)| record(saved, first + place))
        .collect();
    json!({ "Records": records })
}

fn record(saved: &StateSaved, sequence_number: usize) -> Value {
    let StateSaved { order, old, new } = saved;
    let mut change = json!({
        "ApproximateCreationDateTime": 1_773_964_800,
        "Keys": { "pk": { "S": order.to_string() }, "sk": { "S": "state" } },
        "SequenceNumber": format!("{sequence_number:021}"),
        "SizeBytes": 100,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    for (name, image) in [("OldImage", old), ("NewImage", new)] {
        if let Some(saved) = image {
            change[name] = item(order, saved);
        }
    }
    let event_name = match (old, new) {
        (_, None) => "REMOVE",
        (None, Some(_)) => "INSERT",
        (Some(_), Some(_)) => "MODIFY",
    };
    json!({
        "eventID": format!("event-{sequence_number}"),
        "eventName": event_name,
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.1",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/1",
        "dynamodb": change,
    })
}

fn item(order: &OrderKey, (state, revision): &Saved) -> Value {
    let mut attributes = serde_json::to_value(state).expect("a state is JSON");
    attributes["pk"] = json!(order.to_string());
    attributes["sk"] = json!("state");
    attributes["revision"] = json!(revision);
    attribute(&attributes)["M"].take()
}

/// A value as DynamoDB writes it.
fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(truth) => json!({ "BOOL": truth }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Array(values) => json!({ "L": values.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Object(fields) => {
            let fields: Map<String, Value> = fields
                .iter()
                .map(|(name, value)| (name.clone(), attribute(value)))
                .collect();
            json!({ "M": fields })
        }
    }
}
