//! What a webhook costs does not depend on what is stored already, only the query on its order's events.
//!
//! `GROWTH=1000000` (`make growth`) stores a million records and a million orders first, in a file instead of in the
//! memory.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use dynoxide::ImportOptions;
use dynoxide::types::{AttributeValue, Item};
use serde_json::json;

use super::meter::Calls;
use super::priced::{Priced, Sample};
use super::prices::{MILLION, READ_UNITS, WRITE_UNITS};
use crate::strict_dynamodb::Database;

/// How much is stored, and how much more for the comparison unless `GROWTH` says otherwise.
const FEW_STORED: u64 = 1_000;
const MORE_STORED: u64 = 10_000;
/// Lengths of timelines.
const LENGTHS: [u64; 4] = [1, 10, 25, 50];
/// Items written at once; bounds the memory.
const IMPORT_CHUNK: u64 = 10_000;
/// One record of so many is pending and not due, so that the index grows too.
const PENDING_EVERY: u64 = 10;

/// The files of a large database, gone with it.
struct Files(PathBuf);

impl Files {
    fn new(path: PathBuf) -> Self {
        let files = Self(path);
        files.remove();
        files
    }

    fn remove(&self) {
        for ending in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(format!("{}{ending}", self.0.display()));
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.remove();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person sets it, to store more than in the default run"
)]
fn growth() -> Option<u64> {
    std::env::var("GROWTH")
        .ok()
        .map(|text| text.parse().expect("GROWTH is a number"))
}

/// The items of a table.
fn stored(database: &dynoxide::Database, table: &str) -> Vec<Item> {
    let scan = serde_json::from_value(json!({ "TableName": table })).unwrap();
    let answer = serde_json::to_value(database.scan(scan).unwrap()).unwrap();
    serde_json::from_value(answer["Items"].clone()).unwrap()
}

/// Copies an item of a table so many times, each copy under a key of its own.
fn multiply(
    database: &dynoxide::Database,
    table: &str,
    item: &Item,
    count: u64,
    change: impl Fn(&mut Item, u64),
) {
    database.enable_bulk_loading().unwrap();
    let mut from = 0;
    while from < count {
        let to = count.min(from + IMPORT_CHUNK);
        let copies = (from..to).map(|n| {
            let mut copy = item.clone();
            change(&mut copy, n);
            copy
        });
        let imported = database.import_items(table, copies.collect(), ImportOptions::default());
        assert_eq!(imported.unwrap().items_imported as u64, to - from);
        from = to;
    }
    database.disable_bulk_loading().unwrap();
}

/// A pipeline with so many records and as many orders in its tables, none of them of a webhook to come.
async fn with_stored(count: u64, storage: dynoxide::Database) -> Priced {
    let priced = Priced::on(Database::on(storage).await).await;
    priced.accept(&Sample::ArmadaV1.event(1, 1)).await;
    priced.apply(1).await;
    let storage = &priced.database.storage;
    let record = &stored(storage, "WebhooksTable")[0];
    multiply(storage, "WebhooksTable", record, count, |copy, n| {
        let key = format!("armada#demo-merchant#order.updated#stored_{n:019}");
        copy.insert("pk".to_owned(), AttributeValue::S(key));
        if n.is_multiple_of(PENDING_EVERY) {
            let (shard, due) = (n / PENDING_EVERY % 32, 4_000_000_000_000 + n);
            copy.insert(
                "pending_shard".to_owned(),
                AttributeValue::S(format!("{shard:02}")),
            );
            copy.insert("due_at_ms".to_owned(), AttributeValue::N(due.to_string()));
        }
    });
    let orders = stored(storage, "OrdersTable");
    let state = orders
        .iter()
        .find(|item| item["sk"] == AttributeValue::S("state".to_owned()))
        .unwrap();
    multiply(storage, "OrdersTable", state, count, |copy, n| {
        let key = format!("demo-merchant#armada#stored{n:010}");
        copy.insert("pk".to_owned(), AttributeValue::S(key));
    });
    priced
}

