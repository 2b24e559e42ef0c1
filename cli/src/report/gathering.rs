//! Items of a table to whole orders.

use std::collections::BTreeMap;

use aws::{Reported, ReportedItem};
use domain::{EpochMillis, OrderKey, OrderState};

use super::figures::{Figures, TooMany};

/// What has been read of an order.
struct Open {
    key: OrderKey,
    first_event_at: Option<EpochMillis>,
    events: usize,
    state: Option<Box<OrderState>>,
    is_damaged: bool,
}

impl Open {
    const fn new(key: OrderKey) -> Self {
        Self {
            key,
            first_event_at: None,
            events: 0,
            state: None,
            is_damaged: false,
        }
    }

    fn add(&mut self, item: ReportedItem) {
        match item {
            ReportedItem::Event(at) => {
                self.events += 1;
                let times = [self.first_event_at, Some(at)];
                self.first_event_at = times.into_iter().flatten().min();
            }
            ReportedItem::State(state) => self.state = Some(state),
            ReportedItem::Damaged => self.is_damaged = true,
        }
    }
}

/// Orders of a period, counted as soon as the last item of each was read. Of every segment one order is held.
#[derive(Default)]
pub(super) struct Gathering {
    since: Option<EpochMillis>,
    until: Option<EpochMillis>,
    open: BTreeMap<u16, Open>,
    pub(super) figures: Figures,
    /// Orders with an item that cannot be read.
    pub(super) damaged: u64,
    /// Orders with a state and no event, which belong to no time.
    pub(super) without_events: u64,
}

impl Gathering {
    pub(super) fn new(since: Option<EpochMillis>, until: Option<EpochMillis>) -> Self {
        Self {
            since,
            until,
            ..Self::default()
        }
    }

    /// Takes the next item of a segment.
    pub(super) fn add(&mut self, segment: u16, reported: Reported) -> Result<(), TooMany> {
        let Reported { order, item } = reported;
        let is_next = self.open.get(&segment).is_none_or(|it| it.key != order);
        if is_next && let Some(whole) = self.open.insert(segment, Open::new(order)) {
            self.count(whole)?;
        }
        if let Some(open) = self.open.get_mut(&segment) {
            open.add(item);
        }
        Ok(())
    }

    /// Counts the orders that were last in their segments.
    pub(super) fn end(&mut self) -> Result<(), TooMany> {
        let last = std::mem::take(&mut self.open);
        last.into_values().try_for_each(|order| self.count(order))
    }

    fn count(&mut self, order: Open) -> Result<(), TooMany> {
        if order.is_damaged {
            self.damaged += 1;
            return Ok(());
        }
        let Some(at) = order.first_event_at else {
            self.without_events += 1;
            return Ok(());
        };
        let is_in_time =
            self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until);
        if is_in_time {
            let state = order.state.unwrap_or_default();
            self.figures.count(&order.key, &state, order.events)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::{MAX_EVENTS_PER_ORDER, Status};

    use super::*;

    fn event(order: &str, at: u64) -> Reported {
        reported(order, ReportedItem::Event(EpochMillis::new(at)))
    }

    fn delivered(order: &str) -> Reported {
        let state = OrderState {
            status: Some(Status::Delivered),
            ..OrderState::default()
        };
        reported(order, ReportedItem::State(Box::new(state)))
    }

    fn reported(order: &str, item: ReportedItem) -> Reported {
        let order = OrderKey::parse(&format!("m#armada#{order}")).unwrap();
        Reported { order, item }
    }

    fn gathered(since: u64, until: u64, items: Vec<(u16, Reported)>) -> Gathering {
        let at = |millis| Some(EpochMillis::new(millis));
        let mut gathering = Gathering::new(at(since), at(until));
        for (segment, item) in items {
            gathering.add(segment, item).unwrap();
        }
        gathering.end().unwrap();
        gathering
    }

    #[test]
    fn an_order_belongs_to_the_time_of_its_first_event_since_included_until_not() {
        let orders = [("a", 9), ("b", 10), ("c", 19), ("d", 20)];
        let items = orders.into_iter().flat_map(|(order, at)| {
            let later = event(order, at + 100);
            [event(order, at), later, delivered(order)].map(|item| (0, item))
        });

        let all = gathered(10, 20, items.collect()).figures.all;

        assert_eq!((all.orders, all.delivered), (2, 2));
    }

    #[test]
    fn segments_that_are_read_side_by_side_do_not_mix_their_orders() {
        let items = vec![
            (0, event("a", 10)),
            (1, event("b", 11)),
            (0, delivered("a")),
            (1, event("b", 12)),
            (0, event("c", 13)),
        ];

        let all = gathered(0, 20, items).figures.all;

        assert_eq!((all.orders, all.delivered, all.without_status), (3, 1, 2));
    }

    #[test]
    fn an_order_beyond_the_bound_counts_as_its_state_stands_and_is_told() {
        let at = |count: usize, order| {
            let events = (0..count).map(move |n| (0, event(order, 10 + n as u64)));
            events.chain([(0, delivered(order))])
        };
        let items = at(MAX_EVENTS_PER_ORDER, "a").chain(at(MAX_EVENTS_PER_ORDER + 1, "b"));

        let all = gathered(0, 20, items.collect()).figures.all;

        assert_eq!((all.delivered, all.standing_still), (2, 1));
    }

    #[test]
    fn what_cannot_be_counted_is_told() {
        let items = vec![
            (0, event("a", 10)),
            (0, reported("a", ReportedItem::Damaged)),
            (0, delivered("b")),
        ];

        let gathered = gathered(0, 20, items);

        assert_eq!(gathered.figures.all.orders, 0);
        assert_eq!((gathered.damaged, gathered.without_events), (1, 1));
    }
}
