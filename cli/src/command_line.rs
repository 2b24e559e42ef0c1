//! Commands that are told, to be pasted into a shell.

use domain::OrderKey;

use crate::arguments::StackChoice;

/// `hookctl`, and which stack it speaks to.
pub(crate) fn hookctl(choice: &StackChoice) -> String {
    let options = [
        ("stack-name", &choice.stack_name),
        ("region", &choice.region),
        ("profile", &choice.profile),
    ];
    let mut hookctl = "hookctl".to_owned();
    for (name, value) in options {
        if let Some(value) = value {
            hookctl.push_str(&format!(" --{name} {}", quoted(value)));
        }
    }
    hookctl
}

/// An order as the words of a command.
pub(crate) fn words(order: &OrderKey) -> String {
    let OrderKey {
        merchant_id,
        provider,
        order_id,
    } = order;
    format!(
        "{} {provider} {}",
        quoted(merchant_id.as_str()),
        quoted(order_id.as_str())
    )
}

/// A text as one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_./:-".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
