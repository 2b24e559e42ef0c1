//! `hookctl webhook tail`: records as they arrive, and as their states change.
//!
//! Nothing in the table is ordered by time, and most records are pending for less than a second or not at all, so that
//! the index of what is pending would miss them. What is complete is to read the whole table again and again; how fast
//! is bounded, and with it the cost.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws::{Page, Part, Position, Segment, StoredWebhook, SystemClock, WebhookFilter, WebhookParts};
use domain::{Clock as _, EpochMillis, Millis, OrderKey, PortError, RecordState, Status};
use serde::Serialize;
use tokio::time::Instant;

use super::reading::{ReadingView, Understood, understand};
use super::view::{Summary, printable};
use super::{RecordError, Records};
use crate::arguments::Tail;
use crate::output::OutputError;
use crate::scan::ScanError;

/// So far records are looked for before the start: this machine's clock may be ahead of the functions', and some
/// lines to begin with show that it works.
const BEFORE_THE_START: Millis = Millis::from_seconds(60);
const DAY: Millis = Millis::from_days(1);
/// One segment: what is read side by side is read faster, and that is what is to be bounded.
const WHOLE: Segment = Segment { number: 0, of: 1 };

/// The end of a tail that was to end.
struct LimitReached;

struct Follower<'a> {
    records: &'a Records,
    options: &'a Tail,
    filter: WebhookFilter,
    /// The state that each record was last met in.
    known: RefCell<HashMap<String, Option<RecordState>>>,
    sum: RefCell<Sum>,
}

impl Records {
    /// Runs the command.
    pub(super) async fn tail(&self, options: &Tail) -> Result<(), RecordError> {
        let now = SystemClock.now_ms();
        let follower = Follower::new(self, options, now);
        if self.output.is_for_people() {
            self.output.message(Change::heading());
        }
        let ended = tokio::select! {
            ended = follower.follow() => ended.map(|LimitReached| ()),
            signal = tokio::signal::ctrl_c() => signal.map_err(|error| ScanError::Signal(error).into()),
        };
        let total = Total {
            summary: *follower.sum.borrow(),
        };
        if self.output.is_for_people() {
            self.output.message(&total);
        } else {
            self.output.result(&total)?;
        }
        ended
    }
}

impl<'a> Follower<'a> {
    fn new(records: &'a Records, options: &'a Tail, now: EpochMillis) -> Self {
        let before_now = now.as_millis().saturating_sub(BEFORE_THE_START.as_millis());
        Self {
            records,
            options,
            filter: WebhookFilter {
                // Every state: a record is followed through those that are not shown.
                states: Vec::new(),
                merchant_id: options.merchant.clone(),
                provider: options.provider,
                since: Some(options.since.unwrap_or(EpochMillis::new(before_now))),
                until: None,
                since_or_open: None,
                order: options.order.clone(),
            },
            known: RefCell::default(),
            sum: RefCell::default(),
        }
    }

    async fn follow(&self) -> Result<LimitReached, RecordError> {
        let interval = self.options.interval;
        loop {
            let started = Instant::now();
            if let Some(end) = self.pass().await? {
                return Ok(end);
            }
            self.sum.borrow_mut().passes += 1;
            let sum = *self.sum.borrow();
            if sum.passes == 1 {
                let anew_after = started.elapsed() + interval;
                self.records.output.message(Pace { sum, anew_after });
            }
            tokio::time::sleep(interval).await;
        }
    }

    /// Reads the table once, and shows what is new in it.
    async fn pass(&self) -> Result<Option<LimitReached>, RecordError> {
        let mut after: Option<Position> = None;
        loop {
            let before = self.sum.borrow().read_units;
            let page = self.page(after.as_ref()).await?;
            self.sum.borrow_mut().add(&page);
            let mut met: Vec<_> = page.items.into_iter().map(|(_, stored)| stored).collect();
            met.sort_by_key(|stored| stored.received_at_ms);
            for stored in met {
                if let Some(end) = self.meet(stored).await? {
                    return Ok(Some(end));
                }
            }
            // So that the table is never read faster than was said.
            let used = self.sum.borrow().read_units - before;
            let seconds = used / f64::from(self.options.read_units.get());
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            after = page.next;
            if after.is_none() {
                return Ok(None);
            }
        }
    }

    async fn page(&self, after: Option<&Position>) -> Result<Page<StoredWebhook>, PortError> {
        let part = Part {
            segment: WHOLE,
            after,
            most: None,
        };
        let table = &self.records.tables.webhooks;
        table.scan(&self.filter, WebhookParts::Whole, part).await
    }

