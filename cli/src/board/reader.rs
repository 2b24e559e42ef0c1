//! How the board sees what changes: it reads the records again and again, and the orders that they are about.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use aws::{Part, Segment, StoredWebhook, SystemClock, WebhookFilter, WebhookParts};
use domain::{
    Clock as _, EpochMillis, MerchantId, Millis, OrderKey, PortError, RecordState, Status,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use tokio::sync::{Notify, watch};

use super::desk::{Desk, Opened};
use super::remedy::{self, Trouble};
use super::snapshot::{Card, DeadLetters, Group, Row, Snapshot};
use crate::arguments::{Board, StackChoice};
use crate::invocation::Invocation;
use crate::moment;
use crate::order::PersonalData;
use crate::records::{ReadingView, understand};
use crate::stack::StackError;
use crate::with_causes;

/// Most orders that are shown.
const MOST_ORDERS: usize = 200;
/// Most webhooks that are shown, and most of each group.
const MOST_WEBHOOKS: usize = 100;
/// How many records or orders are read at once.
const AT_ONCE: usize = 8;
const LOCAL_INTERVAL: Duration = Duration::from_secs(1);
const DEPLOYED_INTERVAL: Duration = Duration::from_secs(60);
const DEPLOYED_READ_UNITS: NonZeroU32 = NonZeroU32::new(25).unwrap();

/// What is shown, and how often it is looked for.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) merchant: Option<MerchantId>,
    pub(super) hours: NonZeroU32,
    pub(super) pace: Pace,
    pub(super) personal_data: PersonalData,
    pub(super) program: Invocation,
}

/// How often it is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// None where nothing is paid.
    read_units_a_second: Option<NonZeroU32>,
}

impl Pace {
    /// As the options say; a deployed table is read for money.
    pub(super) fn new(options: &Board, choice: &StackChoice) -> Self {
        let (interval, read_units) = match choice.stack_name {
            None => (LOCAL_INTERVAL, None),
            Some(_) => (DEPLOYED_INTERVAL, Some(DEPLOYED_READ_UNITS)),
        };
        let chosen = options.interval.map(|it| Duration::from_secs(it.get()));
        Self {
            interval: chosen.unwrap_or(interval),
            read_units_a_second: options.read_units.or(read_units),
        }
    }

    /// How long after a reading at this price the next one begins.
    fn wait_after(self, read_units: f64) -> Duration {
        let paid = self.read_units_a_second.map(|a_second| {
            let seconds = read_units / f64::from(a_second.get());
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        });
        paid.unwrap_or_default().max(self.interval)
    }
}

/// What every page gets.
#[derive(Clone, Debug, Default)]
pub(super) struct Published {
    /// What is shown, as JSON; empty before the first reading.
    pub(super) content: Arc<str>,
    /// How the reading goes, as JSON.
    pub(super) reading: Arc<str>,
}

/// How the reading goes.
#[derive(Debug, Default, Serialize)]
struct Progress {
    /// When the last reading ended.
    at: String,
    /// Why it failed.
    trouble: Option<String>,
    /// What the last one cost.
    read_units: f64,
    /// What all of them cost.
    read_units_in_all: f64,
    /// When the next one begins.
    next_in_seconds: u64,
}

/// Reads for as long as somebody looks, and publishes what is found.
pub(super) async fn follow(
    question: Question,
    desk: Arc<Desk>,
    publish: watch::Sender<Published>,
    audience: Arc<Notify>,
) {
    let mut memory = Memory::default();
    let mut progress = Progress::default();
    loop {
        // One receiver is the server's own, from which the pages get theirs.
        while publish.receiver_count() <= 1 {
            audience.notified().await;
        }
        let read = read(&question, &desk, &mut memory).await;
        progress.at = moment::show(SystemClock.now_ms());
        match &read {
            Ok(reading) => {
                progress.trouble = None;
                progress.read_units = reading.read_units;
                progress.read_units_in_all += reading.read_units;
            }
            Err(error) => {
                // It may be another stack by now, and other credentials.
                desk.close();
                memory = Memory::default();
                progress.trouble = Some(with_causes(error));
            }
        }
        // One that failed may have cost as much as the one before.
        let wait = question.pace.wait_after(progress.read_units);
        progress.next_in_seconds = wait.as_secs();
        publish.send_modify(|published| {
            if let Ok(reading) = read
                && *published.content != *reading.content
            {
                published.content = reading.content.into();
            }
            published.reading = serde_json::to_string(&progress).unwrap_or_default().into();
        });
        tokio::time::sleep(wait).await;
    }
}

/// The stack cannot be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("what was read cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

struct Reading {
    content: String,
    read_units: f64,
}

