//! Whether what the tables hold of a record, and of an order, fits together. Nothing is called a difference that was
//! read only once.

use aws::{Consistency, StoredWebhook};
use domain::{
    MAX_EVENTS_PER_ORDER, OrderKey, Orders as _, PortError, RecordState, TimelineEntry, WebhookKey,
};

use crate::records::{Understood, understand};
use crate::refold::{Fate, refolded};
use crate::stack::Tables;

/// What was found of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RecordFinding {
    /// It is in this state, and has no event that must be in a timeline.
    InState(RecordState),
    /// Applied, and its event is in this order's timeline.
    InTimeline(OrderKey),
    /// Applied, and no event as it is read today.
    NoEvent,
    /// It was deleted while it was looked at.
    Gone,
    /// Applied, and its event is not in this order's timeline.
    EntryMissing(OrderKey),
    /// Applied, and it cannot be read again, so that nothing is known of its event.
    Unreadable(String),
    /// It is in no state that there is.
    UnknownState,
}

impl RecordFinding {
    pub(super) const fn is_difference(&self) -> bool {
        match self {
            Self::InState(_) | Self::InTimeline(_) | Self::NoEvent | Self::Gone => false,
            Self::EntryMissing(_) | Self::Unreadable(_) | Self::UnknownState => true,
        }
    }

    /// The state to count it in; `None` when there is none.
    pub(super) const fn state(&self) -> Option<RecordState> {
        match self {
            Self::InState(state) => Some(*state),
            Self::InTimeline(_) | Self::NoEvent | Self::EntryMissing(_) | Self::Unreadable(_) => {
                Some(RecordState::Applied)
            }
            Self::Gone | Self::UnknownState => None,
        }
    }

    /// The order that its event belongs to.
    pub(super) const fn order(&self) -> Option<&OrderKey> {
        match self {
            Self::InTimeline(order) | Self::EntryMissing(order) => Some(order),
            Self::InState(_)
            | Self::NoEvent
            | Self::Gone
            | Self::Unreadable(_)
            | Self::UnknownState => None,
        }
    }
}

/// What was found of an order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OrderFinding {
    /// Its state is what its timeline folds to.
    Right,
    /// Nothing is stored of it.
    Nothing,
    /// It has more events than are folded.
    StandsStill,
    /// An event of it is on its way, or it changed between two readings.
    BeingApplied,
    /// Its state is another than its timeline's; in these words.
    StateDiffers(String),
    /// Its state counts more events than its timeline has.
    EntriesLost { counted: usize, entries: usize },
    /// Its items cannot be read.
    Unreadable(String),
}

impl OrderFinding {
    pub(super) const fn is_difference(&self) -> bool {
        match self {
            Self::Right | Self::Nothing | Self::StandsStill | Self::BeingApplied => false,
            Self::StateDiffers(_) | Self::EntriesLost { .. } | Self::Unreadable(_) => true,
        }
    }
}

/// One reading of an order.
struct OnceRead {
    finding: OrderFinding,
    /// How many events the state counts, and how many the timeline has.
    events: (Option<usize>, usize),
    /// The records of its entries, the last received first, where the state does not count all of them.
    records: Vec<WebhookKey>,
}

/// Looks at records and orders.
pub(super) struct Checks {
    pub(super) tables: Tables,
}

impl Checks {
    /// Looks at a record as a scan found it, and at the record itself if anything is wrong with it.
    pub(super) async fn record(&self, stored: &StoredWebhook) -> Result<RecordFinding, PortError> {
        let finding = self.record_once(stored, Consistency::Eventual).await?;
        if !finding.is_difference() {
            return Ok(finding);
        }
        match self.tables.webhooks.get(&stored.pk).await? {
            Some(again) => self.record_once(&again, Consistency::Strong).await,
            None => Ok(RecordFinding::Gone),
        }
    }

