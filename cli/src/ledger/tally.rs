//! The sums of a ledger, and how they are told.

use std::collections::BTreeMap;
use std::fmt;

use aws::StoredWebhook;
use domain::{EpochMillis, MAX_EVENTS_PER_ORDER, OrderKey, Provider, RecordState};
use serde::{Deserialize, Serialize};

use super::check::{OrderFinding, RecordFinding};
use super::remedy::{Difference, Kind};
use crate::arguments::Ledger;
use crate::moment;
use crate::table;

/// How many differences, and how many orders that stand still, are told to people.
const MOST_TOLD: usize = 100;
/// What records are counted under whose key names no provider.
const OTHER: &str = "other";
/// What records are counted under that are in no state that there is.
const UNKNOWN_STATE: &str = "no_known_state";

/// What has been counted so far. A resume file keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Records by provider, and in there by state.
    records: BTreeMap<String, BTreeMap<String, u64>>,
    /// When the oldest pending record was received.
    oldest_pending: Option<EpochMillis>,
    applied: Applied,
    orders: Orders,
    differences: BTreeMap<Kind, u64>,
    /// The first of them.
    told: Vec<Difference>,
    /// The first orders of those that stand still.
    standing_still: Vec<String>,
}

/// What was found of applied records.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Applied {
    in_timeline: u64,
    not_in_timeline: u64,
    /// They are no event as this hookctl reads them.
    no_event: u64,
    unreadable: u64,
}

/// What was found of orders.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Orders {
    right: u64,
    different: u64,
    /// An event was on its way while they were read.
    being_applied: u64,
    standing_still: u64,
}

impl Tally {
    pub(super) fn count_record(
        &mut self,
        stored: &StoredWebhook,
        finding: &RecordFinding,
        difference: Option<&Difference>,
    ) {
        if *finding == RecordFinding::Gone {
            return;
        }
        let provider = stored.pk.split('#').next().unwrap_or_default();
        let provider = provider.parse::<Provider>();
        let provider = provider.map_or_else(|_| OTHER.to_owned(), |it| it.to_string());
        let state = finding.state();
        let word = state.map_or(UNKNOWN_STATE, RecordState::as_str).to_owned();
        *self
            .records
            .entry(provider)
            .or_default()
            .entry(word)
            .or_default() += 1;
        if state == Some(RecordState::Pending) {
            let oldest = [self.oldest_pending, stored.received_at_ms];
            self.oldest_pending = oldest.into_iter().flatten().min();
        }
        match finding {
            RecordFinding::InTimeline(_) => self.applied.in_timeline += 1,
            RecordFinding::EntryMissing(_) => self.applied.not_in_timeline += 1,
            RecordFinding::NoEvent => self.applied.no_event += 1,
            RecordFinding::Unreadable(_) => self.applied.unreadable += 1,
            RecordFinding::InState(_) | RecordFinding::Gone | RecordFinding::UnknownState => {}
        }
        self.count_difference(difference);
    }

    pub(super) fn count_order(
        &mut self,
        order: &OrderKey,
        finding: &OrderFinding,
        difference: Option<&Difference>,
    ) {
        match finding {
            OrderFinding::Nothing => {}
            OrderFinding::Right => self.orders.right += 1,
            OrderFinding::BeingApplied => self.orders.being_applied += 1,
            OrderFinding::StandsStill => {
                self.orders.standing_still += 1;
                if self.standing_still.len() < MOST_TOLD {
                    self.standing_still.push(order.to_string());
                }
            }
            OrderFinding::StateDiffers(_)
            | OrderFinding::EntriesLost { .. }
            | OrderFinding::Unreadable(_) => self.orders.different += 1,
        }
        self.count_difference(difference);
    }

    fn count_difference(&mut self, difference: Option<&Difference>) {
        let Some(difference) = difference else {
            return;
        };
        *self.differences.entry(difference.kind).or_default() += 1;
        if self.told.len() < MOST_TOLD {
            self.told.push(difference.clone());
        }
    }

    /// How many differences there are.
    pub(super) fn differences(&self) -> u64 {
        self.differences.values().sum()
    }

    /// How many records are in this state, of one provider or of all.
    fn in_state(&self, provider: Option<&str>, state: Option<&str>) -> u64 {
        let providers = self.records.iter();
        let providers = providers.filter(|(it, _)| provider.is_none_or(|asked| asked == *it));
        let states = providers.flat_map(|(_, states)| states);
        let states = states.filter(|(it, _)| state.is_none_or(|asked| asked == *it));
        states.map(|(_, count)| count).sum()
    }
}

/// What a ledger is about.
#[derive(Debug, Serialize)]
pub(super) struct Extent {
    stack: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant: Option<String>,
}

impl Extent {
    pub(super) fn new(stack: &str, options: &Ledger) -> Self {
        Self {
            stack: stack.to_owned(),
            since: options.since.map(moment::show),
            until: options.until.map(moment::show),
            merchant: options.merchant.as_ref().map(ToString::to_string),
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ledger of {}", self.stack)?;
        let parts = [
            ("of merchant", &self.merchant),
            ("records since", &self.since),
            ("records until", &self.until),
        ];
        for (name, value) in parts {
            if let Some(value) = value {
                write!(f, ", {name} {value}")?;
            }
        }
        Ok(())
    }
}

/// A line of the JSON form, while the tables are read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// Something that does not add up.
    Difference(Difference),
    /// An order with more events than are folded.
    StandsStill { order: String },
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Difference(difference) => difference.fmt(f),
            Self::StandsStill { order } => write!(f, "  {order}"),
        }
    }
}

