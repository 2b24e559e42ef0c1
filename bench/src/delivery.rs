//! From the provider to the order: webhooks at a constant mean rate, through as many environments as they need, and
//! their messages through the consumer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contestants::Contestant;
use crate::environment::{Environment, Launch};
use crate::machine::processor_time;
use crate::measure::{check, ms, percentile};
use crate::samples::{BATCH, Samples};
use crate::services::Services;

/// Batches that are applied at the same time, as in the template.
const MAX_BATCHES: usize = 20;
/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the rate takes to grow to its full height: on one machine, environments that all start at once are in each
/// other's way, which they are not in Lambda.
const GROWING: Duration = Duration::from_secs(10);
/// So that two runs have the same arrivals.
const SEED: u64 = 1;

/// What became of webhooks at one rate. Times are in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// Mean rate once it has grown to its full height; the times between two are distributed exponentially.
    pub(crate) webhooks_per_second: u32,
    /// How many were sent, answered 200, and applied.
    pub(crate) webhooks: usize,
    /// Environments of the webhook function, all started on demand.
    pub(crate) webhook_environments: usize,
    /// Environments of the consumer.
    pub(crate) consumer_environments: usize,
    /// Batches applied.
    pub(crate) batches: usize,
    /// The share of this machine's processors that was in use, by functions, services and the bench.
    pub(crate) processors_busy: f64,
    /// From the arrival of a webhook, cold starts and waiting included, to its answer.
    pub(crate) arrived_to_accepted: Percentiles,
    /// From its answer to the end of the invocation that applied it.
    pub(crate) accepted_to_applied: Percentiles,
}

/// Percentiles of a time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    /// The median.
    pub(crate) p50: f64,
    /// The 90th.
    pub(crate) p90: f64,
    /// The 99th.
    pub(crate) p99: f64,
}

impl Percentiles {
    fn of(mut values: Vec<f64>) -> Self {
        Self {
            p50: percentile(&mut values, 0.50),
            p90: percentile(&mut values, 0.90),
            p99: percentile(&mut values, 0.99),
        }
    }
}

/// Environments of one function, started when all others are busy.
struct Fleet {
    function: Contestant,
    services: Services,
    idle: Mutex<Vec<Environment>>,
    started: Mutex<usize>,
}

impl Fleet {
    fn new(function: &Contestant, services: &Services) -> Arc<Self> {
        Arc::new(Self {
            function: function.clone(),
            services: services.clone(),
            idle: Mutex::default(),
            started: Mutex::default(),
        })
    }

    /// Has an event processed, and says when it was answered.
    fn process(&self, event: String) -> Result<Instant> {
        let idle = lock(&self.idle).pop();
        let mut environment = if let Some(environment) = idle {
            environment
        } else {
            *lock(&self.started) += 1;
            Environment::start(&self.function, &self.services, &Launch::default())?
        };
        let invocation = environment.invoke(event)?;
        check(&self.function, &invocation)?;
        lock(&self.idle).push(environment);
        Ok(invocation.answered.at)
    }
}

