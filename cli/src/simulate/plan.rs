//! Which webhooks are sent, in which order, and what must come of them: all of it follows from the scenario.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{
    EpochMillis, IdentifierError, MerchantId, Millis, OrderId, OrderKey, Provider, Topic,
    WebhookId, WebhookKey,
};
use fastrand::Rng;

use super::body::{BodyTemplateError, BodyTemplates};
use super::expectation::{Expected, Outcome};
use super::life::{Life, Moment, begin_of, driver_name};
use super::route::Route;
use crate::demo;
use crate::webhook::{ArmadaCredential, Webhook};

/// How the id of a webhook ends that Armada sends under a new one.
const AGAIN: &str = "-again";

/// What goes wrong between a provider and the receiver, each in hundredths of the webhooks that tell a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disturbances {
    /// Sent twice, byte for byte.
    pub duplicates: u8,
    /// Armada's only: sent again under a new id and a new time.
    pub retries: u8,
    /// Overtaken by others, within [`Self::window`].
    pub reordered: u8,
    /// Sent only when the order's last step is over.
    pub late: u8,
    /// Sent once more, cut off in the middle.
    pub corrupt: u8,
    /// Sent once more by somebody with another credential.
    pub forged: u8,
    /// How far a webhook is moved at most, in the time in which the orders live.
    pub window: Millis,
}

impl Disturbances {
    /// Every webhook comes once and in order.
    pub const NONE: Self = Self {
        duplicates: 0,
        retries: 0,
        reordered: 0,
        late: 0,
        corrupt: 0,
        forged: 0,
        window: Millis::new(0),
    };
}

/// What the webhooks prove themselves with.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) armada: ArmadaCredential,
    pub(crate) shipday_token: String,
}

impl Credentials {
    pub(crate) fn demo() -> Self {
        Self {
            armada: demo::armada_credential(),
            shipday_token: demo::SHIPDAY_TOKEN.to_owned(),
        }
    }

    /// Of the right form, and registered nowhere.
    fn strange() -> Self {
        Self {
            armada: ArmadaCredential::Installation {
                app_id: demo::ARMADA_APP_ID.to_owned(),
                installation_id: "sim-no-installation".to_owned(),
            },
            shipday_token: "sim-no-token".to_owned(),
        }
    }
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Equal scenarios with equal seeds are equal, byte for byte.
    pub seed: u32,
    /// How many orders.
    pub orders: u32,
    /// Only those of this provider, instead of both in turn.
    pub provider: Option<Provider>,
    /// Whose orders they are.
    pub merchant: MerchantId,
    /// What goes wrong on the way.
    pub disturbances: Disturbances,
    pub(crate) credentials: Credentials,
}

impl Scenario {
    /// Orders of both providers for the demo merchant, over the demo installations.
    ///
    /// # Errors
    /// None that can happen: the demo merchant's id is one.
    pub fn demo(
        seed: u32,
        orders: u32,
        disturbances: Disturbances,
    ) -> Result<Self, IdentifierError> {
        Ok(Self {
            seed,
            orders,
            provider: None,
            merchant: MerchantId::parse(demo::MERCHANT)?,
            disturbances,
            credentials: Credentials::demo(),
        })
    }

    fn provider_of(&self, order: u32) -> Provider {
        match (self.provider, order % 2) {
            (Some(provider), _) => provider,
            (None, 0) => Provider::Armada,
            (None, _) => Provider::Shipday,
        }
    }

    fn life(&self, order: u32) -> Life {
        Life::draw(self.seed, order, self.provider_of(order))
    }
}

/// The names of the ways that the simulated orders of a provider can go.
pub fn ways(provider: Provider) -> impl Iterator<Item = &'static str> {
    Route::all(provider).iter().map(|route| route.name)
}

/// The plan cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A sample cannot be filled in.
    #[error(transparent)]
    Body(#[from] BodyTemplateError),
    /// A topic is none.
    #[error(transparent)]
    Identifier(#[from] IdentifierError),
}

/// A webhook, and what it must be answered.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The number of the order that it is about.
    pub order: u32,
    /// How many webhooks there are about that order.
    pub of_order: u32,
    /// What it must be answered.
    pub expected: Expected,
    pub(crate) webhook: Webhook,
}

impl Delivery {
    /// Who sends it.
    pub const fn provider(&self) -> Provider {
        self.webhook.provider
    }

