//! Trust is a type: [`authenticate`] is the only way from a [`RawWebhook`] to an [`Authenticated`] one,
//! and nothing is parsed or written before that.

use std::collections::BTreeMap;
use std::fmt;

use subtle::ConstantTimeEq;

use crate::{BodySha256, CompanyId, EpochMillis, IdentifierError, MerchantId, Provider, Sha256Hex};

/// Longest credential accepted, in bytes; Shipday's tokens have 32, Armada's two ids about 60.
const MAX_CREDENTIAL_BYTES: usize = 256;

/// The few request headers an adapter asked for, by lower-case name, every occurrence kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<String, Vec<String>>);

impl Headers {
    /// Adds one occurrence of a header. Names match in any case.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0
            .entry(name.to_ascii_lowercase())
            .or_default()
            .push(value.into());
    }

    /// The header's values joined with a comma, as HTTP allows; `None` when it is absent or blank.
    pub fn joined(&self, name: &str) -> Option<String> {
        let joined = self.0.get(name)?.join(",");
        let trimmed = joined.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    /// One part of a credential: present once, visible ASCII, no comma (a gateway joins repeated headers
    /// with one), no blank.
    ///
    /// # Errors
    /// [`Refusal::CredentialMissing`], [`Refusal::CredentialRepeated`] or [`Refusal::CredentialMalformed`].
    pub fn credential_part(&self, name: &str) -> Result<&str, Refusal> {
        let value = match self.0.get(name).map(Vec::as_slice) {
            None | Some([]) => return Err(Refusal::CredentialMissing),
            Some([value]) => value.as_str(),
            Some([_, _, ..]) => return Err(Refusal::CredentialRepeated),
        };
        if value.is_empty() {
            Err(Refusal::CredentialMissing)
        } else if value.contains(',') {
            Err(Refusal::CredentialRepeated)
        } else if value.len() > MAX_CREDENTIAL_BYTES || !value.bytes().all(|b| b.is_ascii_graphic())
        {
            Err(Refusal::CredentialMalformed)
        } else {
            Ok(value)
        }
    }
}

impl fmt::Debug for Headers {
    /// Names only: a value may be a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a sender proves itself with. Kept only until its digest is taken.
pub struct Credential(String);

impl Credential {
    /// Armada v1: application id and installation id, which identify one merchant's installation together.
    pub fn armada_installation(app_id: &str, installation_id: &str) -> Self {
        Self([app_id, installation_id].join("\u{1f}"))
    }

    /// A credential in one piece: Armada v2's key id, Shipday's token.
    pub fn single(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The digest under which an installation is registered.
    pub fn digest(&self, provider: Provider) -> CredentialDigest {
        CredentialDigest {
            provider,
            sha256: Sha256Hex::of(self.0.as_bytes()),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(redacted)")
    }
}

/// The key of an installation: `<provider>#<sha-256 of the credential>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialDigest {
    /// Whose credential it is.
    pub provider: Provider,
    /// The digest of the credential.
    pub sha256: Sha256Hex,
}

impl CredentialDigest {
    /// Parses a key of the `installations` table.
    ///
    /// # Errors
    /// When it is not `<provider>#<64 hexadecimal digits>`.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let malformed = IdentifierError::Malformed("installation key");
        let (provider, sha256) = text.split_once('#').ok_or(malformed)?;
        Ok(Self {
            provider: provider.parse().map_err(|_| malformed)?,
            sha256: Sha256Hex::parse(sha256)?,
        })
    }
}

impl fmt::Display for CredentialDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.provider, self.sha256)
    }
}

/// The SHA-256 of the key in a registered URL (`?k=`), compared in constant time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlKeyDigest(Sha256Hex);

impl UrlKeyDigest {
    /// The digest of a URL key.
    pub fn of(url_key: &str) -> Self {
        Self(Sha256Hex::of(url_key.as_bytes()))
    }

    /// Parses 64 hexadecimal digits.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        Sha256Hex::parse(text).map(Self)
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    fn matches(&self, url_key: &str) -> bool {
        Self::of(url_key)
            .0
            .as_str()
            .as_bytes()
            .ct_eq(self.0.as_str().as_bytes())
            .into()
    }
}

/// Whether an installation's webhooks are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallationState {
    /// They are.
    Active,
    /// They are refused like an unknown credential.
    Disabled,
}

impl InstallationState {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// Reads the word in the table.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Disabled]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// One merchant's connection to one provider, as registered by the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The digest of its credential.
    pub credential: CredentialDigest,
    /// Whose orders arrive over it.
    pub merchant_id: MerchantId,
    /// Whether its webhooks are taken.
    pub state: InstallationState,
    /// A name for people.
    pub label: String,
    /// When it was registered.
    pub created_at_ms: EpochMillis,
    /// From when on its credential is no longer accepted.
    pub not_after_ms: Option<EpochMillis>,
    /// The digest of the key that must be in the registered URL.
    pub url_key_sha256: Option<UrlKeyDigest>,
    /// The company its webhooks must speak of.
    pub company_id: Option<CompanyId>,
}

