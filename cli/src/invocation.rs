//! Commands of this program, to be pasted into a shell.

use domain::OrderKey;

use crate::arguments::StackChoice;

/// How this program is called for one stack.
#[derive(Clone, Debug)]
pub(crate) struct Invocation(String);

impl Invocation {
    /// By this name, with the options that say which stack.
    pub(crate) fn new(program: &str, choice: &StackChoice) -> Self {
        let options = [
            ("stack-name", &choice.stack_name),
            ("region", &choice.region),
            ("profile", &choice.profile),
        ];
        let mut program = program.to_owned();
        for (name, value) in options {
            if let Some(value) = value {
                program.push_str(&format!(" --{name} {}", quoted(value)));
            }
        }
        Self(program)
    }

    /// The line that runs this command with it.
    pub(crate) fn of(&self, command: &str) -> String {
        format!("{} {command}", self.0)
    }
}

/// The order as the arguments of a command.
pub(crate) fn order_words(order: &OrderKey) -> String {
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
