//! One simulated order: which way it goes, when each step happens, and who drives.

use domain::{EpochMillis, Millis, Provider};
use fastrand::Rng;

use super::route::{Crew, Route, Step};

/// When the first order of every run begins: 2025-01-06T00:00:00Z. It is in the past and the same for every run, so
/// that a seed always means the same webhooks.
const FIRST_ORDER: EpochMillis = EpochMillis::new(1_736_121_600_000);
/// How long after an order the next one begins. Lives last for up to two hours, so that thousands overlap.
const BETWEEN_ORDERS: Millis = Millis::from_seconds(2);
/// Most orders of a run: what a Shipday order id has room for.
pub(crate) const MAX_ORDERS: u32 = 9_999_999;
/// How Shipday's order ids of a run begin. Real ones are far shorter.
const SHIPDAY_PREFIX: u64 = 9;

/// A step, and when it happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: EpochMillis,
    pub(super) step: &'static Step,
}

/// The life of an order.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) seed: u32,
    /// Its number in the run.
    pub(super) order: u32,
    pub(super) provider: Provider,
    pub(super) route: &'static Route,
    pub(super) begins: EpochMillis,
    pub(super) moments: Vec<Moment>,
    first_driver: u16,
    second_driver: u16,
    /// Whether Shipday gave it to an outside fleet.
    pub(super) by_fleet: bool,
}

impl Life {
    /// The life of the order with that number.
    pub(super) fn draw(seed: u32, order: u32, provider: Provider) -> Self {
        let mut random = random_of(seed, order, provider, 0);
        let route = Route::draw(provider, &mut random);
        let begins = begin_of(order);
        let mut at = begins;
        let mut moments = Vec::with_capacity(route.steps.len());
        for step in route.steps {
            if step.may_be_missing && random.u32(..4) == 0 {
                continue;
            }
            at = at + gap(&mut random);
            moments.push(Moment { at, step });
        }
        let first_driver = random.u16(100..1_000);
        Self {
            seed,
            order,
            provider,
            route,
            begins,
            moments,
            first_driver,
            second_driver: first_driver + 1,
            by_fleet: random.u32(..6) == 0,
        }
    }

    /// The randomness for what happens to its webhooks on their way: the life itself does not depend on it.
    pub(super) fn random_on_the_way(&self) -> Rng {
        random_of(self.seed, self.order, self.provider, 1)
    }

    /// When its last step happens.
    pub(super) fn ends(&self) -> EpochMillis {
        self.moments.last().map_or(self.begins, |moment| moment.at)
    }

    /// The provider's id of the order: `sim-<seed>-<number>`, or the digit 9, ten digits of the seed and seven of the
    /// number. No two runs of different seeds share one, and all of a run can be found by their beginning.
    pub(super) fn order_id(&self) -> String {
        match self.provider {
            Provider::Armada => format!("sim-{}-{}", self.seed, self.order),
            Provider::Shipday => self.shipday_id().to_string(),
        }
    }

    /// The order's number at Shipday.
    pub(super) fn shipday_id(&self) -> u64 {
        (SHIPDAY_PREFIX * 10_000_000_000 + u64::from(self.seed)) * 10_000_000
            + u64::from(self.order)
    }

    /// The number of whoever drives at a step.
    pub(super) const fn driver(&self, crew: Crew) -> Option<u16> {
        match crew {
            Crew::Nobody => None,
            Crew::First => Some(self.first_driver),
            Crew::Second => Some(self.second_driver),
        }
    }

    /// The number of whoever drives in the end.
    pub(super) fn last_driver(&self) -> Option<u16> {
        let last = self.moments.last()?;
        self.driver(last.step.crew)
    }
}

/// When the order with that number begins.
pub(super) fn begin_of(order: u32) -> EpochMillis {
    FIRST_ORDER + Millis::new(BETWEEN_ORDERS.as_millis() * u64::from(order))
}

/// The name of a driver.
pub(super) fn driver_name(number: u16) -> String {
    format!("Simulated Driver {number}")
}

/// From a step to the next: minutes, now and then a burst within a second.
fn gap(random: &mut Rng) -> Millis {
    if random.u32(..6) == 0 {
        Millis::new(random.u64(200..900))
    } else {
        Millis::new(random.u64(20_000..600_000))
    }
}

fn random_of(seed: u32, order: u32, provider: Provider, stream: u64) -> Rng {
    let provider = match provider {
        Provider::Armada => 0,
        Provider::Shipday => 1,
    };
    // Spread over all bits, so that neighbours have nothing in common.
    let own = (u64::from(seed) << 32 | u64::from(order)) ^ ((stream << 1 | provider) << 62);
    let mut random = Rng::with_seed(own);
    Rng::with_seed(random.u64(..))
}
