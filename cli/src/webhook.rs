//! Webhooks as the providers send them.

use domain::{CredentialDigest, EpochMillis, Headers, Provider, Refusal, Topic, WebhookId};

use crate::http::{Connections, HttpAnswer, HttpError, WebhookAddress};
use crate::moment;

/// What an Armada webhook proves itself with.
#[derive(Clone, Debug)]
pub(crate) enum ArmadaCredential {
    /// v1.
    Installation {
        app_id: String,
        installation_id: String,
    },
    /// v2.
    Key { key_id: String },
}

impl ArmadaCredential {
    fn headers(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Installation {
                app_id,
                installation_id,
            } => vec![
                ("x-armada-api-version", "v1".to_owned()),
                ("x-armada-app-id", app_id.clone()),
                ("x-armada-installation-id", installation_id.clone()),
            ],
            Self::Key { key_id } => vec![
                ("x-armada-api-version", "v2".to_owned()),
                ("x-armada-key-id", key_id.clone()),
            ],
        }
    }

    /// The digest it is registered under.
    pub(crate) fn digest(&self) -> Result<CredentialDigest, Refusal> {
        digest(Provider::Armada, &self.headers())
    }
}

/// The digest that a Shipday token is registered under.
pub(crate) fn shipday_digest(token: &str) -> Result<CredentialDigest, Refusal> {
    digest(Provider::Shipday, &[("token", token.to_owned())])
}

/// Read by the very code that reads a received webhook's credential: what this registers, that finds.
fn digest(
    provider: Provider,
    headers: &[(&'static str, String)],
) -> Result<CredentialDigest, Refusal> {
    let mut received = Headers::default();
    for (name, value) in headers {
        received.add(name, value);
    }
    providers::adapter(provider)
        .credential(&received)
        .map(|credential| credential.digest(provider))
}

/// A webhook that is ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) provider: Provider,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Webhook {
    /// As Armada would send it.
    pub(crate) fn armada(
        credential: &ArmadaCredential,
        topic: &Topic,
        id: &WebhookId,
        sent_at: EpochMillis,
        body: Vec<u8>,
    ) -> Self {
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("user-agent", "Armada Delivery Solutions".to_owned()),
        ];
        headers.extend(credential.headers());
        headers.extend([
            ("x-armada-webhook-topic", topic.to_string()),
            ("x-armada-webhook-id", id.to_string()),
            ("x-armada-timestamp", moment::show(sent_at)),
        ]);
        Self {
            provider: Provider::Armada,
            headers,
            body,
        }
    }

    /// As Shipday would send it.
    pub(crate) fn shipday(token: &str, body: Vec<u8>) -> Self {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("token", token.to_owned()),
        ];
        Self {
            provider: Provider::Shipday,
            headers,
            body,
        }
    }

    /// Sends it. Blocks the thread.
    pub(crate) fn send(&self, address: &WebhookAddress) -> Result<HttpAnswer, HttpError> {
        self.send_over(&Connections::to(address.clone(), 1))
    }

    /// Sends it over connections that stay open. Blocks the thread.
    pub(crate) fn send_over(&self, connections: &Connections) -> Result<HttpAnswer, HttpError> {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        connections.post(&headers, &self.body)
    }
}

/// The URL with the key that its installation asks for.
pub(crate) fn with_url_key(url: &str, key: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}k={key}")
}

#[cfg(test)]
mod tests {
    use domain::Credential;

    use super::*;

    #[test]
    fn a_credential_is_registered_under_the_digest_that_it_is_looked_up_by() {
        let v1 = ArmadaCredential::Installation {
            app_id: "app".to_owned(),
            installation_id: "inst".to_owned(),
        };
        let v2 = ArmadaCredential::Key {
            key_id: "key".to_owned(),
        };

        assert_eq!(
            v1.digest(),
            Ok(Credential::armada_installation("app", "inst").digest(Provider::Armada))
        );
        assert_eq!(
            v2.digest(),
            Ok(Credential::single("key").digest(Provider::Armada))
        );
        assert_eq!(
            shipday_digest("token"),
            Ok(Credential::single("token").digest(Provider::Shipday))
        );
    }

    #[test]
    fn a_credential_that_could_never_arrive_is_refused() {
        assert_eq!(shipday_digest("a,b"), Err(Refusal::CredentialRepeated));
        assert_eq!(shipday_digest("a b"), Err(Refusal::CredentialMalformed));
    }

    #[test]
    fn the_url_key_is_added_to_any_url() {
        assert_eq!(
            with_url_key("https://example.com/a", "x"),
            "https://example.com/a?k=x"
        );
        assert_eq!(
            with_url_key("https://example.com/a?b=c", "x"),
            "https://example.com/a?b=c&k=x"
        );
    }
}