    /// Its headers.
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.webhook.headers
    }

    /// Its body.
    pub fn body(&self) -> &[u8] {
        &self.webhook.body
    }
}

/// An order of the plan.
#[derive(Clone, Debug)]
pub struct PlannedOrder {
    /// Where it is stored.
    pub key: OrderKey,
    /// The way it goes.
    pub way: &'static str,
    /// What must have come of it when all its webhooks are applied.
    pub outcome: Outcome,
    /// The events that its timeline must have then, in the order of their time.
    pub timeline: Vec<PlannedEvent>,
}

/// An event of an order of the plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedEvent {
    /// When it happened, as far as the provider tells.
    pub at: EpochMillis,
    /// The provider's own word for the status.
    pub status: &'static str,
    /// Where the webhook that tells it is kept. A disturbed one that comes before, under the same id, has its place;
    /// then its own digest follows the key.
    pub record: WebhookKey,
}

/// Everything that is going to be sent. It is computed as it is asked for, and holds no webhook.
#[derive(Debug)]
pub struct Plan {
    scenario: Scenario,
    strangers: Credentials,
    bodies: BodyTemplates,
    armada_order: Topic,
    armada_position: Topic,
}

impl Plan {
    /// The plan for a scenario.
    ///
    /// # Errors
    /// When a sample of `events/` cannot be used.
    pub fn new(scenario: Scenario) -> Result<Self, PlanError> {
        Ok(Self {
            scenario,
            strangers: Credentials::strange(),
            bodies: BodyTemplates::load()?,
            armada_order: Topic::parse("order.updated")?,
            armada_position: Topic::parse("order.location.updated")?,
        })
    }

    /// What is simulated.
    pub const fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// How many webhooks are going to be sent.
    pub fn webhooks(&self) -> u64 {
        let of_each = (0..self.scenario.orders).map(|order| self.sketches(order).len());
        of_each.map(|count| count as u64).sum()
    }

    /// All webhooks in the order in which they are sent. A few thousand orders live at the same time, so no more than
    /// their webhooks are held.
    pub fn deliveries(self: &Arc<Self>) -> impl Iterator<Item = Delivery> + Send + use<> {
        let plan = Arc::clone(self);
        self.sketches_in_order()
            .map(move |sketch| plan.delivery(&sketch))
    }

    /// The same, not written out yet.
    pub(super) fn sketches_in_order(self: &Arc<Self>) -> Sketches {
        Sketches::of(Arc::clone(self))
    }

    /// The order with that number.
    ///
    /// # Errors
    /// None that can happen: its id can be part of a key.
    pub fn order(&self, order: u32) -> Result<PlannedOrder, IdentifierError> {
        let life = self.scenario.life(order);
        let key = OrderKey {
            merchant_id: self.scenario.merchant.clone(),
            provider: life.provider,
            order_id: OrderId::parse(&life.order_id())?,
        };
        let mut timeline = Vec::new();
        for sketch in self.sketches(order) {
            timeline.extend(self.event(&key, &sketch)?);
        }
        timeline.sort();
        Ok(PlannedOrder {
            way: life.route.name,
            outcome: Outcome {
                status: Some(life.route.ends),
                reason: life.route.reason,
                events: timeline.len(),
                driver: life.last_driver().map(driver_name),
            },
            key,
            timeline,
        })
    }

    /// The event that a webhook tells, if no other has told it before.
    fn event(
        &self,
        order: &OrderKey,
        sketch: &Sketch,
    ) -> Result<Option<PlannedEvent>, IdentifierError> {
        let (at, suffix) = match sketch.kind {
            Kind::First => (sketch.step.at, ""),
            Kind::Retry { sent_at } => (sent_at, AGAIN),
            Kind::Duplicate | Kind::Cut { .. } | Kind::Forged | Kind::Position { .. } => {
                return Ok(None);
            }
        };
        let (merchant, step) = (&order.merchant_id, sketch.step.step);
        let record = match order.provider {
            Provider::Armada => {
                WebhookKey::armada(merchant, &self.armada_order, &sketch.webhook_id(suffix))
            }
            Provider::Shipday => {
                WebhookKey::shipday(merchant, &order.order_id, &Topic::parse(step.event)?, at)
            }
        };
        Ok(Some(PlannedEvent {
            at,
            status: step.status,
            record,
        }))
    }

    fn sketches(&self, order: u32) -> Vec<Sketch> {
        Draft::of(self.scenario.life(order), self.scenario.disturbances).finished()
    }

