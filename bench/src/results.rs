//! What was measured, as it is kept in `docs/benchmarks`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contestants::{Contestant, Role};
use crate::delivery::Delivery;
use crate::instructions::Instructions;
use crate::machine::Machine;
use crate::measure::{Cold, Effort, Warm, percentile};
use crate::packages::Package;

/// All of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// Where and of what.
    pub(crate) machine: Machine,
    /// The wait of each call to a service, in milliseconds.
    pub(crate) call_latency_ms: f64,
    /// What a call takes for a bare client, that wait included, in milliseconds: the median before and after.
    pub(crate) round_trip_ms: Option<f64>,
    /// How much was measured of each webhook function.
    pub(crate) effort: Effort,
    /// With a whole processor.
    pub(crate) functions: Vec<Measured>,
    /// How many calls wait for one another in one invocation, by function: what a warm invocation takes longer when each
    /// call does, divided by that.
    #[serde(default)]
    pub(crate) dependent_calls: BTreeMap<String, f64>,
    /// With the share of a processor that Lambda gives for some memory.
    pub(crate) quotas: Vec<AtMemory>,
    /// From a webhook to the order.
    pub(crate) deliveries: Vec<Delivery>,
}

/// What one contestant showed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Its name.
    pub(crate) name: String,
    /// What it does.
    pub(crate) role: Role,
    /// How large it is.
    pub(crate) package: Package,
    /// How many instructions it takes, where they can be counted.
    pub(crate) instructions: Option<Instructions>,
    /// One for each process that was measured cold.
    pub(crate) cold: Vec<Cold>,
    /// One for each process that was measured warm.
    pub(crate) warm: Vec<Warm>,
}

/// What one contestant showed with a share of a processor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AtMemory {
    /// The memory, in MB.
    pub(crate) memory_mb: u32,
    /// The contestant's.
    pub(crate) measured: Measured,
}

impl Measured {
    /// Of a contestant that is yet to be measured.
    pub(crate) fn new(contestant: &Contestant, package: Package) -> Self {
        Self {
            name: contestant.name.to_owned(),
            role: contestant.role,
            package,
            instructions: None,
            cold: Vec::new(),
            warm: Vec::new(),
        }
    }

    /// The median of one figure over the cold starts.
    pub(crate) fn cold(&self, figure: impl Fn(&Cold) -> f64) -> f64 {
        percentile(&mut self.cold.iter().map(figure).collect::<Vec<_>>(), 0.5)
    }

    /// The median of one figure over the warm processes.
    pub(crate) fn warm(&self, figure: impl Fn(&Warm) -> f64) -> f64 {
        percentile(&mut self.warm.iter().map(figure).collect::<Vec<_>>(), 0.5)
    }

    /// The most memory that any of its processes had in use, in MiB.
    pub(crate) fn peak_rss_mib(&self) -> f64 {
        self.warm
            .iter()
            .map(|warm| warm.peak_rss_mib)
            .fold(0.0, f64::max)
    }

    /// What a warm invocation takes beyond so many dependent calls, in milliseconds.
    pub(crate) fn beyond(&self, calls: f64, round_trip_ms: f64) -> f64 {
        self.warm(|warm| warm.p50) - calls * round_trip_ms
    }
}

impl Results {
    /// A contestant's figures with a whole processor.
    pub(crate) fn of(&self, name: &str) -> Option<&Measured> {
        self.functions.iter().find(|measured| measured.name == name)
    }
}