async fn read(question: &Question, desk: &Desk, memory: &mut Memory) -> Result<Reading, ReadError> {
    let opened = desk.opened().await?;
    let mut found = Found::scan(question, &opened).await?;
    let orders = found.newest_orders();
    let orders_left_out = found.orders.len() - orders.len();
    found.read_units += memory
        .read_orders(&orders, &opened, question.personal_data)
        .await?;
    found.read_units += memory.read_set_aside(&found, &opened).await?;
    let row = |stored: &StoredWebhook| Row::new(stored, memory.readings.get(&stored.pk));
    let waiting = |stored: &StoredWebhook| {
        let remedies = remedy::of_record(&stored.pk, stored.state, &question.program);
        row(stored).with(remedies)
    };
    let groups = found.open.iter().map(|(trouble, newest)| Group {
        name: *trouble,
        meaning: trouble.meaning(),
        needs_a_person: trouble.needs_a_person(),
        count: newest.count(),
        remedies: remedy::of_all(*trouble, question.merchant.as_ref(), &question.program),
        webhooks: newest.newest_first().map(waiting).collect(),
    });
    let snapshot = Snapshot {
        stack: &opened.name,
        merchant: question.merchant.as_ref().map(MerchantId::as_str),
        hours: question.hours.get(),
        statuses: Status::ALL,
        orders: orders
            .iter()
            .filter_map(|(order, _)| Some(&memory.orders.get(order)?.card))
            .collect(),
        orders_left_out,
        webhooks: found.recent.newest_first().map(row).collect(),
        webhooks_left_out: found.recent.left_out,
        groups: groups.collect(),
        dead_letters: DeadLetters {
            // Their number only: a queue cannot be looked into without taking messages out.
            count: opened.dead_letters.waiting().await?,
            remedies: remedy::of_dead_letters(&question.program),
        },
    };
    Ok(Reading {
        content: serde_json::to_string(&snapshot)?,
        read_units: found.read_units,
    })
}

/// What one scan of the records found.
struct Found {
    recent: Newest,
    open: BTreeMap<Trouble, Newest>,
    orders: HashMap<OrderKey, Trace>,
    read_units: f64,
}

/// What the records say about an order: when they last did, and a mark that another record or state changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Trace {
    last: Option<EpochMillis>,
    mark: u64,
}

