//! `hookctl erase`: removes the personal data of one order.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws::{OrderItems, RecordChange, StoredWebhook, WebhookFilter, WebhookParts};
use domain::{
    EpochMillis, OrderKey, Orders as _, PortError, RecordState, TimelineEntry, WebhookKey,
    short_digest,
};
use providers::adapter;
use serde::{Deserialize, Serialize};

use crate::arguments::{Erase, Reading, StackChoice, WholeReading};
use crate::emphasis;
use crate::moment;
use crate::output::{Output, OutputError};
use crate::progress::Progress;
use crate::records::{printable, restored};
use crate::resume::ResumeError;
use crate::scan::{Scan, ScanError};
use crate::stack::{Stack, StackError, Tables};

/// For how many days point-in-time recovery can bring back what was deleted, as the template sets it.
const WEBHOOKS_RECOVERY_DAYS: u16 = 7;
/// The same for `orders`: what DynamoDB does unless it is told otherwise.
const ORDERS_RECOVERY_DAYS: u16 = 35;

/// Not everything of the order was erased.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EraseError {
    /// Some of it was left, as the lines above say.
    #[error("{0} thing(s) of the order were left, for the reasons above: run the command again")]
    Left(u64),
    /// The table could not be read through.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A table did not answer.
    #[error(transparent)]
    Table(#[from] PortError),
    /// The stack cannot be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The result could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl From<ResumeError> for EraseError {
    fn from(error: ResumeError) -> Self {
        Self::Scan(error.into())
    }
}

/// Runs the command.
pub(crate) async fn run(
    options: Erase,
    choice: &StackChoice,
    output: Output,
) -> Result<(), EraseError> {
    let stack = Stack::open(choice).await?;
    let erasure = Erasure {
        order: OrderKey {
            merchant_id: options.merchant.clone(),
            provider: options.provider,
            order_id: options.order.clone(),
        },
        tables: stack.tables()?,
        stack: stack.name().to_owned(),
        options,
        output,
        met: RefCell::default(),
        sum: RefCell::default(),
    };
    let has_timeline = erasure.erase_records_of_timeline().await?;
    erasure.erase_records_of_table().await?;
    if erasure.options.timeline {
        erasure.erase_timeline().await?;
    }
    let total = Total {
        summary: erasure.sum.take(),
    };
    output.result(&total)?;
    erasure.remind(has_timeline, &total.summary);
    let left = total.summary.left();
    if erasure.options.yes && left > 0 {
        return Err(EraseError::Left(left));
    }
    Ok(())
}

/// Erases what is stored of an order under these keys, and its state and timeline: as the command does, without reading
/// the table for what else there may be. Pending records are left. How many things were left.
pub(crate) async fn erase_known(
    stack: &Stack,
    order: &OrderKey,
    keys: &BTreeSet<WebhookKey>,
    output: Output,
) -> Result<u64, EraseError> {
    let erasure = Erasure {
        tables: stack.tables()?,
        stack: stack.name().to_owned(),
        options: Erase {
            merchant: order.merchant_id.clone(),
            provider: order.provider,
            order: order.order_id.clone(),
            timeline: true,
            pending: false,
            yes: true,
            whole: WholeReading::default(),
        },
        order: order.clone(),
        output,
        met: RefCell::default(),
        sum: RefCell::default(),
    };
    for key in keys {
        if let Some(stored) = erasure.tables.webhooks.get(key.as_str()).await? {
            let outcome = erasure.erase_record(&stored).await?;
            erasure.sum.borrow_mut().count(outcome);
        }
    }
    let items = erasure.tables.orders.items(order).await?;
    if !items.is_empty() {
        let outcome = erasure.erase_items(&items).await?;
        erasure.sum.borrow_mut().count(outcome);
    }
    Ok(erasure.sum.take().left())
}

/// What became of a record, or of the order's items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Deleted,
    WouldDelete,
    /// Its event may not be in the timeline yet.
    LeftPending,
    /// Something happened to it after it was read.
    LeftChanged,
    /// Its state or its digest cannot be read, so that nothing tells whether it changed.
    LeftDamaged,
    /// The order's items: a record of it was left, which could write them again.
    LeftForRecords,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::WouldDelete => "would delete",
            Self::LeftPending => "left: pending",
            Self::LeftChanged => "left: changed",
            Self::LeftDamaged => "left: damaged",
            Self::LeftForRecords => "left: records",
        }
    }

    /// As it is said of a number of them.
    const fn of_many(self) -> &'static str {
        match self {
            Self::WouldDelete => "would be deleted",
            Self::Deleted
            | Self::LeftPending
            | Self::LeftChanged
            | Self::LeftDamaged
            | Self::LeftForRecords => self.as_str(),
        }
    }

    const fn is_left(self) -> bool {
        match self {
            Self::Deleted | Self::WouldDelete => false,
            Self::LeftPending | Self::LeftChanged | Self::LeftDamaged | Self::LeftForRecords => {
                true
            }
        }
    }
}

