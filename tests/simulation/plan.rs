//! What happens in a history: who sends what and when, what fails, who dies, what the operator does.

use domain::{Millis, Provider};
use testkit::Fault;

/// A webhook that a provider sends, as often as it takes.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) provider: Provider,
    pub(crate) merchant: Merchant,
    pub(crate) order: u32,
    /// Armada's status, or Shipday's event and order status.
    pub(crate) word: Word,
    /// Armada's id of the webhook.
    pub(crate) id: String,
    /// Shipday: when it happened, after the beginning. Armada stamps the sending.
    pub(crate) happened: Millis,
    /// Something in the body that is no part of the event's identity.
    pub(crate) fee: u32,
    /// When it is first sent, after the beginning.
    pub(crate) sent: Millis,
    pub(crate) retries: Retries,
}

/// Whose webhook it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merchant {
    First,
    Second,
}

/// What a webhook says.
pub(crate) type Word = (&'static str, &'static str);

/// Armada's words: the status, and nothing.
pub(crate) const ARMADA_WORDS: [Word; 8] = [
    ("pending", ""),
    ("dispatched", ""),
    ("waiting_pack", ""),
    ("en_route", ""),
    ("completed", ""),
    ("failed", ""),
    ("canceled", ""),
    ("teleported", ""),
];
/// Shipday's words: the event, and the order's status.
pub(crate) const SHIPDAY_WORDS: [Word; 8] = [
    ("ORDER_INSERTED", "NOT_ASSIGNED"),
    ("ORDER_ASSIGNED", "NOT_ACCEPTED"),
    ("ORDER_ACCEPTED_AND_STARTED", "STARTED"),
    ("ORDER_PIKEDUP", "PICKED_UP"),
    ("ORDER_PIKEDUP_REMOVED", "STARTED"),
    ("ORDER_ONTHEWAY", "READY_TO_DELIVER"),
    ("ORDER_COMPLETED", "ALREADY_DELIVERED"),
    ("ORDER_FAILED", "FAILED_DELIVERY"),
];

/// What a provider does when it did not get a 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retries {
    /// It forgets the webhook.
    Never,
    /// It sends the same webhook again, three times at most.
    Same,
    /// It sends the webhook again under a new id, three times at most.
    NewId,
}

/// A part of the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Tables,
    Queue,
    /// The consumer is not called.
    Consumer,
}

/// A part that is down for a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) part: Part,
    pub(crate) from: Millis,
    pub(crate) until: Millis,
}

/// Which calls meet a fault.
#[derive(Clone, Debug)]
pub(crate) enum Faults {
    /// None.
    No,
    /// So many, at random calls.
    Random { budget: u32 },
    /// So many, at random calls to the tables, and none that leaves a process dead.
    OnlyTables { budget: u32 },
    /// The calls with these numbers.
    At(Vec<(usize, Fault)>),
    /// The first call of that name, and the calls with these numbers.
    FirstAnd(&'static str, Fault, Vec<(usize, Fault)>),
}

/// In which order things happen that may happen at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// At random.
    Random,
    /// One after the other.
    InOrder,
}

/// A history, before it happens.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) schedule: Schedule,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) faults: Faults,
    pub(crate) outages: Vec<Outage>,
    /// Messages in the queue that can never succeed.
    pub(crate) poison: u32,
    /// Others' messages wait in the queue and never go away.
    pub(crate) backlog: bool,
    /// Until then the deployed functions have an older mapping; afterwards the operator replays.
    pub(crate) remapped: Option<Millis>,
    /// The records had all their attempts before the relay first meets them.
    pub(crate) worn_out: bool,
    /// How often an operator replays a record that was applied.
    pub(crate) needless_replays: u32,
    /// How often an operator erases a record that was applied.
    pub(crate) erasures: u32,
    /// The most webhook functions, consumers and relays that run at the same time, each.
    pub(crate) at_once: usize,
}

impl Plan {
    /// A history without anything in it.
    pub(crate) const fn quiet() -> Self {
        Self {
            seed: 0,
            schedule: Schedule::InOrder,
            hooks: Vec::new(),
            faults: Faults::No,
            outages: Vec::new(),
            poison: 0,
            backlog: false,
            remapped: None,
            worn_out: false,
            needless_replays: 0,
            erasures: 0,
            at_once: 1,
        }
    }

    /// The history that a seed stands for.
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let hooks = hooks(&mut random);
        let faults = match random.u32(..10) {
            0 => Faults::No,
            1 | 2 => Faults::OnlyTables {
                budget: random.u32(1..=2),
            },
            _ => Faults::Random {
                budget: random.u32(1..=6),
            },
        };
        let calm = !matches!(faults, Faults::Random { .. });
        let mut outages = Vec::new();
        for part in [Part::Tables, Part::Queue, Part::Consumer] {
            if !calm && random.u32(..100) < 15 {
                let from = seconds(pick(&mut random, &[0, 0, 3, 20]));
                let lasts = pick(&mut random, &[3, 30, 300, 7_200]);
                outages.push(Outage {
                    part,
                    from,
                    until: Millis::new(from.as_millis() + lasts * 1_000),
                });
            }
        }
        let remapped = (random.u32(..100) < 40)
            .then(|| seconds(pick(&mut random, &[5, 60, 300, 40 * 24 * 3_600])));
        Self {
            seed,
            schedule: Schedule::Random,
            hooks,
            outages,
            poison: u32::from(random.u32(..100) < 10),
            backlog: !calm && random.u32(..100) < 5,
            remapped,
            worn_out: random.u32(..100) < 3,
            needless_replays: u32::from(random.u32(..100) < 20),
            erasures: u32::from(random.u32(..100) < 15),
            at_once: random.usize(1..=3),
            faults,
        }
    }
}

fn hooks(random: &mut fastrand::Rng) -> Vec<Hook> {
    let mut hooks = Vec::new();
    let orders = if random.u32(..10) < 7 { 1 } else { 2 };
    for number in 0..random.u32(1..=5) {
        let provider = pick(random, &Provider::ALL);
        let words = match provider {
            Provider::Armada => &ARMADA_WORDS,
            Provider::Shipday => &SHIPDAY_WORDS,
        };
        let hook = Hook {
            provider,
            merchant: pick(
                random,
                &[Merchant::First, Merchant::First, Merchant::Second],
            ),
            order: random.u32(1..=orders),
            word: pick(random, words),
            id: format!("wh_{number}"),
            happened: seconds(random.u64(..6)),
            fee: 0,
            sent: seconds(pick(random, &[0, 0, 0, 1, 3, 10, 100, 400])),
            retries: pick(random, &[Retries::Never, Retries::Same, Retries::NewId]),
        };
        // Twins, at once or late.
        if random.u32(..100) < 35 {
            let sent = seconds(pick(random, &[0, 0, 1, 10, 400]));
            hooks.push(Hook {
                sent,
                ..hook.clone()
            });
        }
        // The same id with other details, and with another status.
        if random.u32(..100) < 20 {
            hooks.push(Hook {
                fee: 1,
                ..hook.clone()
            });
        }
        if random.u32(..100) < 20 {
            let word = pick(random, words);
            hooks.push(Hook {
                word,
                ..hook.clone()
            });
        }
        hooks.push(hook);
    }
    hooks
}

pub(crate) fn pick<T: Copy>(random: &mut fastrand::Rng, from: &[T]) -> T {
    from[random.usize(..from.len())]
}

pub(crate) const fn seconds(seconds: u64) -> Millis {
    Millis::from_seconds(seconds)
}
