//! From an input that is real to one that nobody would send: changes that keep most of it as it was, so that
//! it still gets past the doors, and values that are known to hurt.

use lambda_http::http::HeaderValue;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

/// One change of a JSON text. An [`Index`] picks a place in whatever the text has by then.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A value becomes this text, which need not be JSON.
    Replace(Index, String),
    /// A member or an element is gone.
    Remove(Index),
    /// A member's name comes a second time, with this text.
    Duplicate(Index, String),
    /// An object has one more member.
    Add(Index, String, String),
    /// A bit of a byte is turned.
    Flip(Index, u8),
    /// The rest is gone.
    Cut(Index),
    /// Bytes are put in between.
    Insert(Index, Vec<u8>),
    /// A piece comes twice.
    Repeat(Index, Index),
}

/// JSON texts, and texts that only look like it, that have hurt somebody's parser.
fn hostile_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "null",
        "true",
        "[]",
        "{}",
        "\"\"",
        "0",
        "-0",
        "-1",
        "1e999",
        "-1e-999",
        "1e28",
        "1e-28",
        "1e29",
        "0.1",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "79228162514264337593543950335",
        "79228162514264337593543950336",
        "0.00000000000000000000000000001",
        "99999999999",
        "100000000000",
        "1767816000000",
        "1767816000000.9",
        "4102444800000",
        "\"1e-30\"",
        "\"1E+30\"",
        "\"+1\"",
        "\"0x10\"",
        "\"١٢٣\"",
        "\"2026-01-07T20:15:01.000Z\"",
        "\"9999-12-31T23:59:59.999999999Z\"",
        "\"+12345-01-01T00:00:00Z\"",
        "\"-0001-01-01T00:00:00Z\"",
        "\"2026-W01-1T00:00:00Z\"",
        "\"2026-001T24:00:00Z\"",
        "\"20260107T201501,5Z\"",
        "\"2026-01-07T20:15:01+99:99\"",
        "\"a#b\"",
        "\"body\"",
        "\"\\u0000\"",
        "\"\\u001b[31m\"",
        "\"\\u2028\"",
        "\"\\ud800\"",
        "\"\u{ffff}\"",
        "\"\\ufffe\"",
        "\"\\r\\n{\\\"level\\\":\\\"INFO\\\"}\"",
        "NaN",
        "'a'",
        "{\"a\":1,}",
        "\"unknown\"",
        "\"dispatched\"",
        "\"completed\"",
        "\"failed\"",
        "\"canceled\"",
        "\"LOCATION_UPDATE\"",
        "\"ORDER_POD_UPLOAD\"",
        "\"ORDER_DELETE\"",
        "\"ORDER_ASSIGNED\"",
        "\"STARTED\"",
        "\"INCOMPLETE\"",
        "2",
        "\"armada\"",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("9".repeat(400));
    texts.push(format!("0.{}", "3".repeat(400)));
    for bytes in [64, 65, 128, 129, 2_048, 2_049, 70_000] {
        texts.push(format!("\"{}\"", "x".repeat(bytes)));
    }
    for depth in [100, 127, 128, 5_000] {
        texts.push("[".repeat(depth) + &"]".repeat(depth));
        texts.push("{\"a\":".repeat(depth) + "1" + &"}".repeat(depth));
    }
    texts
}

pub(crate) fn json_text() -> BoxedStrategy<String> {
    prop_oneof![
        4 => select(hostile_texts()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| format!("{number:e}")),
        1 => any::<String>().prop_map(|text| Value::String(text).to_string()),
    ]
    .boxed()
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (any::<Index>(), json_text()).prop_map(|(at, text)| Change::Replace(at, text)),
        3 => any::<Index>().prop_map(Change::Remove),
        2 => (any::<Index>(), json_text()).prop_map(|(at, text)| Change::Duplicate(at, text)),
        2 => (any::<Index>(), "[a-z_]{0,8}", json_text()).prop_map(|(at, name, text)| Change::Add(at, name, text)),
        1 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => (any::<Index>(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ]
}

/// A few changes, often none.
pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop_oneof![1 => Just(Vec::new()), 3 => vec(change(), 1..4)]
}

/// The text with all changes: first those of its structure, if it has one, then those of its bytes.
pub(crate) fn changed(text: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = match serde_json::from_slice::<Value>(text) {
        Ok(value) if changes.iter().any(Change::is_structural) => {
            restructured(value, changes).into_bytes()
        }
        _ => text.to_vec(),
    };
    for change in changes {
        change.bytes(&mut bytes);
    }
    bytes
}

/// Texts that are no JSON, and names that come twice, cannot be in a [`Value`]: marks stand for them until it
/// is written.
fn restructured(mut value: Value, changes: &[Change]) -> String {
    let mark = |number: usize| format!("@mark {number}@");
    for (number, change) in changes.iter().enumerate() {
        change.structure(&mut value, &mark(number));
    }
    let mut text = value.to_string();
    for (number, change) in changes.iter().enumerate() {
        if let Change::Replace(_, new) | Change::Duplicate(_, new) | Change::Add(_, _, new) = change
        {
            text = text
                .replace(&format!("\"{}\"", mark(number)), new)
                .replace(&mark(number), "");
        }
    }
    text
}

