//! What Armada and Shipday send, and what it means here.
//!
//! One folder per provider, the same file names in each: `credential` (what a sender proves itself with),
//! `payload` (the body, in the provider's spelling), `mapping` (words to statuses), `normalize` (a webhook
//! to its reading). docs/adding-a-provider.md lists what a third one needs.
//!
//! Like `domain`, this crate is pure: no I/O, no clock, no AWS.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod armada;
mod lenient_json;
pub mod shipday;

use domain::{Authenticated, Credential, Headers, Provider, ProviderRules, Reading, Refusal};

/// Everything the pipeline needs to know about one provider.
pub trait ProviderAdapter: ProviderRules + Send + Sync {
    /// The headers that carry credentials, in lower case.
    fn credential_headers(&self) -> &'static [&'static str];

    /// The headers that a record keeps, because reading the webhook needs them; in lower case.
    fn retained_headers(&self) -> &'static [&'static str];

    /// Whether an unauthenticated body is the provider's check of the URL when it is saved.
    fn is_url_check(&self, body: &[u8]) -> bool;

    /// What the sender claims to be, from the credential headers.
    ///
    /// # Errors
    /// The [`Refusal`] when there is no usable credential.
    fn credential(&self, headers: &Headers) -> Result<Credential, Refusal>;

    /// Reads a webhook. Total: whatever the body is, there is a reading.
    fn read(&self, webhook: &Authenticated) -> Reading;
}

/// The adapter of a provider.
pub fn adapter(provider: Provider) -> &'static dyn ProviderAdapter {
    match provider {
        Provider::Armada => &armada::Armada,
        Provider::Shipday => &shipday::Shipday,
    }
}
