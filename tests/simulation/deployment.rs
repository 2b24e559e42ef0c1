//! The functions as they are deployed, around one world.

use std::sync::Arc;

use domain::{
    Authenticated, Credential, CredentialDigest, EpochMillis, Headers, Interpretation, Meaning,
    MerchantId, Provider, ProviderClock, ProviderRules, ProviderWord, Quarantined, Reading,
    Refusal, Unmapped,
};
use ingest::Receiver;
use order_consumer::Consumer;
use providers::{ProviderAdapter, adapter};
use testkit::{Flaw, Ports, Side, Webhook, World};
use webhook_relay::Relay;

use crate::plan::{Hook, Merchant};

pub(crate) type AnyReceiver = Receiver<Ports, Ports, Ports, Ports, Ports>;
pub(crate) type AnyConsumer = Consumer<Ports, Ports, Ports, Ports, Ports>;
pub(crate) type AnyRelay = Relay<Ports, Ports, Ports, Ports>;

const SECOND_MERCHANT: &str = "shop-2";
const SECOND_APP: &str = "app-2";
const SECOND_INSTALLATION: &str = "installation-2";
const SECOND_TOKEN: &str = "token-2";

/// Everything that is deployed. A process that dies takes its own function with it, caches and all.
pub(crate) struct Deployment {
    world: World,
    flaw: Option<Flaw>,
    remapped_at: EpochMillis,
}

impl Deployment {
    pub(crate) fn new(world: &World, flaw: Option<Flaw>, remapped_at: EpochMillis) -> Self {
        let second = MerchantId::parse(SECOND_MERCHANT).expect("it is a merchant id");
        for provider in Provider::ALL {
            world.install(second_credential(provider), |installation| {
                installation.merchant_id = second.clone();
            });
        }
        Self {
            world: world.clone(),
            flaw,
            remapped_at,
        }
    }

    fn ports(&self, side: Side) -> Ports {
        let read_event = |record: &domain::WebhookRecord| {
            let webhook = record.webhook().ok()?;
            match adapter(record.provider).read(&webhook).interpretation {
                Interpretation::Event(event) => Some(*event),
                Interpretation::Ignored(_)
                | Interpretation::Unmapped(_)
                | Interpretation::Quarantined(_) => None,
            }
        };
        Ports::new(&self.world, side, self.flaw, self.remapped_at, read_event)
    }

    /// A cold webhook function, as it is deployed now.
    pub(crate) fn receiver(&self, provider: Provider) -> Arc<AnyReceiver> {
        let ports = self.ports(Side::Ingest);
        let stores = ingest::Stores {
            installations: ports.clone(),
            records: ports.clone(),
            queue: ports.clone(),
            clock: ports.clone(),
            request_ids: ports,
        };
        let config = ingest::Config::from_lookup(|_| None).expect("everything has a default");
        let older = domain::Clock::now_ms(&self.world) < self.remapped_at;
        let adapter = match (provider, older) {
            (Provider::Armada, true) => &OlderMapping(Provider::Armada),
            (Provider::Shipday, true) => &OlderMapping(Provider::Shipday),
            (provider, false) => adapter(provider),
        };
        Arc::new(Receiver::new(adapter, config, stores))
    }

    pub(crate) fn consumer(&self) -> Arc<AnyConsumer> {
        let ports = self.ports(Side::Consumer);
        let stores = order_consumer::Stores {
            records: ports.clone(),
            orders: ports.clone(),
            queue: ports.clone(),
            dead_letters: ports.clone(),
            clock: ports,
        };
        let config =
            order_consumer::Config::from_lookup(|_| None).expect("everything has a default");
        Arc::new(Consumer::new(config, stores))
    }

    pub(crate) fn relay(&self) -> Arc<AnyRelay> {
        let ports = self.ports(Side::Relay);
        Arc::new(Relay::new(webhook_relay::Stores {
            records: ports.clone(),
            queue: ports.clone(),
            clock: ports.clone(),
            first_shard: ports,
        }))
    }
}

/// A mapping that does not know one word of each provider yet, and cannot read another.
struct OlderMapping(Provider);

impl OlderMapping {
    fn today(&self) -> &'static dyn ProviderAdapter {
        adapter(self.0)
    }
}

impl ProviderRules for OlderMapping {
    fn provider(&self) -> Provider {
        self.0
    }

    fn clock(&self) -> ProviderClock {
        self.today().clock()
    }

    fn meaning(&self, word: &ProviderWord) -> Meaning {
        self.today().meaning(word)
    }
}

impl ProviderAdapter for OlderMapping {
    fn credential_headers(&self) -> &'static [&'static str] {
        self.today().credential_headers()
    }

    fn retained_headers(&self) -> &'static [&'static str] {
        self.today().retained_headers()
    }

    fn is_url_check(&self, body: &[u8]) -> bool {
        self.today().is_url_check(body)
    }

    fn credential(&self, headers: &Headers) -> Result<Credential, Refusal> {
        self.today().credential(headers)
    }

    fn read(&self, webhook: &Authenticated) -> Reading {
        let mut reading = self.today().read(webhook);
        if let Interpretation::Event(event) = &reading.interpretation {
            let said = event.word.clone();
            match said.event.as_deref().or(said.status.as_deref()) {
                Some("waiting_pack" | "ORDER_ONTHEWAY") => {
                    let why = Unmapped::UnknownStatus("no more".into());
                    reading.interpretation = Interpretation::Unmapped(why);
                }
                Some("failed" | "ORDER_FAILED") => {
                    reading.interpretation = Interpretation::Quarantined(Quarantined::NotJson);
                }
                _ => {}
            }
        }
        reading
    }
}

fn second_credential(provider: Provider) -> CredentialDigest {
    match provider {
        Provider::Armada => Credential::armada_installation(SECOND_APP, SECOND_INSTALLATION),
        Provider::Shipday => Credential::single(SECOND_TOKEN),
    }
    .digest(provider)
}

/// The id of a merchant.
pub(crate) const fn merchant_id(merchant: Merchant) -> &'static str {
    match merchant {
        Merchant::First => testkit::MERCHANT,
        Merchant::Second => SECOND_MERCHANT,
    }
}

/// The provider's id of an order.
pub(crate) fn order_id(provider: Provider, number: u32) -> String {
    match provider {
        Provider::Armada => format!("A{number}"),
        Provider::Shipday => number.to_string(),
    }
}

/// A webhook as it is on the wire, sent at a time.
pub(crate) fn on_the_wire(hook: &Hook, begin: EpochMillis, now: EpochMillis) -> Webhook {
    let order = order_id(hook.provider, hook.order);
    let webhook = match hook.provider {
        Provider::Armada => {
            let body = serde_json::json!({
                "code": order,
                "status": hook.word.0,
                "delivery_fee": hook.fee,
            });
            testkit::armada(
                "order.updated",
                &hook.id,
                &now.as_millis().to_string(),
                body.to_string(),
            )
        }
        Provider::Shipday => {
            let body = serde_json::json!({
                "timestamp": (begin + hook.happened).as_millis(),
                "event": hook.word.0,
                "order_status": hook.word.1,
                "order": { "id": hook.order, "delivery_fee": hook.fee },
            });
            testkit::shipday(body.to_string())
        }
    };
    match (hook.merchant, hook.provider) {
        (Merchant::First, _) => webhook,
        (Merchant::Second, Provider::Armada) => webhook
            .with_header("x-armada-app-id", SECOND_APP)
            .with_header("x-armada-installation-id", SECOND_INSTALLATION),
        (Merchant::Second, Provider::Shipday) => webhook.with_header("token", SECOND_TOKEN),
    }
}
