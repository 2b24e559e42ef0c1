//! Reading a whole table: in segments that are read side by side, each of which can go on where it stopped.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::scan::ScanOutput;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use domain::PortError;
use serde::{Deserialize, Serialize};

use crate::error::{damaged, port_error};

type Item = HashMap<String, AttributeValue>;

/// One of the parts that DynamoDB cuts a table into for a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which, from 0 on.
    pub number: u16,
    /// Of how many.
    pub of: u16,
}

/// How far a scan has come: the key of an item. All keys are text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(BTreeMap<String, String>);

/// What one request of a scan is to read.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Of which segment.
    pub segment: Segment,
    /// From behind this item on; `None` from the beginning.
    pub after: Option<&'a Position>,
    /// At most so many items; `None` as many as DynamoDB likes, a megabyte.
    pub most: Option<u16>,
}

/// What one request of a scan has read.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What was asked for, each with the position behind it.
    pub items: Vec<(Position, T)>,
    /// How many items were looked at for that, and paid.
    pub looked_at: u64,
    /// The read units that this took; 0 where the service does not tell, as an emulator may not.
    pub read_units: f64,
    /// Where the segment goes on; `None` at its end.
    pub next: Option<Position>,
}

impl Position {
    /// The position at an item with these key attributes; `None` when one of them is no text.
    pub(crate) fn at(item: &Item, key: &[&str]) -> Option<Self> {
        let parts = key.iter().map(|name| {
            let text = item.get(*name)?.as_s().ok()?;
            Some(((*name).to_owned(), text.clone()))
        });
        parts.collect::<Option<_>>().map(Self)
    }

    /// The text of a key attribute.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn start_key(&self) -> Item {
        let text = |value: &String| AttributeValue::S(value.clone());
        self.0
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }
}

/// The request for a part of a table.
pub(crate) fn scan(client: &Client, table: &str, part: Part<'_>) -> ScanFluentBuilder {
    client
        .scan()
        .table_name(table)
        .segment(part.segment.number.into())
        .total_segments(part.segment.of.into())
        .set_exclusive_start_key(part.after.map(Position::start_key))
        .set_limit(part.most.map(i32::from))
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
}

/// The read units of a request that asked for its consumed capacity.
pub(crate) fn read_units(consumed: Option<&ConsumedCapacity>) -> f64 {
    consumed
        .and_then(ConsumedCapacity::capacity_units)
        .unwrap_or_default()
}

/// The page in an answer. `read` says what an item is; `None` leaves it out.
pub(crate) fn page<T>(
    call: &'static str,
    answer: ScanOutput,
    key: &[&str],
    mut read: impl FnMut(Item) -> Option<T>,
) -> Result<Page<T>, PortError> {
    let position = |item: &Item| Position::at(item, key).ok_or_else(|| damaged(call, "a key"));
    let next = answer.last_evaluated_key().map(position).transpose()?;
    let read_units = read_units(answer.consumed_capacity());
    let looked_at = u64::try_from(answer.scanned_count()).unwrap_or_default();
    let mut items = Vec::new();
    for item in answer.items.unwrap_or_default() {
        let at = position(&item)?;
        items.extend(read(item).map(|item| (at, item)));
    }
    Ok(Page {
        items,
        looked_at,
        read_units,
        next,
    })
}

/// About how many items a table has: DynamoDB counts every six hours.
pub(crate) async fn approximate_count(client: &Client, table: &str) -> Result<u64, PortError> {
    let described = client
        .describe_table()
        .table_name(table)
        .send()
        .await
        .map_err(|error| port_error("table description", &error))?;
    let count = described.table().and_then(|table| table.item_count());
    Ok(count
        .and_then(|count| count.try_into().ok())
        .unwrap_or_default())
}
