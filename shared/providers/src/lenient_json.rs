//! Reading fields that providers send as a number, a text, an empty text, null, or not at all.
//!
//! A payload's fields are kept as raw JSON and read one by one, so that a field of an unexpected type is
//! an absent field and never costs the event. Money is read from its digits and is never a float.

use std::borrow::Cow;

use domain::EpochMillis;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

/// A field as sent. Absent and null are the same.
pub(crate) type Field<'a> = Option<&'a RawValue>;

/// Longest text taken over, in bytes. A longer one is no name, number or link.
const MAX_TEXT_BYTES: usize = 2_048;
/// Most links taken over from one list.
const MAX_LINKS: usize = 20;
/// Below this a number of seconds since 1970 (until the year 5138), from here on one of milliseconds.
const FIRST_MILLIS: u64 = 100_000_000_000;
/// Texts that providers send for "nothing".
const PLACEHOLDERS: [&str; 3] = ["NOT PROVIDED", "N/A", "null"];

/// Reads a JSON object, from bytes that may be anything.
pub(crate) fn parse_object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    // Without this check an array would pass for a struct with its fields in order.
    let is_object = bytes.trim_ascii_start().first() == Some(&b'{');
    is_object
        .then(|| serde_json::from_slice(bytes).ok())
        .flatten()
}

/// Reads a nested object; anything else counts as absent.
pub(crate) fn object<'a, T: Deserialize<'a>>(field: Field<'a>) -> Option<T> {
    parse_object(field?.get().as_bytes())
}

/// A text in the body, copied only when it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a text, or the digits of a number. Blank and placeholder texts count as absent.
pub(crate) fn text(field: Field<'_>) -> Option<String> {
    borrowed_text(field).map(Cow::into_owned)
}

fn borrowed_text(field: Field<'_>) -> Option<Cow<'_, str>> {
    let raw = field?.get();
    let text = match raw.as_bytes().first()? {
        b'"' => match serde_json::from_str::<Text<'_>>(raw).ok()?.0 {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        },
        b'-' | b'0'..=b'9' => Cow::Borrowed(raw),
        _ => return None,
    };
    let usable = !text.is_empty()
        && text.len() <= MAX_TEXT_BYTES
        && !PLACEHOLDERS
            .iter()
            .any(|nothing| text.eq_ignore_ascii_case(nothing));
    usable.then_some(text)
}

/// Reads an id. Zero and negative numbers stand for "none".
pub(crate) fn id(field: Field<'_>) -> Option<Cow<'_, str>> {
    borrowed_text(field).filter(|id| {
        id.parse::<i128>()
            .map_or(!id.is_empty(), |number| number > 0)
    })
}

/// Reads an amount of money, digit by digit.
pub(crate) fn money(field: Field<'_>) -> Option<Decimal> {
    let text = borrowed_text(field)?;
    Decimal::from_str_exact(&text)
        .or_else(|_| Decimal::from_scientific(&text))
        .ok()
}

/// Reads a point in time: ISO 8601, or a number of seconds or milliseconds, told apart by size. Zero, and
/// anything that is no time, count as absent.
pub(crate) fn time(field: Field<'_>) -> Option<EpochMillis> {
    parse_time(&borrowed_text(field)?)
}

/// Like [`time()`], for a header.
pub(crate) fn parse_time(text: &str) -> Option<EpochMillis> {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit()) => whole,
        Some(_) | None => text,
    };
    let millis = match whole.parse::<u64>() {
        Ok(0) => return None,
        Ok(number) if number < FIRST_MILLIS => number * 1_000,
        Ok(number) => number,
        Err(_) => {
            let nanos = OffsetDateTime::parse(text, &Iso8601::PARSING)
                .ok()?
                .unix_timestamp_nanos();
            u64::try_from(nanos / 1_000_000).ok()?
        }
    };
    Some(EpochMillis::new(millis))
}