/// A webhook as received, from a sender nobody knows yet.
#[derive(Clone)]
pub struct RawWebhook {
    /// Whose route it came in on.
    pub provider: Provider,
    /// The headers that the record keeps, see `ProviderAdapter::retained_headers`.
    pub headers: BTreeMap<String, String>,
    /// The key in the URL's query (`?k=`), when there is exactly one.
    pub url_key: Option<String>,
    /// The body, after the gateway's base64 is undone.
    pub body: Vec<u8>,
    /// When it arrived.
    pub received_at_ms: EpochMillis,
}

impl fmt::Debug for RawWebhook {
    /// Without what the sender wrote: the URL's key is a secret, and the body holds personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawWebhook")
            .field("provider", &self.provider)
            .field("received_at_ms", &self.received_at_ms)
            .finish_non_exhaustive()
    }
}

/// A webhook whose sender is known. Whoever holds one may read its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Authenticated {
    provider: Provider,
    merchant_id: MerchantId,
    company_id: Option<CompanyId>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    body_sha256: BodySha256,
    received_at_ms: EpochMillis,
}

/// Why a sender was refused. For our log only: every refusal gets the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header that carries the credential is absent or empty.
    #[error("credential missing")]
    CredentialMissing,
    /// A header that carries the credential came more than once.
    #[error("credential repeated")]
    CredentialRepeated,
    /// The credential has characters, or a length, that none has.
    #[error("credential malformed")]
    CredentialMalformed,
    /// No installation is registered for it.
    #[error("credential unknown")]
    Unknown,
    /// Its installation is disabled.
    #[error("installation disabled")]
    Disabled,
    /// Its installation is past `not_after_ms`.
    #[error("credential expired")]
    Expired,
    /// Its installation asks for a key in the URL, and there is none, or more than one.
    #[error("url key missing")]
    UrlKeyMissing,
    /// The key in the URL is not the registered one.
    #[error("url key wrong")]
    UrlKeyWrong,
}

impl Refusal {
    /// The word in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CredentialMissing => "credential_missing",
            Self::CredentialRepeated => "credential_repeated",
            Self::CredentialMalformed => "credential_malformed",
            Self::Unknown => "credential_unknown",
            Self::Disabled => "installation_disabled",
            Self::Expired => "credential_expired",
            Self::UrlKeyMissing => "url_key_missing",
            Self::UrlKeyWrong => "url_key_wrong",
        }
    }
}

/// Decides whether the webhook comes from a registered installation.
///
/// `installation` is what the registry holds for the digest of the webhook's credential.
///
/// # Errors
/// The [`Refusal`], for the log.
pub fn authenticate(
    raw: RawWebhook,
    installation: Option<&Installation>,
) -> Result<Authenticated, Refusal> {
    let installation = installation.ok_or(Refusal::Unknown)?;
    if installation.credential.provider != raw.provider {
        return Err(Refusal::Unknown);
    }
    match installation.state {
        InstallationState::Active => {}
        InstallationState::Disabled => return Err(Refusal::Disabled),
    }
    if installation
        .not_after_ms
        .is_some_and(|end| raw.received_at_ms >= end)
    {
        return Err(Refusal::Expired);
    }
    if let Some(expected) = &installation.url_key_sha256 {
        let url_key = raw.url_key.as_deref().ok_or(Refusal::UrlKeyMissing)?;
        if !expected.matches(url_key) {
            return Err(Refusal::UrlKeyWrong);
        }
    }
    let RawWebhook {
        provider,
        headers,
        url_key: _,
        body,
        received_at_ms,
    } = raw;
    Ok(Authenticated::new(
        provider,
        installation.merchant_id.clone(),
        installation.company_id.clone(),
        headers,
        body,
        received_at_ms,
    ))
}

impl Authenticated {
    /// Also used to read a stored record again: it was made from an authenticated webhook.
    pub(crate) fn new(
        provider: Provider,
        merchant_id: MerchantId,
        company_id: Option<CompanyId>,
        headers: BTreeMap<String, String>,
        body: Vec<u8>,
        received_at_ms: EpochMillis,
    ) -> Self {
        let body_sha256 = Sha256Hex::of(&body);
        Self {
            provider,
            merchant_id,
            company_id,
            headers,
            body,
            body_sha256,
            received_at_ms,
        }
    }

    /// Whose webhook it is.
    pub const fn provider(&self) -> Provider {
        self.provider
    }