    /// Shows a record that is new, or in another state than before.
    async fn meet(&self, stored: StoredWebhook) -> Result<Option<LimitReached>, RecordError> {
        let before = self.known.borrow().get(&stored.pk).copied();
        let Some(stored) = self.as_it_is(stored, before).await? else {
            return Ok(None);
        };
        let (key, state) = (stored.pk.clone(), stored.state);
        self.known.borrow_mut().insert(key, state);
        let states = &self.options.state;
        if !states.is_empty() && !state.is_some_and(|state| states.contains(&state)) {
            return Ok(None);
        }
        let understood = understand(&stored);
        if !self
            .options
            .order
            .as_ref()
            .is_none_or(|order| is_of(&stored, &understood, order))
        {
            return Ok(None);
        }
        let change = Change::new(&stored, before.flatten(), &understood, SystemClock.now_ms());
        self.show(&change).map_err(RecordError::from)
    }

    /// The record, if it is in another state than before. A scan may be answered by a copy of the table that is behind
    /// the one that answered the last: what seems to have changed is read again, consistently.
    async fn as_it_is(
        &self,
        stored: StoredWebhook,
        before: Option<Option<RecordState>>,
    ) -> Result<Option<StoredWebhook>, PortError> {
        match before {
            None => Ok(Some(stored)),
            Some(before) if before == stored.state => Ok(None),
            Some(before) => {
                self.sum.borrow_mut().read_units += 1.0;
                let again = self.records.tables.webhooks.get(&stored.pk).await?;
                Ok(again.filter(|it| it.state != before))
            }
        }
    }

    fn show(&self, change: &Change) -> Result<Option<LimitReached>, OutputError> {
        self.records.output.result(change)?;
        let mut sum = self.sum.borrow_mut();
        sum.changes += 1;
        let limit = self.options.limit.map(std::num::NonZero::get);
        Ok((limit == Some(sum.changes)).then_some(LimitReached))
    }
}

/// Whether the record belongs to the order; one that names none is read for it.
fn is_of(stored: &StoredWebhook, understood: &Understood<'_>, order: &OrderKey) -> bool {
    match (&stored.order, understood) {
        (Some(named), _) => named == order,
        (None, Understood::Event { event, .. }) => event.order_key() == *order,
        (None, Understood::NoEvent { .. } | Understood::Damaged(_)) => false,
    }
}

/// Within how many seconds of its receipt a record was applied. The table keeps no such time, but an expiry that is a
/// whole number of days later, in whole seconds. That tells it as long as the record is less than a day old.
fn applied_within_seconds(stored: &StoredWebhook, now: EpochMillis) -> Option<u64> {
    let received = stored.received_at_ms?;
    let age = now.since(received);
    if stored.state != Some(RecordState::Applied) || age >= DAY {
        return None;
    }
    let latest = stored.expires_at? + Millis::new(999);
    let within = latest.since(received).as_millis() % DAY.as_millis();
    // Longer than it is old: the clocks of the functions, or this machine's, differ.
    let is_possible = within <= age.as_millis() + BEFORE_THE_START.as_millis();
    is_possible.then(|| within.div_ceil(1_000))
}

/// A line: a record that arrived, or whose state changed.
#[derive(Serialize)]
struct Change {
    webhook: Summary,
    /// In which state it was shown, or passed over, before.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_within_seconds: Option<u64>,
    reading: ReadingView,
}

impl Change {
    fn new(
        stored: &StoredWebhook,
        was: Option<RecordState>,
        understood: &Understood<'_>,
        now: EpochMillis,
    ) -> Self {
        Self {
            webhook: stored.into(),
            was: was.map(RecordState::as_str),
            applied_within_seconds: applied_within_seconds(stored, now),
            reading: understood.into(),
        }
    }

    fn heading() -> String {
        format!(
            "{:<24}  {:<12}  {:<9}  {:<34}  KEY, ORDER",
            "RECEIVED", " STATE", "APPLIED", "SAYS"
        )
    }

