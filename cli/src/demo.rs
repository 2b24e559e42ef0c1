//! What the local stack is filled with: an installation of every provider, and a webhook over each.
//!
//! The credentials are the ones in `events/gateway`, see `events/README.md`. They are good for nothing but a
//! local stack.

use std::collections::BTreeMap;

use aws::{InstallationsTable, SystemClock};
use domain::{
    Clock as _, EpochMillis, IdentifierError, Installation, InstallationState, MerchantId,
    OrderKey, PortError, Provider, RawWebhook, Refusal, Topic, WebhookId, authenticate,
};

use crate::samples::{self, SampleError};
use crate::secrets::{self, NoRandomness};
use crate::webhook::{ArmadaCredential, Webhook, shipday_digest};

/// Whose orders arrive over the demo installations.
pub(crate) const MERCHANT: &str = "demo-merchant";
/// The app id of Armada's demo installation.
pub(crate) const ARMADA_APP_ID: &str = "65f1c2d3e4a5b6c7d8e9f0a1";
/// The installation id of Armada's demo installation.
pub(crate) const ARMADA_INSTALLATION_ID: &str = "3b241101-e2bb-4255-8caf-4136c566a962";
/// The token of Shipday's demo installation.
pub(crate) const SHIPDAY_TOKEN: &str = "demo0token0demo0token0demo0token";

/// The demo data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A demo installation could not be registered.
    #[error("a demo installation was not registered")]
    Registration(#[source] PortError),
    /// A sample cannot be read.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// A credential here, or what is read from a sample, breaks a rule of the domain.
    #[error("the {provider} demo webhook is not what a receiver would take")]
    NotTaken {
        /// Whose.
        provider: Provider,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The sample names no order.
    #[error("the documented {0} sample names no order")]
    NoOrder(Provider),
    /// No webhook id could be made up.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// The credential of Armada's demo installation.
pub(crate) fn armada_credential() -> ArmadaCredential {
    ArmadaCredential::Installation {
        app_id: ARMADA_APP_ID.to_owned(),
        installation_id: ARMADA_INSTALLATION_ID.to_owned(),
    }
}

/// Registers the demo installations. Those that are registered stay as they are.
pub(crate) async fn register(table: &InstallationsTable) -> Result<(), DemoError> {
    for provider in Provider::ALL {
        let installation = installation(provider, SystemClock.now_ms())?;
        table
            .register(&installation)
            .await
            .map_err(DemoError::Registration)?;
    }
    Ok(())
}

fn installation(provider: Provider, now: EpochMillis) -> Result<Installation, DemoError> {
    let not_taken =
        |source: Box<dyn std::error::Error + Send + Sync>| DemoError::NotTaken { provider, source };
    let credential = match provider {
        Provider::Armada => armada_credential().digest(),
        Provider::Shipday => shipday_digest(SHIPDAY_TOKEN),
    };
    Ok(Installation {
        credential: credential.map_err(|refusal: Refusal| not_taken(refusal.into()))?,
        merchant_id: MerchantId::parse(MERCHANT)
            .map_err(|error: IdentifierError| not_taken(error.into()))?,
        state: InstallationState::Active,
        label: "Demo".to_owned(),
        created_at_ms: now,
        not_after_ms: None,
        url_key_sha256: None,
        company_id: None,
    })
}

/// A demo webhook and the order that it is about.
#[derive(Debug)]
pub(crate) struct DemoWebhook {
    pub(crate) webhook: Webhook,
    pub(crate) order: OrderKey,
}

/// The provider's own documented example, sent now over the demo installation.
pub(crate) fn documented(provider: Provider) -> Result<DemoWebhook, DemoError> {
    let now = SystemClock.now_ms();
    let invalid = |error: IdentifierError| DemoError::NotTaken {
        provider,
        source: error.into(),
    };
    let webhook = match provider {
        Provider::Armada => {
            let topic = Topic::parse("order.updated").map_err(invalid)?;
            let sample = samples::find(
                provider,
                "order.updated/documented.json".as_ref(),
                Some(&topic),
            )?;
            let id = WebhookId::parse(&secrets::webhook_id()?).map_err(invalid)?;
            Webhook::armada(&armada_credential(), &topic, &id, now, sample.body)
        }
        Provider::Shipday => {
            let sample = samples::find(provider, "documented.json".as_ref(), None)?;
            Webhook::shipday(SHIPDAY_TOKEN, sample.body)
        }
    };
    let order = order_of(&webhook, now)?.ok_or(DemoError::NoOrder(provider))?;
    Ok(DemoWebhook { webhook, order })
}

/// The order that the receiver will find in the webhook, found in the same way.
fn order_of(webhook: &Webhook, now: EpochMillis) -> Result<Option<OrderKey>, DemoError> {
    let provider = webhook.provider;
    let adapter = providers::adapter(provider);
    let retained = |(name, value): &(&'static str, String)| {
        adapter
            .retained_headers()
            .contains(name)
            .then(|| ((*name).to_owned(), value.clone()))
    };
    let raw = RawWebhook {
        provider,
        headers: webhook
            .headers
            .iter()
            .filter_map(retained)
            .collect::<BTreeMap<_, _>>(),
        url_key: None,
        body: webhook.body.clone(),
        received_at_ms: now,
    };
    let authenticated =
        authenticate(raw, Some(&installation(provider, now)?)).map_err(|refusal| {
            DemoError::NotTaken {
                provider,
                source: refusal.into(),
            }
        })?;
    Ok(adapter.read(&authenticated).order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credentials_are_those_of_the_sample_gateway_events() {
        let events = crate::repository_root().unwrap().join("events/gateway");
        let read = |name: &str| std::fs::read_to_string(events.join(name)).unwrap();

        let armada = read("http-api-v2-armada.json");
        assert!(armada.contains(ARMADA_APP_ID) && armada.contains(ARMADA_INSTALLATION_ID));
        assert!(read("http-api-v2-shipday.json").contains(SHIPDAY_TOKEN));
    }

    #[test]
    fn the_documented_webhooks_are_about_an_order() {
        for provider in Provider::ALL {
            let order = documented(provider).unwrap().order;

            assert_eq!(
                (order.provider, order.merchant_id.as_str()),
                (provider, MERCHANT)
            );
        }
    }
}
