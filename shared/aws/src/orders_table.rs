//! The `orders` table: an order's state and its timeline under one partition key.

mod announcing;
mod repair;
mod reporting;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    EntryOutcome, MAX_EVENTS_PER_ORDER, MerchantId, OrderKey, OrderState, Orders, PortError,
    SaveOutcome, Timeline, TimelineEntry,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{damaged, port_error};
use crate::scan::{Page, Part, approximate_count, page, scan};

pub use announcing::{SavedWrite, StateWrite, UnreadableRecord, read_state_write};
pub use repair::{Consistency, OrderItems, StateRead};
pub use reporting::{Reported, ReportedItem};

/// The sort key of the state. It sorts behind every `event#…`.
const STATE: &str = "state";
/// What the `orders` table counts beside the state.
const REVISION: &str = "revision";
/// The attributes of a state that may be absent; a save removes what its state does not have.
const OPTIONAL: [&str; 14] = [
    "status",
    "status_since_ms",
    "status_received_at_ms",
    "status_reason",
    "reversals",
    "driver",
    "third_party",
    "tracking_url",
    "proof_of_delivery_urls",
    "order_number",
    "parent_order_id",
    "order_amount",
    "delivery_fee",
    "currency",
];

type Item = HashMap<String, AttributeValue>;

/// The `orders` table.
#[derive(Clone, Debug)]
pub struct OrdersTable {
    client: Client,
    table: String,
}

impl OrdersTable {
    /// The table of that name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.table
    }

    /// The orders in a part of the table, also those whose state was never saved. An order is listed once in its
    /// segment, at the first of its items.
    ///
    /// # Errors
    /// When the table did not answer.
    pub async fn scan(
        &self,
        merchant: Option<&MerchantId>,
        part: Part<'_>,
    ) -> Result<Page<OrderKey>, PortError> {
        let call = "orders scan";
        let mut request = scan(&self.client, &self.table, part).projection_expression("pk, sk");
        if let Some(merchant) = merchant {
            request = request
                .filter_expression("begins_with(pk, :merchant)")
                .expression_attribute_values(
                    ":merchant",
                    AttributeValue::S(format!("{merchant}#")),
                );
        }
        let answer = request
            .send()
            .await
            .map_err(|error| port_error(call, &error))?;
        let mut last = part
            .after
            .and_then(|position| position.get("pk"))
            .map(str::to_owned);
        page(call, answer, &["pk", "sk"], |item| {
            let pk = item.get("pk")?.as_s().ok()?;
            if last.as_ref() == Some(pk) {
                return None;
            }
            last = Some(pk.clone());
            OrderKey::parse(pk).ok()
        })
    }

    /// About how many items there are: one for each event, and one for each state.
    ///
    /// # Errors
    /// When DynamoDB did not answer.
    pub async fn approximate_count(&self) -> Result<u64, PortError> {
        approximate_count(&self.client, &self.table).await
    }
}

