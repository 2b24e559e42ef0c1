//! The environment, the clock and the source of random ids: read or made here and nowhere else.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::{Clock, EpochMillis, FirstShard, PendingShard, RequestId, RequestIds};

/// A variable of the process environment, for the `from_lookup` of a configuration.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one real clock")]
    fn now_ms(&self) -> EpochMillis {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        EpochMillis::new(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Request ids of 128 random bits from the operating system.
#[derive(Clone, Copy, Debug)]
pub struct RandomRequestIds;

impl RequestIds for RandomRequestIds {
    #[expect(clippy::disallowed_methods, reason = "the one source of random ids")]
    #[expect(
        clippy::expect_used,
        reason = "without randomness two requests could take each other's writes for their own"
    )]
    fn draw(&self) -> RequestId {
        let mut bits = [0u8; 16];
        getrandom::fill(&mut bits).expect("the operating system gives random bytes");
        let hex: String = bits.iter().map(|byte| format!("{byte:02x}")).collect();
        RequestId::parse(&hex).expect("hexadecimal digits are an id")
    }
}

/// Shards drawn with a random byte from the operating system.
#[derive(Clone, Copy, Debug)]
pub struct RandomShard;

impl FirstShard for RandomShard {
    #[expect(
        clippy::disallowed_methods,
        reason = "drawn beside the source of random ids"
    )]
    fn draw(&self) -> PendingShard {
        let mut byte = [0u8; 1];
        // Without randomness every run begins at the first shard, which is unfair and otherwise harmless.
        let _ = getrandom::fill(&mut byte);
        PendingShard::of(byte[0])
    }
}