/// Reads a list of links, without the empty ones.
pub(crate) fn links(field: Field<'_>) -> Vec<String> {
    let Some(list) = field.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok())
    else {
        return Vec::new();
    };
    list.into_iter()
        .filter_map(|link| text(Some(link)))
        .take(MAX_LINKS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(json: &str, read: impl Fn(Field<'_>) -> T) -> T {
        let raw: Box<RawValue> = RawValue::from_string(json.to_owned()).unwrap();
        read(Some(&raw))
    }

    #[test]
    fn a_text_may_be_a_number_and_nothing_has_many_spellings() {
        assert_eq!(with(r#"" a ""#, text).as_deref(), Some("a"));
        assert_eq!(with("123", text).as_deref(), Some("123"));
        assert_eq!(with(r#"" \u0061\n""#, text).as_deref(), Some("a"));
        for nothing in [
            r#""""#,
            r#"" ""#,
            r#""N/A""#,
            r#""not provided""#,
            "null",
            "true",
            "{}",
            "[]",
        ] {
            assert_eq!(with(nothing, text), None, "{nothing}");
        }
        assert_eq!(
            with(&format!("\"{}\"", "x".repeat(MAX_TEXT_BYTES + 1)), text),
            None
        );
        assert_eq!(text(None), None);
    }

    #[test]
    fn an_id_is_a_text_or_a_positive_number() {
        let id = |field: Field<'_>| id(field).map(Cow::into_owned);

        assert_eq!(with("123456", id).as_deref(), Some("123456"));
        assert_eq!(with(r#""EAA6CAC9D5""#, id).as_deref(), Some("EAA6CAC9D5"));
        for none in ["0", "-1", r#""0""#, r#""-1""#, r#""""#] {
            assert_eq!(with(none, id), None, "{none}");
        }
    }

    #[test]
    fn money_keeps_every_digit() {
        for (json, digits) in [
            ("1.250", "1.250"),
            (r#""5.000""#, "5.000"),
            ("572.63", "572.63"),
            ("3", "3"),
            ("0.1", "0.1"),
        ] {
            assert_eq!(with(json, money).unwrap().to_string(), digits);
        }
        assert_eq!(with("1e2", money).unwrap().to_string(), "100");
        for none in [r#""""#, r#""free""#, "null", "1e999", "{}"] {
            assert_eq!(with(none, money), None, "{none}");
        }
    }

    #[test]
    fn a_time_is_told_by_its_size() {
        let millis = |json: &str| with(json, time).map(EpochMillis::as_millis);

        assert_eq!(millis("1684644196349"), Some(1_684_644_196_349));
        assert_eq!(millis("1684658096"), Some(1_684_658_096_000));
        assert_eq!(millis(r#""1684644196349""#), Some(1_684_644_196_349));
        assert_eq!(millis("1684644196349.75"), Some(1_684_644_196_349));
        assert_eq!(
            millis(r#""2026-01-07T20:13:25.615Z""#),
            Some(1_767_816_805_615)
        );
        assert_eq!(
            millis(r#""2026-01-07T23:13:25.615+03:00""#),
            Some(1_767_816_805_615)
        );
        for none in [
            "0",
            "-5",
            r#""""#,
            "null",
            r#""soon""#,
            "1e999",
            "1.767816e12",
            r#""1969-01-01T00:00:00Z""#,
            "[1]",
        ] {
            assert_eq!(millis(none), None, "{none}");
        }
    }

    #[test]
    fn links_are_a_list_without_its_empty_members() {
        assert_eq!(
            with(r#"["", "https://example.com/1", null, {}]"#, links),
            ["https://example.com/1"]
        );
        assert_eq!(with(r#""[]""#, links), Vec::<String>::new());
    }

    #[test]
    fn an_array_does_not_pass_for_an_object() {
        #[derive(Deserialize)]
        struct One {
            #[expect(dead_code, reason = "only whether it parses matters")]
            field: u8,
        }

        assert!(parse_object::<One>(b" {\"field\":1}").is_some());
        assert!(parse_object::<One>(b"[1]").is_none());
    }
}
