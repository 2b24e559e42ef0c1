//! One provider's part of a smoke test: an installation, an order, and the webhooks that tell of it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::error::Error as _;
use std::sync::Arc;

use domain::{
    EpochMillis, Installation, InstallationState, MerchantId, Provider, UrlKeyDigest, WebhookKey,
};

use super::SmokeError;
use super::check::{Ended, Wrong};
use crate::http::WebhookAddress;
use crate::secrets;
use crate::simulate::{
    Answered, Credentials, Delivery, Disturbances, Plan, PlannedOrder, Scenario,
};
use crate::stack::Stack;
use crate::webhook::{ArmadaCredential, Webhook, shipday_digest, with_url_key};

/// The seed of two orders that are delivered. Their webhooks are always the same; the merchant is another one every time.
const SEED: u32 = 4;
/// What an installation says of itself to whoever lists them.
const LABEL: &str = "temporary, of `hookctl smoke`";

/// What a webhook proves itself with, in any provider's headers.
const CREDENTIAL_HEADERS: [&str; 3] = ["token", "x-armada-app-id", "x-armada-installation-id"];

#[derive(Debug)]
pub(super) struct Part {
    pub(super) provider: Provider,
    pub(super) installation: Installation,
    pub(super) order: PlannedOrder,
    deliveries: Vec<Delivery>,
    /// The first of its webhooks.
    first: Webhook,
    /// Where its webhooks go, and where they would go without the key of its installation.
    address: WebhookAddress,
    bare_address: WebhookAddress,
    /// Whether its installation may be registered.
    pub(super) may_be_registered: Cell<bool>,
    /// Whether a webhook may be stored.
    pub(super) may_be_stored: Cell<bool>,
    /// How many webhooks about its order were accepted.
    pub(super) accepted: Cell<usize>,
}

impl Part {
    /// A part for each provider, of a merchant and with credentials that nobody else has.
    pub(super) fn draw(
        stack: &Stack,
        now: EpochMillis,
        not_after: EpochMillis,
    ) -> Result<Vec<Self>, SmokeError> {
        let merchant = MerchantId::parse(&format!("smoke-test-{}", secrets::nonce()?))?;
        let armada = ArmadaCredential::Installation {
            app_id: "smoke-test".to_owned(),
            installation_id: secrets::nonce()? + &secrets::nonce()?,
        };
        let (shipday_token, url_key) = (secrets::shipday_token()?, secrets::url_key()?);
        let plan = Arc::new(Plan::new(Scenario {
            seed: SEED,
            orders: 2,
            provider: None,
            merchant: merchant.clone(),
            disturbances: Disturbances::NONE,
            credentials: Credentials {
                armada: armada.clone(),
                shipday_token: shipday_token.clone(),
            },
        })?);
        let part = |number| {
            let order = plan.order(number)?;
            let provider = order.key.provider;
            let bare_address = stack.webhook_address(provider)?;
            let (credential, key) = match provider {
                Provider::Armada => (armada.digest(), Some(&url_key)),
                Provider::Shipday => (shipday_digest(&shipday_token), None),
            };
            let mut address = bare_address.clone();
            if let Some(key) = key {
                address.url = with_url_key(&address.url, key);
            }
            let deliveries: Vec<_> = plan.deliveries().filter(|it| it.order == number).collect();
            let first = deliveries.first().ok_or(SmokeError::NoWebhook(provider))?;
            Ok(Self {
                provider,
                first: first.webhook.clone(),
                installation: Installation {
                    credential: credential?,
                    merchant_id: merchant.clone(),
                    state: InstallationState::Active,
                    label: LABEL.to_owned(),
                    created_at_ms: now,
                    not_after_ms: Some(not_after),
                    url_key_sha256: key.map(|key| UrlKeyDigest::of(key)),
                    company_id: None,
                },
                order,
                deliveries,
                address,
                bare_address,
                may_be_registered: Cell::new(false),
                may_be_stored: Cell::new(false),
                accepted: Cell::new(0),
            })
        };
        (0..2).map(part).collect()
    }

    /// Where the records of its order are kept.
    pub(super) fn keys(&self) -> BTreeSet<WebhookKey> {
        let events = self.order.timeline.iter();
        events.map(|event| event.record.clone()).collect()
    }

    /// A webhook about its order, by somebody who shows no credential.
    pub(super) async fn send_without_credential(&self) -> Result<(), Ended> {
        let address = self.bare_address.clone();
        self.send(self.without_credential(), address, Answered::Refused)
            .await
    }

    /// The same, to a path that there is not.
    pub(super) async fn send_elsewhere(&self) -> Result<(), Ended> {
        let mut address = self.bare_address.clone();
        address.url.push_str("/no-such-path");
        self.send(self.without_credential(), address, Answered::Other(404))
            .await
    }

    /// The same, by somebody who knows the credential, but not the key in the URL.
    pub(super) async fn send_without_url_key(&self) -> Result<(), Ended> {
        let address = self.bare_address.clone();
        self.send(self.first.clone(), address, Answered::Refused)
            .await
    }

    fn without_credential(&self) -> Webhook {
        let mut webhook = self.first.clone();
        let shows = |name: &str| CREDENTIAL_HEADERS.contains(&name);
        webhook.headers.retain(|(name, _)| !shows(name));
        webhook
    }

    /// Its webhooks, the last first, so that none comes in order.
    pub(super) fn backwards(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter().rev()
    }

    /// Sends a webhook as the provider would, but once only.
    pub(super) async fn deliver(
        &self,
        delivery: &Delivery,
        expected: Answered,
    ) -> Result<(), Ended> {
        self.may_be_stored.set(true);
        self.send(delivery.webhook.clone(), self.address.clone(), expected)
            .await?;
        if expected == Answered::Accepted {
            self.accepted.set(self.accepted.get() + 1);
        }
        Ok(())
    }

    async fn send(
        &self,
        webhook: Webhook,
        address: WebhookAddress,
        expected: Answered,
    ) -> Result<(), Ended> {
        let sending = tokio::task::spawn_blocking(move || webhook.send(&address)).await;
        let (answered, why) = match sending {
            Ok(Ok(answer)) => (Answered::new(answer.status, &answer.body), None),
            // Its own text has the URL, whose key is a secret.
            Ok(Err(error)) => (Answered::Nothing, error.source().map(ToString::to_string)),
            Err(error) => (Answered::Nothing, Some(error.to_string())),
        };
        if answered == expected {
            return Ok(());
        }
        Err(Wrong::Answer {
            expected,
            answered,
            why,
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_orders_go_the_whole_way() {
        let goes_the_whole_way = |seed| {
            let plan = Plan::new(Scenario::demo(seed, 2, Disturbances::NONE).unwrap()).unwrap();
            [(0, 5), (1, 7)].into_iter().all(|(number, steps)| {
                let order = plan.order(number).unwrap();
                order.way == "delivered" && order.timeline.len() == steps
            })
        };

        let first = (0..).find(|seed| goes_the_whole_way(*seed));
        assert_eq!(first, Some(SEED));
    }
}