/// Sends webhooks for so long, and waits until all are applied.
///
/// # Errors
/// When one is refused, lost, or applied twice.
pub(crate) fn deliver(
    [webhook, consumer]: [&Contestant; 2],
    services: &Services,
    samples: &Samples,
    webhooks_per_second: u32,
    lasting: Duration,
) -> Result<Delivery> {
    let (messages, sent) = mpsc::channel();
    services.forward_messages(messages);
    let webhooks = Fleet::new(webhook, services);
    let consumers = Fleet::new(consumer, services);
    let arrivals = arrivals(webhooks_per_second, lasting);
    let expected = arrivals.len();
    let applying = {
        let (consumers, samples) = (Arc::clone(&consumers), samples.clone());
        thread::spawn(move || apply_all(&consumers, &samples, &sent, expected))
    };

    let start = Instant::now();
    let before = processor_time()?;
    let mut accepting = Vec::with_capacity(expected);
    for (number, after) in arrivals.into_iter().enumerate() {
        let arrival = start + after;
        thread::sleep(arrival.saturating_duration_since(Instant::now()));
        let (fleet, event) = (Arc::clone(&webhooks), samples.armada(number));
        accepting.push(thread::spawn(move || Ok((arrival, fleet.process(event)?))));
    }
    let accepted: Vec<(Instant, Instant)> = accepting
        .into_iter()
        .map(|thread| thread.join().ok().context("a webhook's thread panicked")?)
        .collect::<Result<_>>()?;
    let (applied, batches) = applying.join().ok().context("the poller panicked")??;

    let after = processor_time()?;
    let [busy, all] = [after.busy - before.busy, after.all - before.all];
    let accepted_to_applied = accepted.iter().enumerate().map(|(number, (_, accepted))| {
        let applied = applied.get(&number).context("a webhook was not applied")?;
        Ok(signed_ms(*accepted, *applied))
    });
    let started = |fleet: &Fleet| *lock(&fleet.started);
    Ok(Delivery {
        webhooks_per_second,
        webhooks: accepted.len(),
        webhook_environments: started(&webhooks),
        consumer_environments: started(&consumers),
        batches,
        processors_busy: busy as f64 / all.max(1) as f64,
        accepted_to_applied: Percentiles::of(accepted_to_applied.collect::<Result<_>>()?),
        arrived_to_accepted: Percentiles::of(
            accepted
                .iter()
                .map(|(arrival, accepted)| ms(*accepted - *arrival))
                .collect(),
        ),
    })
}

/// When webhooks arrive, from the start.
fn arrivals(per_second: u32, lasting: Duration) -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut at = Duration::ZERO;
    let mut arrivals = Vec::new();
    while at < lasting {
        arrivals.push(at);
        // Never below a tenth, so that the first one comes soon.
        let grown = at.div_duration_f64(GROWING).clamp(0.1, 1.0);
        let gap = -(1.0 - random.f64()).ln() / (f64::from(per_second) * grown);
        at += Duration::from_secs_f64(gap);
    }
    arrivals
}

/// Takes messages as they come, up to ten at once and without waiting for more, until all are applied. Says when each
/// was, and in how many batches.
fn apply_all(
    consumers: &Arc<Fleet>,
    samples: &Samples,
    sent: &mpsc::Receiver<String>,
    expected: usize,
) -> Result<(HashMap<usize, Instant>, usize)> {
    let (permits, free) = mpsc::channel();
    for _ in 0..MAX_BATCHES {
        permits.send(())?;
    }
    let mut applying = Vec::new();
    let mut taken = 0;
    while taken < expected {
        free.recv()?;
        let first = sent
            .recv_timeout(PATIENCE)
            .context("a message is missing")?;
        let texts: Vec<String> = std::iter::once(first)
            .chain(sent.try_iter().take(BATCH - 1))
            .collect();
        taken += texts.len();
        let (fleet, permits, batch) = (
            Arc::clone(consumers),
            permits.clone(),
            samples.batch_of(&texts),
        );
        applying.push(thread::spawn(move || {
            let at = fleet.process(batch)?;
            // The last ones end after the one who counts.
            let _ = permits.send(());
            texts
                .iter()
                .map(|text| Ok((number(text)?, at)))
                .collect::<Result<Vec<_>>>()
        }));
    }
    let batches = applying.len();
    let mut applied = HashMap::new();
    for thread in applying {
        for (number, at) in thread.join().ok().context("a batch's thread panicked")?? {
            ensure!(
                applied.insert(number, at).is_none(),
                "webhook {number} was applied twice"
            );
        }
    }
    Ok((applied, batches))
}

/// Which webhook a message is from, by the order that [`crate::samples::order`] named.
fn number(text: &str) -> Result<usize> {
    let message: Value = serde_json::from_str(text)?;
    let order = message["event"]["order_id"].as_str().unwrap_or_default();
    Ok(order.trim_start_matches('B').parse()?)
}

fn signed_ms(from: Instant, to: Instant) -> f64 {
    if to >= from {
        ms(to - from)
    } else {
        -ms(from - to)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