impl Found {
    async fn scan(question: &Question, opened: &Opened) -> Result<Self, PortError> {
        let hours = u64::from(question.hours.get());
        let window = Millis::from_seconds(hours * 3_600);
        let since = SystemClock.now_ms().as_millis();
        let since = EpochMillis::new(since.saturating_sub(window.as_millis()));
        let filter = WebhookFilter {
            merchant_id: question.merchant.clone(),
            since_or_open: Some(since),
            ..WebhookFilter::default()
        };
        let mut found = Self {
            recent: Newest::default(),
            open: Trouble::ALL.map(|it| (it, Newest::default())).into(),
            orders: HashMap::new(),
            read_units: 0.0,
        };
        let mut after = None;
        loop {
            let part = Part {
                segment: Segment { number: 0, of: 1 },
                after: after.as_ref(),
                most: None,
            };
            let table = &opened.tables.webhooks;
            let page = table.scan(&filter, WebhookParts::Summary, part).await?;
            found.read_units += page.read_units;
            for (_, stored) in page.items {
                found.take(stored, since);
            }
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    fn take(&mut self, stored: StoredWebhook, since: EpochMillis) {
        if let Some(order) = &stored.order {
            let mut hasher = DefaultHasher::new();
            stored.pk.hash(&mut hasher);
            stored.state.map(RecordState::as_str).hash(&mut hasher);
            let trace = self.orders.entry(order.clone()).or_default();
            trace.last = trace.last.max(stored.received_at_ms);
            trace.mark = trace.mark.wrapping_add(hasher.finish());
        }
        if let Some(trouble) = Trouble::of(stored.state) {
            self.open.entry(trouble).or_default().add(stored.clone());
        }
        if stored.received_at_ms.is_some_and(|at| at >= since) {
            self.recent.add(stored);
        }
    }

    fn newest_orders(&self) -> Vec<(OrderKey, Trace)> {
        let orders = self.orders.iter();
        let mut orders: Vec<_> = orders
            .map(|(order, trace)| (order.clone(), *trace))
            .collect();
        orders.sort_by(|(a, one), (b, other)| other.last.cmp(&one.last).then_with(|| a.cmp(b)));
        orders.truncate(MOST_ORDERS);
        orders
    }
}

/// The newest of many records.
#[derive(Debug, Default)]
struct Newest {
    records: BTreeMap<(Option<EpochMillis>, String), StoredWebhook>,
    left_out: u64,
}

impl Newest {
    fn add(&mut self, stored: StoredWebhook) {
        let age = (stored.received_at_ms, stored.pk.clone());
        self.records.insert(age, stored);
        if self.records.len() > MOST_WEBHOOKS {
            self.records.pop_first();
            self.left_out += 1;
        }
    }

    fn count(&self) -> u64 {
        self.left_out + self.records.len() as u64
    }

    fn newest_first(&self) -> impl Iterator<Item = &StoredWebhook> {
        self.records.values().rev()
    }
}

/// What need not be read again.
#[derive(Debug, Default)]
struct Memory {
    orders: HashMap<OrderKey, KnownOrder>,
    /// How today's mapping reads what was set aside, by key: what was received never changes.
    readings: HashMap<String, String>,
}

#[derive(Debug)]
struct KnownOrder {
    trace: Trace,
    card: Card,
}

impl Memory {
    /// Reads the orders that something was heard of, and forgets those that are not shown. A record is closed after its
    /// order is saved, so that a closed one never shows a state from before it.
    async fn read_orders(
        &mut self,
        orders: &[(OrderKey, Trace)],
        opened: &Opened,
        personal_data: PersonalData,
    ) -> Result<f64, PortError> {
        let mut known = HashMap::new();
        let mut changed = Vec::new();
        for (order, trace) in orders {
            match self.orders.remove(order) {
                Some(it) if it.trace == *trace => {
                    known.insert(order.clone(), it);
                }
                Some(_) | None => changed.push((order.clone(), *trace)),
            }
        }
        let reads = changed.into_iter().map(async |(order, trace)| {
            let read = opened.tables.orders.state(&order).await?;
            let read_units = read.read_units;
            let card = Card::new(&order, read, personal_data);
            Ok::<_, PortError>((order, KnownOrder { trace, card }, read_units))
        });
        let reads: Vec<_> = stream::iter(reads)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let mut read_units = 0.0;
        for (order, it, units) in reads {
            known.insert(order, it);
            read_units += units;
        }
        self.orders = known;
        Ok(read_units)
    }

    /// Reads how today's mapping understands what was set aside, once for each record.
    async fn read_set_aside(&mut self, found: &Found, opened: &Opened) -> Result<f64, PortError> {
        let mut readings = HashMap::new();
        let mut unread = Vec::new();
        for (trouble, newest) in &found.open {
            for stored in newest.records.values().filter(|_| trouble.needs_a_person()) {
                match self.readings.remove(&stored.pk) {
                    Some(why) => {
                        readings.insert(stored.pk.clone(), why);
                    }
                    None => unread.push(stored.pk.clone()),
                }
            }
        }
        // A consistent read: a unit for each 4 KB, and hardly a record has more.
        let read_units = f64::from(u32::try_from(unread.len()).unwrap_or(u32::MAX));
        let reads = unread.into_iter().map(async |key| {
            let stored = opened.tables.webhooks.get(&key).await?;
            let why = stored.map(|stored| ReadingView::from(&understand(&stored)).to_string());
            Ok::<_, PortError>((key, why))
        });
        let reads: Vec<_> = stream::iter(reads)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        readings.extend(reads.into_iter().filter_map(|(key, why)| Some((key, why?))));
        self.readings = readings;
        Ok(read_units)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn waits(line: &str, read_units: f64) -> u64 {
        let words = ["hookctl"].into_iter().chain(line.split_whitespace());
        let Arguments { global, command } = Arguments::parse_from(words);
        let Command::Board(options) = command else {
            panic!("`{line}` is not the board")
        };
        let pace = Pace::new(&options, &global.stack);
        pace.wait_after(read_units).as_secs()
    }

    #[test]
    fn the_next_reading_waits_until_the_last_one_is_paid_for() {
        for (line, read_units, seconds) in [
            ("board", 100_000.0, 1),
            ("board --interval 5", 0.0, 5),
            ("board --read-units 10", 200.0, 20),
            ("--stack-name prod board", 0.5, 60),
            ("--stack-name prod board", 25_000.0, 1_000),
            ("--stack-name prod board --interval 2", 25.0, 2),
            (
                "--stack-name prod board --interval 2 --read-units 1",
                25.0,
                25,
            ),
        ] {
            assert_eq!(waits(line, read_units), seconds, "{line}");
        }
    }

    #[test]
    fn of_many_records_the_newest_are_kept_and_the_others_counted() {
        let mut newest = Newest::default();
        let most = u64::try_from(MOST_WEBHOOKS).unwrap();
        for n in (0..most + 7).rev() {
            newest.add(StoredWebhook {
                pk: format!("key {n}"),
                state: Some(RecordState::Parked),
                merchant_id: None,
                order: None,
                received_at_ms: Some(EpochMillis::new(n)),
                due_at_ms: None,
                forward_attempts: None,
                expires_at: None,
                close_reason: None,
                body_sha256: None,
                record: None,
            });
        }

        let kept: Vec<_> = newest.newest_first().map(|it| it.pk.as_str()).collect();
        assert_eq!((kept.len(), newest.count()), (MOST_WEBHOOKS, most + 7));
        assert_eq!(kept.first(), Some(&format!("key {}", most + 6).as_str()));
        assert_eq!(kept.last(), Some(&"key 7"));
    }
}
