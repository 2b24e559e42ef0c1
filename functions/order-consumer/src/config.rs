//! What the consumer reads from its environment, beside the names of tables and queues.

use domain::Millis;

/// How long a record is kept after it was closed as applied, by default.
const DEFAULT_RETENTION_DAYS: u64 = 30;
/// Shorter, a dead-letter message (14 days) could outlive the record it speaks of.
const MIN_RETENTION_DAYS: u64 = 15;
/// Longer, the customers' names and addresses in the raw bodies would be kept without need.
const MAX_RETENTION_DAYS: u64 = 400;

/// The consumer's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a record is kept after it was closed as applied.
    pub retention: Millis,
}

/// A variable has a value that cannot be used. The function does not start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `RETENTION_DAYS` is no number, or none in its range.
    #[error(
        "RETENTION_DAYS is `{0}`: use a number of days from {MIN_RETENTION_DAYS} to {MAX_RETENTION_DAYS}"
    )]
    RetentionDays(String),
}

impl Config {
    /// Reads the settings through `lookup`, which gives a variable's value.
    ///
    /// # Errors
    /// The variable that cannot be used, with its value.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let days = match lookup("RETENTION_DAYS") {
            None => DEFAULT_RETENTION_DAYS,
            Some(text) => text
                .parse()
                .ok()
                .filter(|days| (MIN_RETENTION_DAYS..=MAX_RETENTION_DAYS).contains(days))
                .ok_or(ConfigError::RetentionDays(text))?,
        };
        Ok(Self {
            retention: Millis::from_days(days),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_has_a_default_and_bounds() {
        let with = |value: Option<&str>| Config::from_lookup(|_| value.map(str::to_owned));

        assert_eq!(
            with(None),
            Ok(Config {
                retention: Millis::from_days(30)
            })
        );
        assert_eq!(
            with(Some("15")),
            Ok(Config {
                retention: Millis::from_days(15)
            })
        );
        for bad in ["14", "soon", "-1", "401"] {
            assert!(
                with(Some(bad))
                    .unwrap_err()
                    .to_string()
                    .starts_with("RETENTION_DAYS"),
                "{bad}"
            );
        }
    }
}
