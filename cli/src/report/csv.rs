//! The figures as a file of comma-separated values (RFC 4180), a line for each group.

use super::figures::{Promise, Span};
use super::told::{Rate, Told, ToldGroup, Whose};

/// The whole file, with a line of names.
pub(super) fn file(told: &Told) -> String {
    let mut text = String::new();
    for (n, group) in told.groups().enumerate() {
        let columns = columns(group);
        if n == 0 {
            push_line(&mut text, columns.iter().map(|(name, _)| name.as_str()));
        }
        push_line(&mut text, columns.iter().map(|(_, value)| value.as_str()));
    }
    text
}

fn push_line<'a>(text: &mut String, cells: impl Iterator<Item = &'a str>) {
    let cells: Vec<String> = cells.map(cell).collect();
    text.push_str(&cells.join(","));
    text.push_str("\r\n");
}

/// A cell that holds text and nothing else: a spreadsheet takes what begins like a formula for one, and names come from
/// outside.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn columns(group: &ToldGroup) -> Vec<(String, String)> {
    let (provider, merchant, driver, name) = match &group.whose {
        Whose::All {} => (None, None, None, None),
        Whose::Provider { provider } => (Some(provider.as_str()), None, None, None),
        Whose::Merchant { merchant } => (None, Some(merchant.as_str()), None, None),
        Whose::Driver {
            provider,
            driver,
            name,
        } => (
            Some(provider.as_str()),
            None,
            driver.as_deref(),
            name.as_deref(),
        ),
    };
    let texts = [
        ("scope", Some(group.whose.scope())),
        ("provider", provider),
        ("merchant", merchant),
        ("driver", driver),
        ("driver_name", name),
    ];
    let counts = [
        ("orders", group.orders),
        ("delivered", group.delivered),
        ("failed", group.failed),
        ("canceled", group.canceled),
        ("returned", group.returned),
        ("under_way", group.under_way),
        ("without_status", group.without_status),
        ("reversed", group.reversed),
        ("backward", group.backward),
        ("reopened", group.reopened),
        ("corrected", group.corrected),
        ("standing_still", group.standing_still),
    ];
    let rates = [
        ("completion_rate", group.completion_rate),
        ("failure_rate", group.failure_rate),
        ("cancellation_rate", group.cancellation_rate),
    ];
    let mut columns = Vec::new();
    let mut push = |name: &str, value: String| columns.push((name.to_owned(), value));
    for (name, text) in texts {
        push(name, text.unwrap_or_default().to_owned());
    }
    for (name, count) in counts {
        push(name, count.to_string());
    }
    for (name, rate) in rates {
        push(name, told_rate(rate));
    }
    for span in Span::ALL {
        let (of, name) = (group.durations(span), span.as_str());
        push(&format!("{name}_orders"), of.orders.to_string());
        push(&format!("{name}_p50_seconds"), told(of.p50_seconds));
        push(&format!("{name}_p90_seconds"), told(of.p90_seconds));
        push(&format!("{name}_p99_seconds"), told(of.p99_seconds));
        push(&format!("{name}_skipped"), of.skipped.to_string());
        push(&format!("{name}_out_of_order"), of.out_of_order.to_string());
    }
    for promise in Promise::ALL {
        let (of, name) = (group.punctuality(promise), promise.as_str());
        push(&format!("{name}_on_time"), of.on_time.to_string());
        push(&format!("{name}_late"), of.late.to_string());
        push(&format!("{name}_no_promise"), of.no_promise.to_string());
        push(&format!("{name}_on_time_rate"), told_rate(of.on_time_rate));
        push(
            &format!("{name}_late_by_p50_seconds"),
            told(of.late_by_p50_seconds),
        );
        push(
            &format!("{name}_late_by_p90_seconds"),
            told(of.late_by_p90_seconds),
        );
        push(
            &format!("{name}_late_by_p99_seconds"),
            told(of.late_by_p99_seconds),
        );
    }
    columns
}

fn told(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |seconds| seconds.to_string())
}

fn told_rate(rate: Option<Rate>) -> String {
    rate.map_or_else(String::new, |rate| rate.value().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_never_a_formula() {
        for (text, expected) in [
            ("shop-1", "shop-1"),
            ("a, b", "\"a, b\""),
            ("say \"a\"", "\"say \"\"a\"\"\""),
            ("=1+1", "'=1+1"),
            ("@a,b", "\"'@a,b\""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