    /// Whose orders it speaks of; known from the registry alone.
    pub const fn merchant_id(&self) -> &MerchantId {
        &self.merchant_id
    }

    /// The company its body must name, when the installation says one.
    pub const fn company_id(&self) -> Option<&CompanyId> {
        self.company_id.as_ref()
    }

    /// A retained header, by lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// All retained headers.
    pub const fn headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }

    /// The body as received.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body's digest.
    pub const fn body_sha256(&self) -> &BodySha256 {
        &self.body_sha256
    }

    /// When it was received.
    pub const fn received_at_ms(&self) -> EpochMillis {
        self.received_at_ms
    }
}

impl fmt::Debug for Authenticated {
    /// Without the body, which holds personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated")
            .field("provider", &self.provider)
            .field("merchant_id", &self.merchant_id)
            .field("body_sha256", &self.body_sha256)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation() -> Installation {
        Installation {
            credential: Credential::single("right").digest(Provider::Shipday),
            merchant_id: MerchantId::parse("shop-1").unwrap(),
            state: InstallationState::Active,
            label: "Shop 1".to_owned(),
            created_at_ms: EpochMillis::new(0),
            not_after_ms: None,
            url_key_sha256: None,
            company_id: None,
        }
    }

    fn raw() -> RawWebhook {
        RawWebhook {
            provider: Provider::Shipday,
            headers: BTreeMap::new(),
            url_key: None,
            body: b"{}".to_vec(),
            received_at_ms: EpochMillis::new(1_000),
        }
    }

    #[test]
    fn a_registered_active_installation_is_trusted() {
        let webhook = authenticate(raw(), Some(&installation())).unwrap();

        assert_eq!(webhook.merchant_id().as_str(), "shop-1");
    }

    #[test]
    fn every_defect_has_its_own_reason() {
        let with = |change: fn(&mut Installation)| {
            let mut changed = installation();
            change(&mut changed);
            authenticate(raw(), Some(&changed)).unwrap_err()
        };

        assert_eq!(authenticate(raw(), None).unwrap_err(), Refusal::Unknown);
        assert_eq!(
            with(|i| i.state = InstallationState::Disabled),
            Refusal::Disabled
        );
        assert_eq!(
            with(|i| i.not_after_ms = Some(EpochMillis::new(1_000))),
            Refusal::Expired
        );
        assert_eq!(
            with(|i| i.url_key_sha256 = Some(UrlKeyDigest::of("key"))),
            Refusal::UrlKeyMissing
        );
        assert_eq!(
            with(|i| i.credential.provider = Provider::Armada),
            Refusal::Unknown
        );
    }

    #[test]
    fn a_url_key_is_compared_with_its_digest() {
        let mut registered = installation();
        registered.url_key_sha256 = Some(UrlKeyDigest::of("key"));
        let with_key = |key: &str| {
            let mut webhook = raw();
            webhook.url_key = Some(key.to_owned());
            authenticate(webhook, Some(&registered)).map(|_| ())
        };

        assert_eq!(with_key("key"), Ok(()));
        assert_eq!(with_key("kez"), Err(Refusal::UrlKeyWrong));
        assert_eq!(with_key(""), Err(Refusal::UrlKeyWrong));
    }

    #[test]
    fn a_credential_part_must_be_there_once_and_readable() {
        let part = |values: &[&str]| {
            let mut headers = Headers::default();
            for value in values {
                headers.add("Token", *value);
            }
            headers.credential_part("token").map(str::to_owned)
        };

        assert_eq!(part(&["abc"]), Ok("abc".to_owned()));
        assert_eq!(part(&[]), Err(Refusal::CredentialMissing));
        assert_eq!(part(&[""]), Err(Refusal::CredentialMissing));
        assert_eq!(part(&["abc", "abc"]), Err(Refusal::CredentialRepeated));
        assert_eq!(part(&["abc,abc"]), Err(Refusal::CredentialRepeated));
        assert_eq!(part(&["a bc"]), Err(Refusal::CredentialMalformed));
        assert_eq!(part(&["töken"]), Err(Refusal::CredentialMalformed));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let mut headers = Headers::default();
        headers.add("token", "s3cret");

        assert!(!format!("{headers:?}").contains("s3cret"));
        assert!(!format!("{:?}", Credential::single("s3cret")).contains("s3cret"));
        assert!(
            !format!("{:?}", authenticate(raw(), Some(&installation())).unwrap()).contains("{}")
        );
    }

    #[test]
    fn armadas_two_ids_cannot_be_shifted_into_one_another() {
        let digest = |app: &str, installation: &str| {
            Credential::armada_installation(app, installation).digest(Provider::Armada)
        };

        assert_ne!(digest("ab", "c"), digest("a", "bc"));
    }
}
