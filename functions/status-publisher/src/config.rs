//! What the publisher reads from its environment, beside the names of table, queue and bus.

use domain::ToldOf;

/// The longest that SQS delays a message.
const MAX_HOLD_SECONDS: u16 = 900;

/// The publisher's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a change to `delivered` or `failed` is held back; 0 publishes it at once.
    pub hold_seconds: u16,
    /// What a change tells beside the status.
    pub told_of: ToldOf,
}

/// A variable has a value that cannot be used. The function does not start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `HOLD_SECONDS` is no number, or none in its range.
    #[error("HOLD_SECONDS is `{0}`: use a number of seconds from 0 to {MAX_HOLD_SECONDS}")]
    HoldSeconds(String),
    /// `PUBLISH_DRIVER` is neither word.
    #[error("PUBLISH_DRIVER is `{0}`: use `true` or `false`")]
    PublishDriver(String),
}

impl Config {
    /// Reads the settings through `lookup`, which gives a variable's value.
    ///
    /// # Errors
    /// The variable that cannot be used, with its value.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let hold_seconds = match lookup("HOLD_SECONDS") {
            None => 0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| *seconds <= MAX_HOLD_SECONDS)
                .ok_or(ConfigError::HoldSeconds(text))?,
        };
        let told_of = match lookup("PUBLISH_DRIVER").as_deref() {
            None | Some("false") => ToldOf::StatusAlone,
            Some("true") => ToldOf::DriverToo,
            Some(other) => return Err(ConfigError::PublishDriver(other.to_owned())),
        };
        Ok(Self {
            hold_seconds,
            told_of,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Config, ConfigError> {
        Config::from_lookup(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn nothing_is_held_and_no_driver_told_unless_asked_for() {
        let default = Config {
            hold_seconds: 0,
            told_of: ToldOf::StatusAlone,
        };
        assert_eq!(Config::from_lookup(|_| None), Ok(default));
        assert_eq!(with("PUBLISH_DRIVER", "false"), Ok(default));
        assert_eq!(with("HOLD_SECONDS", "0"), Ok(default));
        assert_eq!(with("HOLD_SECONDS", "900").unwrap().hold_seconds, 900);
        assert_eq!(
            with("PUBLISH_DRIVER", "true").unwrap().told_of,
            ToldOf::DriverToo
        );
    }

    #[test]
    fn a_bad_value_is_named() {
        for (name, value) in [
            ("HOLD_SECONDS", "901"),
            ("HOLD_SECONDS", "-1"),
            ("HOLD_SECONDS", "soon"),
            ("PUBLISH_DRIVER", "yes"),
        ] {
            let error = with(name, value).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{name} is `{value}`")),
                "{error}"
            );
        }
    }
}