    async fn record_once(
        &self,
        stored: &StoredWebhook,
        consistency: Consistency,
    ) -> Result<RecordFinding, PortError> {
        match stored.state {
            None => return Ok(RecordFinding::UnknownState),
            Some(RecordState::Applied) => {}
            Some(
                state @ (RecordState::Pending
                | RecordState::Unmapped
                | RecordState::Quarantined
                | RecordState::Parked
                | RecordState::Dismissed),
            ) => return Ok(RecordFinding::InState(state)),
        }
        let (record, event) = match understand(stored) {
            Understood::Event { record, event } => (record, event),
            Understood::NoEvent { .. } => return Ok(RecordFinding::NoEvent),
            Understood::Damaged(why) => return Ok(RecordFinding::Unreadable(why)),
        };
        let order = event.order_key();
        // Its identity, not its record: a webhook that came under two ids at one time is one entry.
        let entry = TimelineEntry::new(*event, record.webhook_pk.clone());
        let sort_key = entry.sort_key(order.provider);
        let orders = &self.tables.orders;
        Ok(if orders.has_entry(&order, &sort_key, consistency).await? {
            RecordFinding::InTimeline(order)
        } else {
            RecordFinding::EntryMissing(order)
        })
    }

    /// Looks at an order, and again if anything is wrong with it.
    pub(super) async fn order(&self, order: &OrderKey) -> Result<OrderFinding, PortError> {
        let first = self.order_once(order).await?;
        if !first.finding.is_difference() {
            return Ok(first.finding);
        }
        // The consumer puts an entry, saves the state and then closes the record.
        if self.is_one_pending(&first.records).await? {
            return Ok(OrderFinding::BeingApplied);
        }
        // What was on its way at the first reading has been saved: no record of it is pending any more.
        let second = self.order_once(order).await?;
        if second.finding.is_difference() && second.events != first.events {
            return Ok(OrderFinding::BeingApplied);
        }
        Ok(second.finding)
    }

    async fn order_once(&self, order: &OrderKey) -> Result<OnceRead, PortError> {
        let timeline = match self.tables.orders.read(order).await {
            Ok(timeline) => timeline,
            Err(error) if aws::is_damaged(&error) => {
                return Ok(OnceRead {
                    finding: OrderFinding::Unreadable(error.with_causes()),
                    events: (None, 0),
                    records: Vec::new(),
                });
            }
            Err(error) => return Err(error),
        };
        let counted = timeline.state.as_ref().map(|state| state.event_count);
        let entries = timeline.entries.len();
        let records = if counted < Some(entries) && entries <= MAX_EVENTS_PER_ORDER {
            last_received_first(&timeline.entries)
        } else {
            Vec::new()
        };
        let finding = if counted.is_none() && entries == 0 {
            OrderFinding::Nothing
        } else {
            let (refolded, _) = refolded(order, timeline);
            match (refolded.fate, counted) {
                (Fate::Right, _) => OrderFinding::Right,
                (Fate::StandsStill, _) => OrderFinding::StandsStill,
                (
                    Fate::WouldRepair | Fate::Repaired | Fate::Superseded | Fate::Unreadable,
                    Some(counted),
                ) if counted > entries => OrderFinding::EntriesLost { counted, entries },
                (
                    Fate::WouldRepair | Fate::Repaired | Fate::Superseded | Fate::Unreadable,
                    Some(_) | None,
                ) => OrderFinding::StateDiffers(refolded.change()),
            }
        };
        Ok(OnceRead {
            finding,
            events: (counted, entries),
            records,
        })
    }

    async fn is_one_pending(&self, records: &[WebhookKey]) -> Result<bool, PortError> {
        for key in records {
            let stored = self.tables.webhooks.get(key.as_str()).await?;
            if stored.is_some_and(|it| it.state == Some(RecordState::Pending)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn last_received_first(entries: &[TimelineEntry]) -> Vec<WebhookKey> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.received_at_ms));
    let mut keys: Vec<_> = entries.iter().map(|it| it.webhook_pk.clone()).collect();
    keys.dedup();
    keys
}
