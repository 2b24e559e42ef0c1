//! Identifiers. Each is a newtype with one `parse`, so that no `#` or control character can ever get
//! into a table key.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A delivery provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Armada Delivery, <https://docs.armadadelivery.com>.
    Armada,
    /// Shipday, <https://docs.shipday.com>.
    Shipday,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 2] = [Self::Armada, Self::Shipday];

    /// The word used in keys, routes and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Armada => "armada",
            Self::Shipday => "shipday",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.as_str() == text)
            .ok_or_else(|| UnknownProvider(text.to_owned()))
    }
}

/// The text names no provider.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown provider `{0}`: use `armada` or `shipday`")]
pub struct UnknownProvider(String);

/// The text cannot be this kind of identifier. The text itself is not repeated: it comes from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Nothing is left after trimming blanks.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// It has more bytes than a key part may have.
    #[error("the {0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
    /// It has a character that would break a table key, or a queue's message group.
    #[error(
        "the {0} has a character that a key cannot hold; use letters, digits, `-`, `_` and `.`"
    )]
    Forbidden(&'static str),
    /// It is not 64 lower-case hexadecimal digits.
    #[error("the {0} is not a SHA-256 in 64 lower-case hexadecimal digits")]
    NotADigest(&'static str),
    /// It is not of the form this project writes.
    #[error("the {0} is not of the form this system writes")]
    Malformed(&'static str),
}

/// `#` separates the parts of a key.
fn breaks_a_key(c: char) -> bool {
    c == '#' || c.is_control()
}

macro_rules! key_part {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max_bytes:literal, $forbidden:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String")]
        #[cfg_attr(feature = "schema", schemars(with = "String"))]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Parses a ", $what, ": blanks around it are dropped, 1 to ", $max_bytes, " bytes remain.")]
            ///
            /// # Errors
            /// When nothing remains, too much remains, or a character is in it that a key cannot hold.
            pub fn parse(text: &str) -> Result<Self, IdentifierError> {
                let text = text.trim();
                if text.is_empty() {
                    Err(IdentifierError::Empty($what))
                } else if text.len() > $max_bytes {
                    Err(IdentifierError::TooLong($what, $max_bytes))
                } else if text.chars().any($forbidden) {
                    Err(IdentifierError::Forbidden($what))
                } else {
                    Ok(Self(text.to_owned()))
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdentifierError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(part: $name) -> Self {
                part.0
            }
        }

        impl FromStr for $name {
            type Err = IdentifierError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }
    };
}

key_part!(
    /// Whose orders are delivered. Given by the operator, never by a sender.
    MerchantId, "merchant id", 64,
    |c| !(c.is_ascii_alphanumeric() || "-_.".contains(c))
);
key_part!(
    /// The courier job at the provider: Armada's `code`, Shipday's `order.id`.
    OrderId, "order id", 128,
    breaks_a_key
);
key_part!(
    /// What kind of webhook the provider says it is: Armada's `x-armada-webhook-topic`, Shipday's `event`.
    Topic, "topic", 64,
    breaks_a_key
);
key_part!(
    /// The id the provider gave the webhook: Armada's `x-armada-webhook-id`.
    WebhookId, "webhook id", 128,
    breaks_a_key
);
key_part!(
    /// The provider's own number for the merchant: Shipday's `company.id`.
    CompanyId, "company id", 64,
    breaks_a_key
);
key_part!(
    /// Drawn at random for every handler call; tells our own write from somebody else's.
    RequestId, "request id", 64,
    breaks_a_key
);

impl WebhookId {
    /// The id for the timeline: the provider's own, or the first 16 hexadecimal digits of its SHA-256 where it
    /// cannot be part of a key.
    pub fn or_digest(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self(short_digest(text)))
    }
}

/// A SHA-256 in 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
pub struct Sha256Hex(String);

/// The digest of a webhook's body, as received.
pub type BodySha256 = Sha256Hex;

impl Sha256Hex {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256_hex(bytes))
    }

    /// Parses 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 64 && text.bytes().all(is_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdentifierError::NotADigest("digest"))
        }
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Sha256Hex {
    type Error = IdentifierError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Sha256Hex> for String {
    fn from(digest: Sha256Hex) -> Self {
        digest.0
    }
}

/// The first 16 hexadecimal digits of the SHA-256 of `text`: enough to tell texts of one order or one log apart.
pub fn short_digest(text: &str) -> String {
    sha256_hex(text.as_bytes()).chars().take(16).collect()
}

/// The SHA-256 of `bytes` in 64 lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
            hex
        })
}

