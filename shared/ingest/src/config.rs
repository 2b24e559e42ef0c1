//! What a webhook function reads from its environment, beside the names of tables and queue.

use crate::source_address::{SourceAddresses, SourceIpMode};

/// Largest body accepted by default, in bytes.
const DEFAULT_MAX_BODY_BYTES: usize = 262_144;
/// Largest limit that may be set: with its other attributes a record must stay within DynamoDB's 400 KB.
const MAX_BODY_BYTES_CEILING: usize = 358_400;
/// Most bytes of headers accepted. A gateway lets 10,240 in and adds its own; what a record keeps is among them.
pub(crate) const MAX_HEADER_BYTES: usize = 16_384;

/// The limits of a receiver.
#[derive(Clone, Debug)]
pub struct Config {
    /// A longer body is answered 413.
    pub max_body_bytes: usize,
    /// Where the provider sends from, and what happens to others.
    pub source_addresses: SourceAddresses,
}

/// A variable has a value that cannot be used. The function does not start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `MAX_BODY_BYTES` is no number, or none in its range.
    #[error("MAX_BODY_BYTES is `{0}`: use a number of bytes from 1 to {MAX_BODY_BYTES_CEILING}")]
    MaxBodyBytes(String),
    /// `SOURCE_IP_MODE` names no mode.
    #[error("SOURCE_IP_MODE is `{0}`: use `off`, `report` or `enforce`")]
    SourceIpMode(String),
    /// `SOURCE_CIDRS` has something that is no network.
    #[error(
        "SOURCE_CIDRS has `{0}`: use networks such as 203.0.113.0/24 or 2001:db8::/32, separated by commas"
    )]
    SourceCidrs(String),
}

impl Config {
    /// Reads the configuration through `lookup`, which gives a variable's value.
    ///
    /// # Errors
    /// The variable that cannot be used, with its value.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let max_body_bytes = match lookup("MAX_BODY_BYTES") {
            None => DEFAULT_MAX_BODY_BYTES,
            Some(text) => text
                .parse()
                .ok()
                .filter(|bytes| (1..=MAX_BODY_BYTES_CEILING).contains(bytes))
                .ok_or(ConfigError::MaxBodyBytes(text))?,
        };
        let mode = match lookup("SOURCE_IP_MODE") {
            None => SourceIpMode::Off,
            Some(text) => SourceIpMode::parse(&text).ok_or(ConfigError::SourceIpMode(text))?,
        };
        let networks = lookup("SOURCE_CIDRS")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|network| !network.is_empty())
            .map(|network| {
                SourceAddresses::parse_network(network).ok_or_else(|| network.to_owned())
            })
            .collect::<Result<_, _>>()
            .map_err(ConfigError::SourceCidrs)?;
        Ok(Self {
            max_body_bytes,
            source_addresses: SourceAddresses::new(mode, networks),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(|name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn everything_has_a_default() {
        assert_eq!(with(&[]).unwrap().max_body_bytes, 262_144);
    }

    #[test]
    fn a_bad_value_is_named_with_its_variable() {
        for (name, value) in [
            ("MAX_BODY_BYTES", "many"),
            ("MAX_BODY_BYTES", "0"),
            ("MAX_BODY_BYTES", "999999999"),
            ("SOURCE_IP_MODE", "on"),
            ("SOURCE_CIDRS", "203.0.113.0/24,here"),
            ("SOURCE_CIDRS", "203.0.113.0/33"),
        ] {
            let message = with(&[(name, value)]).unwrap_err().to_string();

            assert!(message.starts_with(name), "{message}");
        }
    }

    #[test]
    fn a_single_address_is_a_network_too() {
        assert!(with(&[("SOURCE_CIDRS", " 203.0.113.7 , 2001:db8::/32 ")]).is_ok());
    }
}