/// What every sample costs the whole way, a duplicate of it, and an idle run of the relay.
async fn costs(mut priced: Priced) -> Vec<(String, Calls)> {
    let mut costs = Vec::new();
    // Loading took a while, so the functions start anew and are warmed.
    priced.make_cold();
    for sample in Sample::ALL {
        priced.whole_way(&sample.event(98, 1)).await;
        let calls = priced.whole_way(&sample.event(99, 1)).await;
        costs.push((format!("{}, the whole way", sample.name()), calls));
        priced.post(&sample.event(99, 1)).await;
        costs.push((format!("{}, once more", sample.name()), priced.meter.read()));
    }
    assert_eq!(priced.relay().await, 0);
    costs.push(("an idle run of the relay".to_owned(), priced.meter.read()));
    costs
}

#[tokio::test]
async fn a_webhook_costs_the_same_however_much_is_stored() {
    let few = with_stored(FEW_STORED, dynoxide::Database::memory().unwrap()).await;
    let few = costs(few).await;

    let many = match growth() {
        None => {
            let memory = dynoxide::Database::memory().unwrap();
            costs(with_stored(MORE_STORED, memory).await).await
        }
        Some(count) => {
            let file = Files::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("growth.sqlite"));
            let storage = dynoxide::Database::new(file.0.to_str().unwrap()).unwrap();
            let many = costs(with_stored(count, storage).await).await;
            eprintln!("write and read units with {FEW_STORED} and with {count} stored:");
            for ((what, few), (_, many)) in few.iter().zip(&many) {
                let units = |calls: &Calls| (calls.write_units(), calls.read_units());
                eprintln!("{what:<32} {:?} {:?}", units(few), units(many));
            }
            many
        }
    };

    for ((what, few), (_, many)) in few.iter().zip(&many) {
        let (few_table, many_table) = (few.table(), many.table());
        // To the byte of every answer.
        assert!(
            few == many,
            "{what}, little stored:\n{few_table}\nmore stored:\n{many_table}"
        );
    }
}

/// What the last event of an order costs that has so many.
async fn last_of(sample: Sample, events: u64) -> Calls {
    let priced = Priced::start().await;
    priced.accept(&sample.event(99, 1)).await;
    for n in 1..events {
        priced.accept(&sample.event(1, n)).await;
    }
    priced.apply(10).await;
    priced.whole_way(&sample.event(1, events)).await
}

/// The units of an event by the length of its order's timeline, and their price.
pub(super) async fn by_timeline() -> String {
    let mut table = String::from(
        "| $ per million events, units only | First | Tenth | 25th | 50th |\n| --- | ---: | ---: | ---: | ---: |\n",
    );
    for sample in [Sample::ArmadaV1, Sample::Shipday] {
        let _ = write!(table, "| {}: write + read units |", sample.name());
        let mut money = String::new();
        for events in LENGTHS {
            let calls = last_of(sample, events).await;
            let (writes, reads) = (calls.write_units(), calls.read_units());
            let dollars = MILLION * (writes * WRITE_UNITS.dollars + reads * READ_UNITS.dollars);
            let _ = write!(table, " {writes} + {reads} |");
            let _ = write!(money, " {dollars:.2} |");
        }
        let _ = writeln!(table, "\n| {}: $ |{money}", sample.name());
    }
    table
}

#[tokio::test]
async fn an_event_costs_the_same_writes_however_long_its_orders_timeline_is() {
    let first = last_of(Sample::Shipday, 1).await;
    let later = last_of(Sample::Shipday, 50).await;

    let named = |calls: &Calls| -> Vec<String> {
        let names = calls.0.iter().map(|call| call.operation.clone());
        names.collect()
    };
    assert_eq!(named(&later), named(&first));
    assert_eq!(later.write_units(), first.write_units());
    // Each started 4 KB of the timeline and its state is a read unit.
    assert_eq!((first.read_units(), later.read_units()), (1.0, 8.0));
}