impl Orders for OrdersTable {
    async fn put_entry(
        &self,
        order: &OrderKey,
        entry: &TimelineEntry,
    ) -> Result<EntryOutcome, PortError> {
        let call = "timeline put";
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(to_item(call, entry)?))
            .item("pk", AttributeValue::S(order.to_string()))
            .item("sk", AttributeValue::S(entry.sort_key(order.provider)))
            .condition_expression("attribute_not_exists(pk)");
        match put.send().await {
            Ok(_) => Ok(EntryOutcome::Added),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(EntryOutcome::Exists)
            }
            Err(error) => Err(port_error(call, &error)),
        }
    }

    async fn read(&self, order: &OrderKey) -> Result<Timeline, PortError> {
        let call = "timeline query";
        let mut timeline = Timeline::default();
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(order.to_string()))
            .consistent_read(true)
            // One entry too many tells that there are too many; the state is one item more.
            .limit(i32::try_from(MAX_EVENTS_PER_ORDER + 2).unwrap_or(i32::MAX))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            for mut item in page
                .map_err(|error| port_error(call, &error))?
                .items
                .unwrap_or_default()
            {
                if item
                    .get("sk")
                    .and_then(|sk| sk.as_s().ok())
                    .is_some_and(|sk| sk == STATE)
                {
                    timeline.revision = revision(&item);
                    timeline.state = Some(from_item(call, std::mem::take(&mut item))?);
                } else if timeline.entries.len() <= MAX_EVENTS_PER_ORDER {
                    timeline.entries.push(from_item(call, item)?);
                }
            }
            if timeline.entries.len() > MAX_EVENTS_PER_ORDER {
                break;
            }
        }
        Ok(timeline)
    }

    async fn save(&self, order: &OrderKey, state: &OrderState) -> Result<SaveOutcome, PortError> {
        let call = "state save";
        let item = to_item(call, state)?;
        let mut sets = vec![format!(
            "{REVISION} = if_not_exists({REVISION}, :zero) + :one"
        )];
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(order.to_string()))
            .key("sk", AttributeValue::S(STATE.to_owned()))
            // A state folded from fewer events never replaces one folded from more.
            .condition_expression(
                "attribute_not_exists(event_count) OR event_count <= :event_count",
            )
            .expression_attribute_values(":zero", AttributeValue::N("0".to_owned()))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        let absent: Vec<&str> = OPTIONAL
            .into_iter()
            .filter(|name| !item.contains_key(*name))
            .collect();
        for (name, value) in item {
            sets.push(format!("#{name} = :{name}"));
            update = update
                .expression_attribute_values(format!(":{name}"), value)
                .expression_attribute_names(format!("#{name}"), name);
        }
        let mut expression = format!("SET {}", sets.join(", "));
        if !absent.is_empty() {
            let removed: Vec<String> = absent.iter().map(|name| format!("#{name}")).collect();
            expression = format!("{expression} REMOVE {}", removed.join(", "));
        }
        for name in absent {
            update = update.expression_attribute_names(format!("#{name}"), name);
        }
        match update.update_expression(expression).send().await {
            Ok(_) => Ok(SaveOutcome::Saved),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(SaveOutcome::Superseded)
            }
            Err(error) => Err(port_error(call, &error)),
        }
    }
}

fn to_item<T: Serialize>(call: &'static str, value: &T) -> Result<Item, PortError> {
    serde_dynamo::to_item(value).map_err(|_| damaged(call, "a value that is no item"))
}

fn from_item<T: DeserializeOwned>(call: &'static str, item: Item) -> Result<T, PortError> {
    serde_dynamo::from_item(item).map_err(|_| damaged(call, "an item of the orders table"))
}

fn revision(item: &Item) -> u64 {
    item.get(REVISION)
        .and_then(|n| n.as_n().ok())
        .and_then(|n| n.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::{
        Details, Driver, EpochMillis, OrderId, Reversals, Schedule, Status, StatusReason,
        ThirdParty,
    };

    use super::*;

    fn full_state() -> OrderState {
        OrderState {
            status: Some(Status::Failed),
            status_since_ms: Some(EpochMillis::new(1_684_644_196_349)),
            status_received_at_ms: Some(EpochMillis::new(1_684_644_197_000)),
            status_reason: Some(StatusReason::AttemptFailed),
            corrected: true,
            reversals: Reversals {
                corrected: 1,
                ..Reversals::default()
            },
            event_count: 3,
            milestones: BTreeMap::from([(Status::PickedUp, EpochMillis::new(1_684_644_196_000))]),
            details: Details {
                driver: Some(Driver {
                    id: Some("134".into()),
                    name: Some("D".into()),
                    phone: Some("045".into()),
                }),
                third_party: Some(ThirdParty {
                    name: Some("Fleet".into()),
                    ..ThirdParty::default()
                }),
                tracking_url: Some("https://example.com".into()),
                proof_of_delivery_urls: vec!["https://example.com/1".into()],
                order_number: Some("808713698".into()),
                parent_order_id: OrderId::parse("9").ok(),
                order_amount: "1.250".parse().ok(),
                delivery_fee: "0.500".parse().ok(),
                currency: Some("KWD".into()),
                schedule: Schedule {
                    eta_ms: Some(EpochMillis::new(7)),
                    ..Schedule::default()
                },
                reported_milestones: BTreeMap::new(),
            },
        }
    }

    #[test]
    fn a_state_survives_the_table() {
        for state in [full_state(), OrderState::default()] {
            let item = to_item("test", &state).unwrap();

            assert_eq!(from_item::<OrderState>("test", item).unwrap(), state);
        }
    }

    #[test]
    fn every_attribute_that_may_be_absent_is_removed_by_a_save() {
        let mut full: Vec<String> = to_item("test", &full_state())
            .unwrap()
            .into_keys()
            .collect();
        let least = to_item("test", &OrderState::default()).unwrap();
        full.retain(|name| !least.contains_key(name));
        full.sort();
        let mut optional = OPTIONAL.to_vec();
        optional.sort_unstable();

        assert_eq!(full, optional);
    }
}
