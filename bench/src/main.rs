//! Measures the project's functions and their peers, and writes what it found to `docs/benchmarks`.

mod certificates;
mod contestants;
mod delivery;
mod environment;
mod instructions;
mod listener;
mod machine;
mod measure;
mod packages;
mod page;
mod peers;
mod quota;
mod results;
mod round_trip;
mod runtime_api;
mod samples;
mod services;
mod variants;
mod work;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::certificates::Certificates;
use crate::contestants::{Contestant, Kind, Role, ours};
use crate::delivery::deliver;
use crate::environment::Launch;
use crate::machine::Machine;
use crate::measure::{Effort, Events, cold, warm};
use crate::results::{AtMemory, Measured, Results};
use crate::samples::Samples;
use crate::services::Services;

/// Rates of the deliveries, in webhooks a second.
const RATES: [u32; 3] = [10, 100, 300];
/// How much slower calls are made to see which wait for one another, in milliseconds.
const SLOWER_MS: f64 = 20.0;
/// How long webhooks come at each rate.
const DELIVERY: Duration = Duration::from_secs(30);
/// Memory sizes whose share of a processor is tried, in MB.
const MEMORY_MB: [u32; 4] = [128, 256, 512, 1_769];

/// Measures what a webhook takes.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The wait of each call to a service, in milliseconds.
    #[arg(long, default_value_t = 3.0, global = true)]
    latency_ms: f64,
    /// Processes of each function that are measured until their first answer.
    #[arg(long, default_value_t = 21, global = true)]
    cold_starts: usize,
    /// Processes of each function that are measured warm.
    #[arg(long, default_value_t = 5, global = true)]
    rounds: usize,
    /// Only these functions, with a whole processor and no more. Nothing is written then.
    #[arg(long, global = true, value_delimiter = ',')]
    only: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum What {
    /// The functions against their peers, with a whole processor, with Lambda's shares of one, and in deliveries.
    Functions,
    /// Other ways to build the webhook function.
    Variants,
    /// Nothing: writes the pages anew from the raw results.
    Pages,
}

/// What every measurement needs.
struct Bench {
    repository: PathBuf,
    certificates: Certificates,
    services: Services,
    samples: Samples,
    arguments: Arguments,
}

/// Raw results and the page that shows them, in `docs/benchmarks`.
const FUNCTIONS: [&str; 2] = ["functions.json", "README.md"];
const VARIANTS: [&str; 2] = ["variants.json", "variants.md"];

fn main() -> Result<()> {
    let bench = Bench::start(Arguments::parse())?;
    let (contestants, files) = match bench.arguments.what {
        What::Functions => {
            peers::install(&bench.repository)?;
            let mut all = ours(&bench.repository.join("target/lambda"), &bench.certificates)
                .context("run `make bootstraps` first")?;
            all.extend(peers::all(&bench.repository, &bench.certificates)?);
            (all, FUNCTIONS)
        }
        What::Variants => {
            let all = variants::build(&bench.repository, &bench.certificates)?;
            (all, VARIANTS)
        }
        What::Pages => {
            bench.write_page(FUNCTIONS)?;
            return bench.write_page(VARIANTS);
        }
    };
    let results = bench.measure(&bench.chosen(contestants))?;
    if bench.is_partial() {
        println!("{}", page::page(&results, "not kept")?);
        return Ok(());
    }
    bench.keep(files, &results)
}