    /// What the webhook says, in this project's word and the provider's own.
    fn says(&self) -> String {
        match &self.reading {
            ReadingView::Event {
                provider_event,
                provider_status,
                status,
                ..
            } => {
                let words = [provider_event, provider_status];
                let words: Vec<_> = words.into_iter().flatten().map(String::as_str).collect();
                let status = status.map_or("proof of delivery", Status::as_str);
                format!("{status} ({})", words.join(" "))
            }
            none @ (ReadingView::NoEvent { .. } | ReadingView::Damaged { .. }) => none.to_string(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = &self.webhook;
        let applied = self.applied_within_seconds;
        write!(
            f,
            "{:<24}  {}  {:<9}  {:<34}  {}",
            it.received_at.as_deref().unwrap_or("-"),
            it.state_cell(),
            applied.map_or("-".to_owned(), |seconds| format!("in {seconds} s")),
            printable(&self.says()),
            printable(&it.key),
        )?;
        match &it.order {
            Some(order) => write!(f, "  {order}"),
            None => Ok(()),
        }
    }
}

/// How it went.
#[derive(Clone, Copy, Default, Serialize)]
struct Sum {
    /// How many lines were shown.
    changes: u64,
    /// How often the whole table was read.
    passes: u64,
    /// How many records were looked at for that.
    looked_at: u64,
    /// What it took of the table.
    read_units: f64,
}

impl Sum {
    fn add(&mut self, page: &Page<StoredWebhook>) {
        self.looked_at += page.looked_at;
        self.read_units += page.read_units;
    }
}

/// The end of a tail.
#[derive(Serialize)]
struct Total {
    summary: Sum,
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum {
            changes,
            passes,
            looked_at,
            read_units,
        } = &self.summary;
        write!(
            f,
            "{changes} line(s); the table was read {passes} time(s): {looked_at} records looked at, {read_units:.1} read \
             unit(s) used"
        )
    }
}

/// What the first reading of the table tells about all others.
struct Pace {
    sum: Sum,
    anew_after: Duration,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum {
            looked_at,
            read_units,
            ..
        } = self.sum;
        let seconds = self.anew_after.as_secs_f64();
        write!(
            f,
            "each reading of the table looks at {looked_at} record(s), uses {read_units:.1} read unit(s) and begins \
             {seconds:.1} s after the one before: so late a line can be"
        )
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::reading::tests::stored;
    use super::*;

    fn applied(after_ms: u64, days: u64) -> StoredWebhook {
        let mut it = stored(RecordState::Applied, "completed", 5);
        let applied = it.received_at_ms.unwrap() + Millis::new(after_ms);
        let expires = applied + Millis::from_days(days);
        it.expires_at = Some(EpochMillis::new(expires.as_seconds() * 1_000));
        it
    }

    #[test]
    fn how_long_it_took_is_told_from_the_expiry_whatever_the_retention() {
        for (after_ms, seconds) in [
            (0, 1),
            (400, 1),
            (1_000, 2),
            (90_000, 91),
            (86_000_000, 86_001),
        ] {
            for days in [15, 30, 400] {
                let it = applied(after_ms, days);
                let now = it.received_at_ms.unwrap() + Millis::new(after_ms);
                let told = applied_within_seconds(&it, now).unwrap();

                assert!(
                    told == seconds || told + 1 == seconds,
                    "{after_ms} ms: {told}"
                );
                assert!(told * 1_000 >= after_ms);
            }
        }
    }

    #[test]
    fn how_long_it_took_is_not_told_where_it_cannot_be_known() {
        let it = applied(90_000, 30);
        let received = it.received_at_ms.unwrap();
        let pending = StoredWebhook {
            state: Some(RecordState::Pending),
            ..it.clone()
        };

        assert_eq!(
            applied_within_seconds(&it, received + DAY),
            None,
            "or a day longer"
        );
        assert_eq!(
            applied_within_seconds(&it, received),
            None,
            "before it can have been"
        );
        assert_eq!(
            applied_within_seconds(&pending, received + Millis::from_seconds(90)),
            None
        );
    }

    #[test]
    fn a_line_says_what_came_and_where_it_is() {
        let it = applied(1_500, 30);
        let now = it.received_at_ms.unwrap() + Millis::from_seconds(2);
        let unmapped = stored(RecordState::Unmapped, "teleported", 6);
        let lines = [
            Change::heading(),
            Change::new(&it, Some(RecordState::Pending), &understand(&it), now).to_string(),
            Change::new(&unmapped, None, &understand(&unmapped), now).to_string(),
        ];
        let lines = lines.map(|line| anstream::adapter::strip_str(&line).to_string());

        expect![[r#"
            RECEIVED                   STATE        APPLIED    SAYS                                KEY, ORDER
            2026-01-07T21:06:40.120Z   applied      in 2 s     delivered (completed)               armada#shop-1#order.updated#wh_5  shop-1#armada#A1
            2026-01-07T21:06:40.120Z  !unmapped     -          unmapped: unknown_status `teleported`  armada#shop-1#order.updated#wh_6  shop-1#armada#A1"#]].assert_eq(&lines.join("\n"));
    }
}