/// How a record was found.
#[derive(Clone, Copy)]
enum Found {
    /// An entry of the timeline was read from it, when it was received at this time.
    InTimeline(EpochMillis),
    InTable,
}

/// Whose a record is.
enum Owner {
    ThisOrder,
    AnotherOrder,
    /// It names no order that can be read.
    Nobody,
}

struct Erasure {
    order: OrderKey,
    tables: Tables,
    stack: String,
    options: Erase,
    output: Output,
    /// The keys of the records that were dealt with.
    met: RefCell<BTreeSet<String>>,
    sum: RefCell<Sum>,
}

impl Erasure {
    /// Erases the records that the timeline names; whether there is a timeline.
    async fn erase_records_of_timeline(&self) -> Result<bool, EraseError> {
        let progress = Progress::none(self.output);
        let entries = match self.tables.orders.read(&self.order).await {
            Ok(timeline) => timeline.entries,
            Err(error) if aws::is_damaged(&error) => {
                // The scan finds its records too.
                progress.message(format_args!("{}: {}", self.order, error.with_causes()));
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        for TimelineEntry {
            webhook_pk,
            received_at_ms,
            ..
        } in &entries
        {
            if let Some(stored) = self.tables.webhooks.get(webhook_pk.as_str()).await? {
                let found = Found::InTimeline(*received_at_ms);
                self.record(&stored, found, &progress).await?;
            }
        }
        Ok(!entries.is_empty())
    }

    /// Erases the records that name the order, in whatever state.
    async fn erase_records_of_table(&self) -> Result<(), EraseError> {
        let table = &self.tables.webhooks;
        let progress = Progress::new(self.output, table.approximate_count().await?);
        let work = self.work(table.name());
        let scan = Scan::open(&Reading::from(&self.options.whole), &work, &progress)?;
        let filter = WebhookFilter {
            order: Some(self.order.clone()),
            ..WebhookFilter::default()
        };
        // What was left in the part that was read before is not met again, and must not be forgotten.
        let of_timeline = self.sum.replace(scan.tally()?.unwrap_or_default());
        scan.run(
            async |part| table.scan(&filter, WebhookParts::Whole, part).await,
            async |stored| {
                self.record(&stored, Found::InTable, &progress).await?;
                Ok::<_, EraseError>(scan.keep(&*self.sum.borrow())?)
            },
        )
        .await?;
        self.sum.borrow_mut().add(&of_timeline);
        Ok(())
    }

    /// The command, in words.
    fn work(&self, table: &str) -> String {
        let flags = [
            ("timeline", self.options.timeline),
            ("pending", self.options.pending),
            ("yes", self.options.yes),
        ];
        let flags = flags.into_iter().filter(|(_, given)| *given);
        let flags: String = flags.map(|(name, _)| format!(" --{name}")).collect();
        format!("erase {}{flags} on {table} of {}", self.order, self.stack)
    }

    async fn record(
        &self,
        stored: &StoredWebhook,
        found: Found,
        progress: &Progress,
    ) -> Result<(), EraseError> {
        if self.met.borrow().contains(&stored.pk) {
            return Ok(());
        }
        match self.owner(stored, found) {
            Owner::ThisOrder => {}
            Owner::AnotherOrder => return Ok(()),
            Owner::Nobody => {
                self.sum.borrow_mut().of_no_order += 1;
                return Ok(());
            }
        }
        self.met.borrow_mut().insert(stored.pk.clone());
        let outcome = self.erase_record(stored).await?;
        progress.result(&Line::Webhook(Erased::new(stored, outcome)))?;
        let mut sum = self.sum.borrow_mut();
        sum.records += 1;
        sum.count(outcome);
        Ok(())
    }

    fn owner(&self, stored: &StoredWebhook, found: Found) -> Owner {
        let is_ours = |order: &OrderKey| {
            if *order == self.order {
                Owner::ThisOrder
            } else {
                Owner::AnotherOrder
            }
        };
        if let Some(order) = &stored.order {
            return is_ours(order);
        }
        let read = restored(stored).ok();
        let read = read.and_then(|(record, it)| adapter(record.provider).read(&it).order);
        match (read, found) {
            (Some(order), _) => is_ours(&order),
            // Another webhook may have its key since it expired.
            (None, Found::InTimeline(at)) if stored.received_at_ms == Some(at) => Owner::ThisOrder,
            (None, Found::InTimeline(_) | Found::InTable) => Owner::Nobody,
        }
    }

    async fn erase_record(&self, stored: &StoredWebhook) -> Result<Outcome, PortError> {
        let (Some(state), Some(digest)) = (stored.state, &stored.body_sha256) else {
            return Ok(Outcome::LeftDamaged);
        };
        if state == RecordState::Pending && !self.options.pending {
            return Ok(Outcome::LeftPending);
        }
        if !self.options.yes {
            return Ok(Outcome::WouldDelete);
        }
        let erased = self.tables.webhooks.erase(&stored.pk, state, digest).await;
        Ok(outcome(erased?))
    }

    async fn erase_timeline(&self) -> Result<(), EraseError> {
        let items = self.tables.orders.items(&self.order).await?;
        if items.is_empty() {
            return Ok(());
        }
        let outcome = self.erase_items(&items).await?;
        self.output.result(&Line::Order(ErasedOrder {
            order: self.order.to_string(),
            events: items.entries.len(),
            outcome,
        }))?;
        self.sum.borrow_mut().count(outcome);
        Ok(())
    }

    async fn erase_items(&self, seen: &OrderItems) -> Result<Outcome, PortError> {
        if self.sum.borrow().left() > 0 {
            return Ok(Outcome::LeftForRecords);
        }
        if !self.options.yes {
            return Ok(Outcome::WouldDelete);
        }
        let orders = &self.tables.orders;
        let erased = orders.erase(&self.order, seen).await?;
        // An event may have come in between.
        let is_gone = orders.items(&self.order).await?.is_empty();
        Ok(if is_gone {
            outcome(erased)
        } else {
            Outcome::LeftChanged
        })
    }

    /// Says what is not erased by it.
    fn remind(&self, has_timeline: bool, sum: &Sum) {
        let merchant = &self.order.merchant_id;
        let (output, options) = (self.output, &self.options);
        if !options.yes {
            output.message("nothing was deleted: add --yes to do it");
        }
        if has_timeline && !options.timeline {
            output.message(
                "the order's state and timeline stay in `orders`, with the driver and the tracking link: --timeline \
                 deletes them too",
            );
        }
        if sum.of_no_order > 0 {
            output.message(format_args!(
                "{} record(s) of this merchant name no order that can be read, and were left: \
                 `hookctl webhook list --state unmapped,quarantined --merchant {merchant}` shows them",
                sum.of_no_order
            ));
        }
        output.message(format_args!(
            "backups: point-in-time recovery can bring back `webhooks` of the last {WEBHOOKS_RECOVERY_DAYS} days and \
             `orders` of the last {ORDERS_RECOVERY_DAYS}; a fallback message that is still in a queue writes its \
             record again, and then this command can be run again"
        ));
    }
}

const fn outcome(change: RecordChange) -> Outcome {
    match change {
        RecordChange::Made => Outcome::Deleted,
        RecordChange::NotAsSeen => Outcome::LeftChanged,
    }
}

/// A line about a record or about the order.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Webhook(Erased),
    Order(ErasedOrder),
}

/// What became of a record. Only one that was left is named by its key, so that it can be looked at.
#[derive(Serialize)]
struct Erased {
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    state: Option<&'static str>,
    received_at: Option<String>,
    outcome: Outcome,
}

/// What became of an order's state and timeline.
#[derive(Serialize)]
struct ErasedOrder {
    order: String,
    events: usize,
    outcome: Outcome,
}

impl Erased {
    fn new(stored: &StoredWebhook, outcome: Outcome) -> Self {
        Self {
            digest: short_digest(&stored.pk),
            key: outcome.is_left().then(|| stored.pk.clone()),
            state: stored.state.map(RecordState::as_str),
            received_at: stored.received_at_ms.map(moment::show),
            outcome,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(it) => {
                write!(
                    f,
                    "{:<13}  {}  {}  {}",
                    it.outcome.as_str(),
                    emphasis::state_cell(it.state.and_then(RecordState::parse)),
                    it.digest,
                    it.received_at.as_deref().unwrap_or("-")
                )?;
                match &it.key {
                    Some(key) => write!(f, "  {}", printable(key)),
                    None => Ok(()),
                }
            }
            Self::Order(it) => write!(
                f,
                "{:<13}  state and timeline of {}, {} event(s)",
                it.outcome.as_str(),
                it.order,
                it.events
            ),
        }
    }
}

/// The end of the list.
#[derive(Serialize)]
struct Total {
    summary: Sum,
}

/// A resume file keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sum {
    /// How many records of the order were met.
    records: u64,
    /// What became of them, and of the order's items where they were to be deleted.
    outcomes: BTreeMap<Outcome, u64>,
    /// How many records of the merchant name no order that can be read.
    of_no_order: u64,
}

impl Sum {
    fn count(&mut self, outcome: Outcome) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.of_no_order += other.of_no_order;
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += count;
        }
    }

    fn left(&self) -> u64 {
        let left = self.outcomes.iter().filter(|(it, _)| it.is_left());
        left.map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum {
            records, outcomes, ..
        } = &self.summary;
        write!(f, "{records} record(s) of the order")?;
        if outcomes.values().sum::<u64>() > *records {
            f.write_str(" and its state and timeline")?;
        }
        for (n, (outcome, count)) in outcomes.iter().enumerate() {
            let separator = if n == 0 { ": " } else { ", " };
            write!(f, "{separator}{count} {}", outcome.of_many())?;
        }
        Ok(())
    }
}