impl Bench {
    fn start(arguments: Arguments) -> Result<Self> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .canonicalize()?;
        let folder = repository.join(".dev/bench/certificates");
        let roots = repository.join("shared/aws/src/amazon-roots.pem");
        let certificates = Certificates::make(&folder, &roots)?;
        let latency = Duration::from_secs_f64(arguments.latency_ms / 1_000.0);
        Ok(Self {
            services: Services::start(&certificates.acceptor, latency)?,
            samples: Samples::read(&repository)?,
            certificates,
            repository,
            arguments,
        })
    }

    fn is_partial(&self) -> bool {
        !self.arguments.only.is_empty()
    }

    fn chosen(&self, mut contestants: Vec<Contestant>) -> Vec<Contestant> {
        if self.is_partial() {
            contestants.retain(|one| self.arguments.only.iter().any(|name| name == one.name));
        }
        contestants
    }

    fn measure(&self, contestants: &[Contestant]) -> Result<Results> {
        let mut events = Events::new(&self.samples);
        for contestant in contestants {
            eprintln!("checking {}", contestant.name);
            work::verify(contestant, &self.services, &mut events)?;
        }
        let effort = Effort {
            cold_starts: self.arguments.cold_starts,
            rest_ms: 150,
            rounds: self.arguments.rounds,
            discarded: 100,
            counted: 300,
            pause_ms: 0,
        };
        let mut results = Results {
            machine: Machine::here(&self.repository),
            call_latency_ms: self.arguments.latency_ms,
            round_trip_ms: None,
            effort,
            functions: Vec::new(),
            dependent_calls: BTreeMap::new(),
            quotas: Vec::new(),
            deliveries: Vec::new(),
        };
        let before = self.round_trip()?;
        results.functions = self.in_turns(contestants, &mut events, effort, &Launch::default())?;
        results.round_trip_ms = Some(f64::midpoint(before, self.round_trip()?));
        if self.is_partial() {
            return Ok(results);
        }
        results.dependent_calls = self.dependent_calls(contestants, &mut events)?;
        results.quotas = self.shares(contestants, &mut events)?;
        results.deliveries = self.deliveries(contestants)?;
        self.count(contestants, &mut events, &mut results)?;
        Ok(results)
    }

    fn round_trip(&self) -> Result<f64> {
        round_trip::measure(&self.services.dynamodb(), &self.certificates.authority)
    }

    /// The contestants take turns, so that what disturbs the machine disturbs all.
    fn in_turns(
        &self,
        contestants: &[Contestant],
        events: &mut Events<'_>,
        effort: Effort,
        launch: &Launch,
    ) -> Result<Vec<Measured>> {
        let mut measured = blank(contestants)?;
        for number in 1..=effort.cold_starts {
            eprintln!("cold start {number} of {}", effort.cold_starts);
            for (contestant, into) in contestants.iter().zip(&mut measured) {
                let cold = cold(contestant, &self.services, events, effort, launch)?;
                into.cold.push(cold);
            }
        }
        for number in 1..=effort.rounds {
            for (contestant, into) in contestants.iter().zip(&mut measured) {
                eprintln!("round {number} of {}: {}", effort.rounds, contestant.name);
                let effort = match contestant.role.kind() {
                    Kind::Webhook | Kind::Publisher => effort,
                    Kind::Consumer => effort.of_batches(),
                };
                let warm = warm(contestant, &self.services, events, effort, launch)?;
                into.warm.push(warm);
            }
        }
        Ok(measured)
    }

    /// Of every function, from two latencies.
    fn dependent_calls(
        &self,
        contestants: &[Contestant],
        events: &mut Events<'_>,
    ) -> Result<BTreeMap<String, f64>> {
        let effort = Effort {
            cold_starts: 0,
            rest_ms: 0,
            rounds: 1,
            discarded: 3,
            counted: 12,
            pause_ms: 0,
        };
        let mut found = BTreeMap::new();
        for contestant in contestants {
            eprintln!("dependent calls of {}", contestant.name);
            let mut p50 = |latency_ms: f64| {
                self.services
                    .set_latency(Duration::from_secs_f64(latency_ms / 1_000.0));
                let launch = Launch::default();
                let warm = warm(contestant, &self.services, events, effort, &launch)?;
                anyhow::Ok(warm.p50)
            };
            let slow = p50(self.arguments.latency_ms + SLOWER_MS)?;
            let usual = p50(self.arguments.latency_ms)?;
            found.insert(contestant.name.to_owned(), (slow - usual) / SLOWER_MS);
        }
        Ok(found)
    }

    /// Of the webhook functions that do the same work, of our consumer and our publisher.
    fn shares(&self, contestants: &[Contestant], events: &mut Events<'_>) -> Result<Vec<AtMemory>> {
        let effort = Effort {
            cold_starts: self.arguments.cold_starts / 3,
            rest_ms: 150,
            rounds: self.arguments.rounds,
            discarded: 5,
            counted: 20,
            pause_ms: 50,
        };
        let chosen: Vec<_> = contestants
            .iter()
            .filter(|one| {
                one.role == Role::ArmadaWebhook
                    || ["order-consumer", "status-publisher"].contains(&one.name)
            })
            .cloned()
            .collect();
        let mut quotas = Vec::new();
        for memory_mb in MEMORY_MB {
            let launch = Launch {
                quota: Some(quota::share(memory_mb)),
                ..Launch::default()
            };
            eprintln!("{memory_mb} MB");
            let measured = self.in_turns(&chosen, events, effort, &launch)?;
            quotas.extend(measured.into_iter().map(|measured| AtMemory {
                memory_mb,
                measured,
            }));
        }
        Ok(quotas)
    }

    fn deliveries(&self, contestants: &[Contestant]) -> Result<Vec<delivery::Delivery>> {
        let named = |name: &str| {
            contestants
                .iter()
                .find(|contestant| contestant.name == name)
        };
        let (Some(webhook), Some(consumer)) = (named("armada-webhook"), named("order-consumer"))
        else {
            return Ok(Vec::new());
        };
        RATES
            .into_iter()
            .map(|rate| {
                eprintln!("{rate} webhooks a second");
                deliver(
                    [webhook, consumer],
                    &self.services,
                    &self.samples,
                    rate,
                    DELIVERY,
                )
            })
            .collect()
    }

    fn count(
        &self,
        contestants: &[Contestant],
        events: &mut Events<'_>,
        results: &mut Results,
    ) -> Result<()> {
        if !instructions::can_count() {
            eprintln!("instructions are not counted: valgrind is not installed");
            return Ok(());
        }
        let folder = self.repository.join(".dev/bench");
        for (contestant, into) in contestants.iter().zip(&mut results.functions) {
            if contestant.is_native {
                eprintln!("counting instructions of {}", contestant.name);
                into.instructions = Some(instructions::count(
                    contestant,
                    &self.services,
                    events,
                    &folder,
                )?);
            }
        }
        Ok(())
    }

    fn keep(&self, files: [&str; 2], results: &Results) -> Result<()> {
        let folder = self.folder();
        fs::create_dir_all(&folder)?;
        let [raw, _] = files;
        fs::write(folder.join(raw), serde_json::to_string(results)?)?;
        self.write_page(files)
    }

    fn write_page(&self, [raw, page]: [&str; 2]) -> Result<()> {
        let folder = self.folder();
        let results: Results = serde_json::from_slice(&fs::read(folder.join(raw))?)?;
        fs::write(folder.join(page), page::page(&results, raw)?)?;
        println!("docs/benchmarks/{page} is written from {raw}");
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        self.repository.join("docs/benchmarks")
    }
}

fn blank(contestants: &[Contestant]) -> Result<Vec<Measured>> {
    contestants
        .iter()
        .map(|contestant| Ok(Measured::new(contestant, packages::pack(contestant)?)))
        .collect()
}