/// An id from outside as it may stand in a log: itself if it is 1 to 64 of `A-Z a-z 0-9 _ . : -`, else the
/// beginning of its digest.
pub fn loggable(id: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
    if (1..=64).contains(&id.len()) && id.bytes().all(plain) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(format!("sha256:{}", short_digest(id)))
    }
}

/// Which order: `<merchant>#<provider>#<order>`, the partition key of the `orders` table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey {
    /// Whose order it is.
    pub merchant_id: MerchantId,
    /// Who carries it.
    pub provider: Provider,
    /// The provider's id of it.
    pub order_id: OrderId,
}

impl OrderKey {
    /// Parses `<merchant>#<provider>#<order>`.
    ///
    /// # Errors
    /// When it is not of that form, or a part of it is none.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let malformed = IdentifierError::Malformed("order key");
        let mut parts = text.split('#');
        let (Some(merchant), Some(provider), Some(order), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed);
        };
        Ok(Self {
            merchant_id: MerchantId::parse(merchant)?,
            provider: provider.parse().map_err(|_| malformed)?,
            order_id: OrderId::parse(order)?,
        })
    }
}

impl FromStr for OrderKey {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}#{}#{}",
            self.merchant_id, self.provider, self.order_id
        )
    }
}

/// Longest partition key that DynamoDB takes, in bytes.
const MAX_KEY_BYTES: usize = 2_048;

/// The key of a webhook record. Equal keys mean: probably the same webhook, compare the bodies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
pub struct WebhookKey(String);

impl WebhookKey {
    /// `armada#<merchant>#<topic>#<webhook id>`. The topic is in it because Armada reuses one id for a
    /// whole series of location updates, the merchant so that nobody can use up another's ids.
    pub fn armada(merchant: &MerchantId, topic: &Topic, id: &WebhookId) -> Self {
        let parts = [
            Provider::Armada.as_str(),
            merchant.as_str(),
            topic.as_str(),
            id.as_str(),
        ];
        Self(parts.join("#"))
    }

    /// `shipday#<merchant>#<order id>#<event>#<timestamp in ms>`: Shipday sends no id of its own.
    pub fn shipday(
        merchant: &MerchantId,
        order: &OrderId,
        event: &Topic,
        timestamp: crate::EpochMillis,
    ) -> Self {
        let parts = [
            Provider::Shipday.as_str(),
            merchant.as_str(),
            order.as_str(),
            event.as_str(),
            &timestamp.to_string(),
        ];
        Self(parts.join("#"))
    }

    /// `<provider>#<merchant>#body#<sha-256>`, for a webhook that lacks a readable part of its key.
    pub fn of_body(provider: Provider, merchant: &MerchantId, body: &BodySha256) -> Self {
        Self([provider.as_str(), merchant.as_str(), "body", body.as_str()].join("#"))
    }

    /// The key for another body under a known id: this key, `#`, the body's digest.
    #[must_use]
    pub fn for_other_body(&self, body: &BodySha256) -> Self {
        Self(format!("{}#{body}", self.0))
    }