/// The ledger as it is told: the sums, and for people the differences below them.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    summary: Summary<'a>,
    #[serde(skip)]
    tally: &'a Tally,
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    extent: &'a Extent,
    records: u64,
    by_provider: &'a BTreeMap<String, BTreeMap<String, u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_pending: Option<OldestPending>,
    applied: Applied,
    orders: Orders,
    differences: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    kinds: &'a BTreeMap<Kind, u64>,
}

#[derive(Serialize)]
struct OldestPending {
    received_at: String,
    age_seconds: u64,
    #[serde(skip)]
    age: String,
}

impl<'a> Told<'a> {
    pub(super) fn new(extent: &'a Extent, tally: &'a Tally, now: EpochMillis) -> Self {
        let oldest_pending = tally.oldest_pending.map(|received| OldestPending {
            received_at: moment::show(received),
            age_seconds: now.since(received).as_millis() / 1_000,
            age: moment::age(now, received),
        });
        Self {
            summary: Summary {
                extent,
                records: tally.in_state(None, None),
                by_provider: &tally.records,
                oldest_pending,
                applied: tally.applied,
                orders: tally.orders,
                differences: tally.differences(),
                kinds: &tally.differences,
            },
            tally,
        }
    }

    /// A row for each state, a column for each provider and one for all.
    fn records(&self) -> String {
        let mut providers = vec![
            Some(Provider::Armada.as_str()),
            Some(Provider::Shipday.as_str()),
        ];
        if self.tally.records.contains_key(OTHER) {
            providers.push(Some(OTHER));
        }
        providers.push(None);
        let width = self.summary.records.to_string().len().max("shipday".len());
        let heads = providers.iter().map(|it| it.unwrap_or("all"));
        let cells: Vec<_> = heads.map(|head| format!("{head:>width$}")).collect();
        let mut rows = vec![row("records", &cells, String::new())];
        let states = RecordState::ALL.map(|state| Some(state.as_str()));
        for state in states.into_iter().chain([Some(UNKNOWN_STATE), None]) {
            let counts = providers.iter().map(|it| self.tally.in_state(*it, state));
            let cells: Vec<_> = counts.map(|count| format!("{count:>width$}")).collect();
            let name = state.unwrap_or("all").replace('_', " ");
            rows.push(row(&name, &cells, self.remark(state)));
        }
        table::align("  ", &rows)
    }

    fn remark(&self, state: Option<&str>) -> String {
        match &self.summary.oldest_pending {
            Some(oldest) if state == Some(RecordState::Pending.as_str()) => {
                format!("the oldest for {}", oldest.age)
            }
            Some(_) | None => String::new(),
        }
    }

    fn checks(&self) -> String {
        let Summary {
            applied, orders, ..
        } = &self.summary;
        let beyond = format!("orders beyond {MAX_EVENTS_PER_ORDER} events: they stand still");
        let rows = [
            ("applied, in its order's timeline", applied.in_timeline),
            ("applied, not in it", applied.not_in_timeline),
            ("applied, no event to this hookctl", applied.no_event),
            ("applied, cannot be read again", applied.unreadable),
            ("orders whose state is their timeline's", orders.right),
            ("orders with a difference", orders.different),
            (
                "orders being applied while they were read",
                orders.being_applied,
            ),
            (beyond.as_str(), orders.standing_still),
        ];
        let width = rows.map(|(_, count)| count.to_string().len());
        let width = width.into_iter().max().unwrap_or_default();
        let rows = rows.map(|(name, count)| [name.to_owned(), format!("{count:>width$}")]);
        table::align("  ", &rows)
    }
}

/// A row whose numbers are aligned already.
fn row(name: &str, cells: &[String], remark: String) -> [String; 3] {
    [name.to_owned(), cells.join("  "), remark]
}

/// How many were not told.
fn more(all: u64, told: usize) -> Option<String> {
    let told = u64::try_from(told).unwrap_or(u64::MAX);
    let more = all.saturating_sub(told);
    (more > 0).then(|| format!("  and {more} more: --json tells all\n"))
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            told,
            standing_still,
            orders,
            ..
        } = self.tally;
        writeln!(f, "{}\n", self.summary.extent)?;
        writeln!(f, "{}\n{}", self.records(), self.checks())?;
        if !standing_still.is_empty() {
            writeln!(
                f,
                "Orders beyond {MAX_EVENTS_PER_ORDER} events, no difference\n"
            )?;
            for order in standing_still {
                writeln!(f, "  {order}")?;
            }
            let more = more(orders.standing_still, standing_still.len());
            writeln!(f, "{}", more.unwrap_or_default())?;
        }
        let differences = self.summary.differences;
        if differences == 0 {
            return writeln!(f, "No difference.");
        }
        writeln!(f, "{differences} difference(s)\n")?;
        for difference in told {
            writeln!(f, "{difference}")?;
        }
        match more(differences, told.len()) {
            Some(more) => f.write_str(&more),
            None => Ok(()),
        }
    }
}
