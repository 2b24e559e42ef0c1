//! The golden orders: webhooks as the providers send them, read by the adapters, folded, and saved.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    EntryOutcome, EpochMillis, Interpretation, MAX_EVENTS_PER_ORDER, MerchantId, Millis, OrderId,
    OrderKey, Orders as _, Provider, SaveOutcome, TimelineEntry, fold,
};
use providers::adapter;
use serde_json::{Map, Value, json};
use testkit::Webhook;

use crate::strict_dynamodb::Database;

const ORDERS: &str = include_str!("golden.txt");
/// 2026-01-01T00:00:00Z.
const NEW_YEAR: EpochMillis = EpochMillis::new(1_767_225_600_000);

/// The order with so many events that a test which does not need it does without.
const LONG: &str = "east#shipday#111";

/// The tables with the golden orders.
pub(super) async fn golden() -> Database {
    stored(orders()).await
}

/// The tables with all of them but the one beyond the bound.
pub(super) async fn golden_but_the_long_one() -> Database {
    let mut orders = orders();
    orders.retain(|(key, _)| key.to_string() != LONG);
    stored(orders).await
}

fn orders() -> Vec<(OrderKey, Vec<TimelineEntry>)> {
    let mut orders: Vec<(OrderKey, Vec<TimelineEntry>)> = Vec::new();
    for line in ORDERS.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["order", merchant, provider, order, ..] => {
                let key = OrderKey {
                    merchant_id: MerchantId::parse(merchant).unwrap(),
                    provider: provider.parse().unwrap(),
                    order_id: OrderId::parse(order.trim_end_matches(':')).unwrap(),
                };
                orders.push((key, Vec::new()));
            }
            webhook => {
                let (key, entries) = orders.last_mut().unwrap();
                for n in 0..repeats(webhook) {
                    entries.push(entry(key, webhook, n));
                }
            }
        }
    }
    orders
}

async fn stored(orders: Vec<(OrderKey, Vec<TimelineEntry>)>) -> Database {
    let database = Database::start().await;
    for (key, entries) in &orders {
        store(&database, key, entries).await;
    }
    database
}

/// Puts the entries, and saves the state as the consumer does: not beyond the bound.
async fn store(database: &Database, key: &OrderKey, entries: &[TimelineEntry]) {
    let orders = database.orders();
    for entry in entries {
        let outcome = orders.put_entry(key, entry).await.unwrap();
        assert_eq!(outcome, EntryOutcome::Added, "{key}");
    }
    let folded = entries.iter().take(MAX_EVENTS_PER_ORDER).cloned();
    let state = fold(adapter(key.provider), folded).state;
    let outcome = orders.save(key, &state).await.unwrap();
    assert_eq!(outcome, SaveOutcome::Saved, "{key}");
}

/// A state in a status that there is not.
pub(super) async fn put_state(database: &Database, key: &OrderKey, status: &str) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    database
        .client
        .put_item()
        .table_name("OrdersTable")
        .item("pk", text(&key.to_string()))
        .item("sk", text("state"))
        .item("status", text(status))
        .send()
        .await
        .unwrap();
}

/// What a line says under this name.
fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    let mut options = words.iter().filter_map(|word| word.split_once('='));
    options
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

fn repeats(words: &[&str]) -> u64 {
    option(words, "times").map_or(1, |times| times.parse().unwrap())
}

/// `15:04:05`, with a day before it or milliseconds behind it.
fn time(text: &str) -> EpochMillis {
    let (day, time) = text.split_once('T').unwrap_or(("2026-01-05", text));
    let day: u64 = day.strip_prefix("2026-01-").unwrap().parse().unwrap();
    let (time, millis) = time.split_once('.').unwrap_or((time, "0"));
    let seconds = time.split(':').fold(0, |seconds, part| {
        seconds * 60 + part.parse::<u64>().unwrap()
    });
    let millis = Millis::new(millis.parse().unwrap());
    NEW_YEAR + Millis::from_days(day - 1) + Millis::from_seconds(seconds) + millis
}

/// The entry that a line's webhook becomes, so many seconds later.
fn entry(key: &OrderKey, words: &[&str], later: u64) -> TimelineEntry {
    let at = time(words[0]) + Millis::from_seconds(later);
    let webhook = match key.provider {
        Provider::Armada => armada(key, words, at),
        Provider::Shipday => shipday(key, words, at),
    };
    let adapter = adapter(key.provider);
    let reading = adapter.read(&webhook.authenticated(adapter.retained_headers()));
    let Interpretation::Event(event) = reading.interpretation else {
        panic!("{key} {words:?}: {:?}", reading.interpretation);
    };
    assert_eq!(event.occurred_at_ms, at, "{key} {words:?}");
    TimelineEntry::new(*event, reading.key)
}

fn shipday(key: &OrderKey, words: &[&str], at: EpochMillis) -> Webhook {
    let number: u64 = key.order_id.as_str().parse().unwrap();
    let mut order = Map::from_iter([("id".to_owned(), number.into())]);
    for (name, field) in [
        ("pickup", "expected_pickup_time"),
        ("delivery", "expected_delivery_time"),
        ("picked", "pickedup_time"),
    ] {
        let told = option(words, name).map(|text| time(text).as_millis().into());
        order.extend(told.map(|at: Value| (field.to_owned(), at)));
    }
    let mut body = json!({
        "timestamp": at.as_millis(), "event": words[1], "order_status": words[2], "order": order,
    });
    if let Some((id, name)) = option(words, "driver").and_then(|it| it.split_once(':')) {
        let id: u64 = id.parse().unwrap();
        body["carrier"] = json!({ "id": id, "name": name });
    }
    testkit::shipday(body.to_string())
}

fn armada(key: &OrderKey, words: &[&str], at: EpochMillis) -> Webhook {
    let mut body = json!({ "code": key.order_id, "status": words[1] });
    if let Some(driver) = option(words, "driver") {
        body["driver"] = match driver.split_once(':') {
            Some((name, phone)) => json!({ "name": name, "phone": phone }),
            None => json!({ "name": driver }),
        };
    }
    let millis = at.as_millis();
    let id = format!("wh_{}_{millis}", key.order_id);
    testkit::armada("order.updated", &id, &rfc3339(millis), body.to_string())
}

fn rfc3339(millis: u64) -> String {
    let since = millis - NEW_YEAR.as_millis();
    let (seconds, millis) = (since / 1_000, since % 1_000);
    let (day, of_day) = (seconds / 86_400 + 1, seconds % 86_400);
    let (hours, minutes, seconds) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("2026-01-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}
