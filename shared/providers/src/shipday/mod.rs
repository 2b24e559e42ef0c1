//! Shipday.
//!
//! Sources, read in 2026: <https://docs.shipday.com/reference/shipday-webhoks> and
//! `/reference/order-status-update-2` (two stored versions, the older one with its braces intact), and
//! public receivers such as `victorycodedev/shipday`, `igniter-labs/ti-ext-shipday` and
//! `CycleCourierCo/courier-scheduler-ninja` for what really arrives.
//!
//! Not known: whether Shipday retries, what a status code does, whether the URL is really probed when it
//! is saved, and which fields may be null. Field reports say that a missed event is not sent again.

mod credential;
mod mapping;
mod normalize;
mod payload;

use domain::{
    Authenticated, Credential, Headers, Meaning, Provider, ProviderClock, ProviderRules,
    ProviderWord, Reading, Refusal,
};

use crate::ProviderAdapter;

/// The adapter for Shipday.
#[derive(Clone, Copy, Debug)]
pub struct Shipday;

impl ProviderRules for Shipday {
    fn provider(&self) -> Provider {
        Provider::Shipday
    }

    fn clock(&self) -> ProviderClock {
        ProviderClock::EventTime
    }

    fn meaning(&self, word: &ProviderWord) -> Meaning {
        mapping::meaning(word)
    }
}

impl ProviderAdapter for Shipday {
    fn credential_headers(&self) -> &'static [&'static str] {
        &[credential::TOKEN]
    }

    /// None: everything is in the body, and the only header that matters is a secret.
    fn retained_headers(&self) -> &'static [&'static str] {
        &[]
    }

    /// An empty body, or `{}`. Several public receivers report it; no Shipday page confirms it.
    fn is_url_check(&self, body: &[u8]) -> bool {
        let text = body.trim_ascii();
        text.is_empty()
            || text
                .strip_prefix(b"{")
                .and_then(|rest| rest.strip_suffix(b"}"))
                .is_some_and(|inner| inner.trim_ascii().is_empty())
    }

    fn credential(&self, headers: &Headers) -> Result<Credential, Refusal> {
        credential::credential(headers)
    }

    fn read(&self, webhook: &Authenticated) -> Reading {
        normalize::read(webhook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_body_or_object_is_a_check_of_the_url() {
        for check in ["", " \n", "{}", " { } "] {
            assert!(Shipday.is_url_check(check.as_bytes()), "{check:?}");
        }
        for other in ["[]", "{\"a\":1}", "{", "null"] {
            assert!(!Shipday.is_url_check(other.as_bytes()), "{other:?}");
        }
    }
}