    /// Writes a webhook out.
    pub(super) fn delivery(&self, sketch: &Sketch) -> Delivery {
        let Sketch { life, step, .. } = sketch;
        let (sent_at, id, topic) = match sketch.kind {
            Kind::First | Kind::Duplicate | Kind::Cut { .. } | Kind::Forged => {
                (step.at, sketch.webhook_id(""), &self.armada_order)
            }
            Kind::Retry { sent_at } => (sent_at, sketch.webhook_id(AGAIN), &self.armada_order),
            // One id for the whole series of an order, as Armada has it.
            Kind::Position { at } => (at, sketch.series_id(), &self.armada_position),
        };
        let body = match sketch.kind {
            Kind::Position { at } => self.bodies.position(life, at),
            Kind::Cut { per_mille } => cut(self.bodies.step(life, step), per_mille),
            Kind::First | Kind::Duplicate | Kind::Forged | Kind::Retry { .. } => {
                self.bodies.step(life, step)
            }
        };
        let sender = match sketch.kind {
            Kind::Forged => &self.strangers,
            Kind::First
            | Kind::Duplicate
            | Kind::Retry { .. }
            | Kind::Cut { .. }
            | Kind::Position { .. } => &self.scenario.credentials,
        };
        let webhook = match life.provider {
            Provider::Armada => Webhook::armada(&sender.armada, topic, &id, sent_at, body),
            Provider::Shipday => Webhook::shipday(&sender.shipday_token, body),
        };
        Delivery {
            order: life.order,
            of_order: sketch.of_order,
            expected: match sketch.kind {
                Kind::First | Kind::Duplicate | Kind::Retry { .. } => Expected::Stored,
                Kind::Cut { .. } => Expected::Unreadable,
                Kind::Forged => Expected::Refused,
                Kind::Position { .. } => Expected::Ignored,
            },
            webhook,
        }
    }
}

/// A webhook that is not written out yet.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    /// When it leaves, in the time in which the orders live.
    leaves: EpochMillis,
    life: Arc<Life>,
    /// Which step it tells, and that step's place in the life.
    step: Moment,
    place: usize,
    kind: Kind,
    of_order: u32,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The step, told for the first time.
    First,
    /// The same once more.
    Duplicate,
    /// The same body under another id, sent at another time.
    Retry { sent_at: EpochMillis },
    /// Only the beginning of the body.
    Cut { per_mille: u64 },
    /// From somebody else.
    Forged,
    /// Where the driver is.
    Position { at: EpochMillis },
}

impl Sketch {
    fn webhook_id(&self, suffix: &str) -> WebhookId {
        let Self { life, place, .. } = self;
        let id = format!("wh_sim-{}-{}-{place}{suffix}", life.seed, life.order);
        WebhookId::or_digest(&id)
    }

    fn series_id(&self) -> WebhookId {
        WebhookId::or_digest(&format!("wh_sim-{}-{}-at", self.life.seed, self.life.order))
    }
}

/// The webhooks of one order while they are drawn.
struct Draft {
    life: Arc<Life>,
    disturbances: Disturbances,
    random: Rng,
    sketches: Vec<Sketch>,
}

impl Draft {
    fn of(life: Life, disturbances: Disturbances) -> Self {
        let mut draft = Self {
            random: life.random_on_the_way(),
            life: Arc::new(life),
            disturbances,
            sketches: Vec::new(),
        };
        let life = Arc::clone(&draft.life);
        let nexts = life.moments.iter().skip(1).map(Some);
        for (place, (step, next)) in life.moments.iter().zip(nexts.chain([None])).enumerate() {
            draft.tell(place, *step, next.copied());
        }
        draft
    }

    fn finished(mut self) -> Vec<Sketch> {
        let of_order = u32::try_from(self.sketches.len()).unwrap_or(u32::MAX);
        for sketch in &mut self.sketches {
            sketch.of_order = of_order;
        }
        self.sketches
    }

