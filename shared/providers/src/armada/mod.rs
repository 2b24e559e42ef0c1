//! Armada Delivery.
//!
//! Sources, read in 2026: <https://docs.armadadelivery.com/v1/webhooks/order-updated> (the webhook this
//! adapter is made for), `/v0/webhooks` and `/v2/webhooks` (other spellings and topics), and the response
//! model of the official `armadadelivery/sdk-go`, where no field is required.
//!
//! Not known: whether and how often v1 retries, whether a retry keeps its `x-armada-webhook-id`, any
//! signature or source address, and the shape of `driver` before one is assigned. Hence: an installation
//! may ask for a key in the URL, the fold counts a repeated id once, and every field is optional.

mod credential;
mod mapping;
mod normalize;
mod payload;

use domain::{
    Authenticated, Credential, Headers, Meaning, Provider, ProviderClock, ProviderRules,
    ProviderWord, Reading, Refusal,
};

use crate::ProviderAdapter;

/// Names the webhook: the dedupe key is made of it.
const WEBHOOK_ID: &str = "x-armada-webhook-id";
/// Says what kind of webhook it is.
const TOPIC: &str = "x-armada-webhook-topic";
/// When it was *sent*, ISO 8601: the body has no time of the status change.
const TIMESTAMP: &str = "x-armada-timestamp";
/// The generation of the API: `v1` or `v2`.
const API_VERSION: &str = "x-armada-api-version";

/// The adapter for Armada.
#[derive(Clone, Copy, Debug)]
pub struct Armada;

impl ProviderRules for Armada {
    fn provider(&self) -> Provider {
        Provider::Armada
    }

    fn clock(&self) -> ProviderClock {
        ProviderClock::SendingTime
    }

    fn meaning(&self, word: &ProviderWord) -> Meaning {
        mapping::meaning(word)
    }
}

impl ProviderAdapter for Armada {
    fn credential_headers(&self) -> &'static [&'static str] {
        &[
            credential::APP_ID,
            credential::INSTALLATION_ID,
            credential::KEY_ID,
        ]
    }

    fn retained_headers(&self) -> &'static [&'static str] {
        &[WEBHOOK_ID, TOPIC, TIMESTAMP, API_VERSION]
    }

    fn is_url_check(&self, _body: &[u8]) -> bool {
        false
    }

    fn credential(&self, headers: &Headers) -> Result<Credential, Refusal> {
        credential::credential(headers)
    }

    fn read(&self, webhook: &Authenticated) -> Reading {
        normalize::read(webhook)
    }
}