/// JSON pointers to every value in `value`, itself first.
pub(crate) fn places(value: &Value) -> Vec<String> {
    let below = |name: &str, value: &Value| {
        let name = name.replace('~', "~0").replace('/', "~1");
        places(value)
            .into_iter()
            .map(move |place| format!("/{name}{place}"))
            .collect::<Vec<_>>()
    };
    let mut found = vec![String::new()];
    match value {
        Value::Object(members) => {
            found.extend(members.iter().flat_map(|(name, value)| below(name, value)))
        }
        Value::Array(elements) => {
            found.extend(
                elements
                    .iter()
                    .enumerate()
                    .flat_map(|(index, value)| below(&index.to_string(), value)),
            );
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}

impl Change {
    const fn is_structural(&self) -> bool {
        matches!(
            self,
            Self::Replace(..) | Self::Remove(_) | Self::Duplicate(..) | Self::Add(..)
        )
    }

    fn structure(&self, value: &mut Value, mark: &str) {
        let (Self::Replace(at, _) | Self::Remove(at) | Self::Duplicate(at, _) | Self::Add(at, ..)) =
            self
        else {
            return;
        };
        let places = places(value);
        let place = &places[at.index(places.len())];
        match self {
            Self::Replace(..) => {
                *value.pointer_mut(place).unwrap() = Value::String(mark.to_owned())
            }
            Self::Add(_, name, _) => {
                if let Some(members) = value.pointer_mut(place).unwrap().as_object_mut() {
                    members.insert(name.clone(), Value::String(mark.to_owned()));
                }
            }
            _ => {
                let Some((parent, name)) = place.rsplit_once('/') else {
                    return;
                };
                match (self, value.pointer_mut(parent).unwrap()) {
                    (Self::Remove(_), Value::Object(members)) => drop(members.remove(name)),
                    (Self::Remove(_), Value::Array(elements)) => {
                        drop(elements.remove(name.parse().unwrap()))
                    }
                    (Self::Duplicate(..), Value::Object(members)) => {
                        members.insert(format!("{name}{mark}"), Value::String(mark.to_owned()));
                    }
                    _ => {}
                }
            }
        }
    }

    fn bytes(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Flip(at, bit) => *at.get_mut(bytes) ^= 1 << bit,
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Insert(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(to..to, piece);
            }
            Self::Replace(..) | Self::Remove(_) | Self::Duplicate(..) | Self::Add(..) => {}
        }
    }
}

/// One change of a request's headers.
#[derive(Clone, Debug)]
pub(crate) enum HeaderChange {
    Remove(Index),
    Set(Index, String),
    Repeat(Index, String),
    UpperCase(Index),
}

/// Headers that are worth a change, beside each of the webhook's own.
const MORE_HEADERS: [&str; 13] = [
    "token",
    "x-armada-key-id",
    "x-armada-webhook-id",
    "x-armada-webhook-topic",
    "x-armada-timestamp",
    "x-armada-timestamp",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "host",
    "x-forwarded-proto",
    "x-forwarded-for",
    "x-unknown",
];

/// A header's value, as far as a gateway lets one through.
fn header_value() -> impl Strategy<Value = String> {
    let hostile = [
        "",
        " ",
        ",",
        "a,b",
        " a ",
        "a#b",
        "\t",
        "\u{2028}",
        "\u{ffff}",
        "é",
        "\"",
        "\\",
        "{}",
        "<>",
        "k=v;",
        "application/json",
        "text/plain",
        "gzip",
        "order.updated",
        "order.location.updated",
        "delivery.completed",
        "wallet.balance_low",
        "order.teleported",
        "body",
        "0",
        "1767816000000",
        "1767816000",
        "2026-01-07T20:15:01.000Z",
        "2014-12-31T23:59:59Z",
        "1",
        "99999999999999",
        "2099-01-01T00:00:00Z",
        "9".repeat(400).leak(),
        "x".repeat(129).leak(),
        "x".repeat(5_000).leak(),
    ];
    let any_text = any::<String>()
        .prop_filter("a gateway passes on no control character", |text| {
            HeaderValue::from_str(text).is_ok()
        });
    prop_oneof![5 => select(hostile.map(str::to_owned).to_vec()), 1 => any_text]
}

pub(crate) fn header_changes() -> impl Strategy<Value = Vec<HeaderChange>> {
    let change = prop_oneof![
        1 => any::<Index>().prop_map(HeaderChange::Remove),
        3 => (any::<Index>(), header_value()).prop_map(|(at, value)| HeaderChange::Set(at, value)),
        1 => (any::<Index>(), header_value()).prop_map(|(at, value)| HeaderChange::Repeat(at, value)),
        1 => any::<Index>().prop_map(HeaderChange::UpperCase),
    ];
    prop_oneof![Just(Vec::new()), vec(change, 1..3)]
}

impl HeaderChange {
    pub(crate) fn apply(&self, headers: &mut Vec<(String, String)>) {
        let (Self::Remove(at) | Self::Set(at, _) | Self::Repeat(at, _) | Self::UpperCase(at)) =
            self;
        let known = headers.len();
        let at = at.index(known + MORE_HEADERS.len());
        let name = headers.get(at).map_or_else(
            || MORE_HEADERS[at - known].to_owned(),
            |(name, _)| name.clone(),
        );
        match self {
            Self::Remove(_) => headers.retain(|(other, _)| *other != name),
            Self::Set(_, value) => {
                headers.retain(|(other, _)| *other != name);
                headers.push((name, value.clone()));
            }
            Self::Repeat(_, value) => headers.push((name, value.clone())),
            Self::UpperCase(_) => headers
                .iter_mut()
                .filter(|(other, _)| *other == name)
                .for_each(|(other, _)| {
                    *other = other.to_uppercase();
                }),
        }
    }
}