    /// Parses a key this project has written before.
    ///
    /// # Errors
    /// When it has fewer than four parts, an empty or unreadable part, no known provider in front, or a length that
    /// no table takes.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        if text.len() > MAX_KEY_BYTES {
            return Err(IdentifierError::TooLong("webhook key", MAX_KEY_BYTES));
        }
        let mut parts = text.split('#');
        let known = parts.next().is_some_and(|p| p.parse::<Provider>().is_ok());
        let (mut rest, readable) = parts.fold((0, true), |(n, ok), p| {
            (
                n + 1,
                ok && !p.is_empty() && !p.chars().any(char::is_control),
            )
        });
        rest += usize::from(known);
        if known && readable && rest >= 4 {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdentifierError::Malformed("webhook key"))
        }
    }

    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for WebhookKey {
    type Error = IdentifierError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<WebhookKey> for String {
    fn from(key: WebhookKey) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_part_is_trimmed_and_must_not_break_a_key() {
        assert_eq!(
            MerchantId::parse(" shop-1 ").map(String::from),
            Ok("shop-1".to_owned())
        );
        assert_eq!(
            MerchantId::parse("  "),
            Err(IdentifierError::Empty("merchant id"))
        );
        assert!(
            MerchantId::parse("shop 1").is_err(),
            "a message group has no blanks"
        );
        assert_eq!(
            OrderId::parse("a#b"),
            Err(IdentifierError::Forbidden("order id"))
        );
        assert_eq!(
            OrderId::parse("a\u{7}b"),
            Err(IdentifierError::Forbidden("order id"))
        );
        assert_eq!(
            Topic::parse(&"x".repeat(65)),
            Err(IdentifierError::TooLong("topic", 64))
        );
    }

    #[test]
    fn an_error_never_repeats_what_came_from_outside() {
        let error = OrderId::parse("secret#value").unwrap_err();

        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn an_order_key_is_read_as_it_is_written() {
        let key = OrderKey {
            merchant_id: MerchantId::parse("shop-1").unwrap(),
            provider: Provider::Shipday,
            order_id: OrderId::parse("A 1").unwrap(),
        };

        assert_eq!(OrderKey::parse(&key.to_string()), Ok(key));
        for wrong in [
            "",
            "shop-1#shipday",
            "shop-1#shipday#",
            "shop-1#glovo#1",
            "a#shipday#1#2",
        ] {
            assert!(OrderKey::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_holds_no_separator_and_no_control_character(text in any::<String>()) {
            if let Ok(id) = WebhookId::parse(&text) {
                prop_assert!(!id.as_str().contains('#'));
                prop_assert!(!id.as_str().chars().any(char::is_control));
                prop_assert_eq!(WebhookId::parse(id.as_str()), Ok(id.clone()));
            }
        }

        #[test]
        fn different_parts_never_share_a_key(
            a in ("[a-z.-]{1,4}", "[^#[:cntrl:] ]{1,8}", "[^#[:cntrl:] ]{1,8}"),
            b in ("[a-z.-]{1,4}", "[^#[:cntrl:] ]{1,8}", "[^#[:cntrl:] ]{1,8}"),
        ) {
            let key = |(m, t, i): &(String, String, String)| {
                Some(WebhookKey::armada(
                    &MerchantId::parse(m).ok()?, &Topic::parse(t).ok()?, &WebhookId::parse(i).ok()?))
            };
            if let (Some(first), Some(second)) = (key(&a), key(&b)) {
                prop_assert_eq!(first == second, a == b);
            }
        }

        #[test]
        fn a_written_key_can_be_read_again(merchant in "[a-z0-9-]{1,20}", order in "[A-Z0-9]{1,20}", at in any::<u64>()) {
            let merchant = MerchantId::parse(&merchant).unwrap();
            let event = Topic::parse("ORDER_ASSIGNED").unwrap();
            let key = WebhookKey::shipday(&merchant, &OrderId::parse(&order).unwrap(), &event, crate::EpochMillis::new(at));

            prop_assert_eq!(WebhookKey::parse(key.as_str()), Ok(key.clone()));
            let other = key.for_other_body(&Sha256Hex::of(b"body"));
            prop_assert_eq!(WebhookKey::parse(other.as_str()), Ok(other.clone()));
        }
    }
}