    fn tell(&mut self, place: usize, step: Moment, next: Option<Moment>) {
        let Disturbances {
            duplicates,
            retries,
            reordered,
            late,
            corrupt,
            forged,
            window: _,
        } = self.disturbances;
        let mut leaves = step.at;
        if self.happens(reordered) {
            leaves = leaves + self.within_window();
        }
        if self.happens(late) {
            leaves = self.life.ends() + self.within_window();
        }
        self.add(leaves, place, step, Kind::First);
        if self.happens(duplicates) {
            let again = leaves + self.within_window();
            self.add(again, place, step, Kind::Duplicate);
        }
        if self.happens(retries) && self.life.provider == Provider::Armada {
            let sent_at = self.retried(step, next);
            self.add(leaves.max(sent_at), place, step, Kind::Retry { sent_at });
        }
        if self.happens(corrupt) {
            let per_mille = self.random.u64(100..900);
            let leaves = step.at + self.within_window();
            self.add(leaves, place, step, Kind::Cut { per_mille });
        }
        if self.happens(forged) {
            let leaves = step.at + self.within_window();
            self.add(leaves, place, step, Kind::Forged);
        }
        if step.step.is_under_way() && self.random.bool() {
            let until = next.map_or(Millis::from_seconds(60), |next| next.at.since(step.at));
            let at = step.at + Millis::new(self.random.u64(..=until.as_millis()));
            self.add(at, place, step, Kind::Position { at });
        }
    }

    /// When a step is sent once more under another id: before the next step where a later time could change the
    /// order's end, so that the order hears the same status twice in a row.
    fn retried(&mut self, step: Moment, next: Option<Moment>) -> EpochMillis {
        let after = match next {
            Some(next) if !self.life.route.bears_late_retries() => {
                Millis::new(self.random.u64(..next.at.since(step.at).as_millis()))
            }
            Some(_) | None => self.within_window(),
        };
        step.at + after
    }

    fn add(&mut self, leaves: EpochMillis, place: usize, step: Moment, kind: Kind) {
        self.sketches.push(Sketch {
            leaves,
            life: Arc::clone(&self.life),
            step,
            place,
            kind,
            of_order: 0,
        });
    }

    fn happens(&mut self, hundredths: u8) -> bool {
        self.random.u8(..100) < hundredths
    }

    fn within_window(&mut self) -> Millis {
        Millis::new(self.random.u64(..=self.disturbances.window.as_millis()))
    }
}

/// All webhooks in the order of leaving. Orders are drawn when their time comes.
#[derive(Debug)]
pub(super) struct Sketches {
    plan: Arc<Plan>,
    next_order: u32,
    waiting: BTreeMap<(EpochMillis, u32, usize), Sketch>,
}

impl Sketches {
    fn of(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            next_order: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Draws every order that may have a webhook before the first that waits: none leaves before its order begins.
    fn draw(&mut self) {
        while self.next_order < self.plan.scenario.orders {
            let first = self.waiting.keys().next().map(|(leaves, _, _)| *leaves);
            if first.is_some_and(|first| first < begin_of(self.next_order)) {
                return;
            }
            for (number, sketch) in self.plan.sketches(self.next_order).into_iter().enumerate() {
                let place = (sketch.leaves, self.next_order, number);
                self.waiting.insert(place, sketch);
            }
            self.next_order += 1;
        }
    }
}

impl Iterator for Sketches {
    type Item = Sketch;

    fn next(&mut self) -> Option<Sketch> {
        self.draw();
        self.waiting.pop_first().map(|(_, sketch)| sketch)
    }
}

/// The beginning of a JSON object, which is none.
fn cut(mut body: Vec<u8>, per_mille: u64) -> Vec<u8> {
    let length = body.len() as u64 * per_mille / 1_000;
    body.truncate(usize::try_from(length).unwrap_or_default().max(1));
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(orders: u32) -> Arc<Plan> {
        let disturbances = Disturbances {
            late: 100,
            window: Millis::from_seconds(600),
            ..Disturbances::NONE
        };
        Arc::new(Plan::new(Scenario::demo(1, orders, disturbances).unwrap()).unwrap())
    }

    #[test]
    fn a_long_run_holds_only_the_webhooks_of_the_orders_that_overlap() {
        let mut sketches = Sketches::of(plan(20_000));
        let mut most = 0;
        let mut all = 0_u64;
        while sketches.next().is_some() {
            most = most.max(sketches.waiting.len());
            all += 1;
        }

        assert_eq!(all, plan(20_000).webhooks());
        assert!(all > 100_000 && most < 25_000, "{most} of {all}");
    }

    #[test]
    fn webhooks_leave_in_order_and_none_before_its_order_begins() {
        let mut before = EpochMillis::new(0);
        for sketch in Sketches::of(plan(500)) {
            assert!(sketch.leaves >= before && sketch.leaves >= sketch.life.begins);
            before = sketch.leaves;
        }
    }
}
