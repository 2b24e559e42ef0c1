//! What the figures of a report are, and nothing of where orders come from. docs/metrics.md says the same in words, and
//! docs/analytics.md in SQL.

use std::collections::BTreeMap;

use domain::{
    Driver, EpochMillis, MAX_EVENTS_PER_ORDER, MerchantId, OrderKey, OrderState, Provider, Status,
    short_digest,
};

/// Most distinct durations that are held, over all groups together. Memory grows with them and with the groups, and not
/// with the orders.
pub(super) const MOST_DURATIONS: usize = 10_000_000;
/// Most merchants and drivers together.
pub(super) const MOST_GROUPS: usize = 200_000;

/// The figures would need more memory than they may take.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the report would hold more than {MOST_DURATIONS} distinct durations, or {MOST_GROUPS} merchants and drivers: choose \
     a shorter time with --since and --until, or fewer merchants with --merchant"
)]
pub(crate) struct TooMany;

/// Who drove, as a report names him.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DriverId(pub(super) String);

impl DriverId {
    /// The provider's id of the driver. Where it gives none, `~` and 16 digits of the SHA-256 of the phone number, or of
    /// the name where that is missing too: the same driver has the same, and nobody is named.
    pub(super) fn of(driver: &Driver) -> Option<Self> {
        let known = driver.phone.as_deref().or(driver.name.as_deref());
        let named = || known.map(|text| format!("~{}", short_digest(text)));
        driver.id.clone().or_else(named).map(Self)
    }
}

/// The way from one milestone to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Span {
    AssignedToPickup,
    PickupToDelivery,
    AssignedToDelivery,
}

impl Span {
    pub(super) const ALL: [Self; 3] = [
        Self::AssignedToPickup,
        Self::PickupToDelivery,
        Self::AssignedToDelivery,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AssignedToPickup => "assigned_to_pickup",
            Self::PickupToDelivery => "pickup_to_delivery",
            Self::AssignedToDelivery => "assigned_to_delivery",
        }
    }

    fn ends(self, reached: &Reached) -> (Option<EpochMillis>, Option<EpochMillis>) {
        match self {
            Self::AssignedToPickup => (reached.assigned, reached.picked_up),
            Self::PickupToDelivery => (reached.picked_up, reached.delivered),
            Self::AssignedToDelivery => (reached.assigned, reached.delivered),
        }
    }
}

/// What a provider promises a time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Promise {
    Pickup,
    Delivery,
}

impl Promise {
    pub(super) const ALL: [Self; 2] = [Self::Pickup, Self::Delivery];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pickup => "pickup",
            Self::Delivery => "delivery",
        }
    }
}

/// When the milestones that the figures need were reached; what was taken back is not here.
struct Reached {
    assigned: Option<EpochMillis>,
    picked_up: Option<EpochMillis>,
    delivered: Option<EpochMillis>,
}

impl Reached {
    fn of(state: &OrderState) -> Self {
        let at = |status| state.milestones.get(&status).copied();
        Self {
            // Armada has one word for "assigned" and "on the way to the pickup".
            assigned: at(Status::Assigned).or_else(|| at(Status::EnRouteToPickup)),
            picked_up: at(Status::PickedUp),
            delivered: at(Status::Delivered),
        }
    }
}

/// Whole seconds, each with how often it occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seconds(BTreeMap<u64, u64>);

impl Seconds {
    /// Whether it had not occurred before.
    fn count(&mut self, earlier: EpochMillis, later: EpochMillis) -> bool {
        let times = self
            .0
            .entry(later.since(earlier).as_millis() / 1_000)
            .or_default();
        *times += 1;
        *times == 1
    }

    /// How many there are.
    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The nearest rank: the smallest that at least `percent` of a hundred do not exceed. Exact.
    pub(super) fn percentile(&self, percent: u64) -> Option<u64> {
        let total = u128::from(self.total());
        let mut rank = 0;
        let mut ranked = self.0.iter().map(|(seconds, times)| {
            rank += u128::from(*times);
            (*seconds, rank)
        });
        ranked
            .find(|(_, rank)| rank * 100 >= total * u128::from(percent))
            .map(|(seconds, _)| seconds)
    }
}

/// The durations of a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Durations {
    pub(super) seconds: Seconds,
    /// The order got beyond the span, and one of its ends was never told or was taken back.
    pub(super) skipped: u64,
    /// The later end is told to be before the earlier one.
    pub(super) out_of_order: u64,
}

impl Durations {
    fn count(&mut self, reached: &Reached, span: Span) -> bool {
        match span.ends(reached) {
            (Some(from), Some(to)) if from <= to => return self.seconds.count(from, to),
            (Some(_), Some(_)) => self.out_of_order += 1,
            (from, to) => {
                let is_beyond = to.is_some() || reached.delivered.is_some();
                self.skipped += u64::from(is_beyond && (from.is_none() || to.is_none()));
            }
        }
        false
    }
}

/// What was promised against what was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Punctuality {
    /// At the promised time or before.
    pub(super) on_time: u64,
    /// After it.
    pub(super) late: Seconds,
    /// It happened, and no time was promised.
    pub(super) no_promise: u64,
}

impl Punctuality {
    fn count(&mut self, promised: Option<EpochMillis>, actual: Option<EpochMillis>) -> bool {
        match (promised, actual) {
            (_, None) => {}
            (None, Some(_)) => self.no_promise += 1,
            (Some(promised), Some(actual)) if actual <= promised => self.on_time += 1,
            (Some(promised), Some(actual)) => return self.late.count(promised, actual),
        }
        false
    }
}

/// The figures of some orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) orders: u64,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) canceled: u64,
    pub(super) returned: u64,
    pub(super) under_way: u64,
    /// No event of it had a status, or its state is not saved yet.
    pub(super) without_status: u64,
    /// Orders that went another way than forward at least once.
    pub(super) reversed: u64,
    /// The steps of all orders that were none forward, in the policy's three senses.
    pub(super) backward: u64,
    pub(super) reopened: u64,
    pub(super) corrected: u64,
    /// Orders with more events than are folded.
    pub(super) standing_still: u64,
    pub(super) assigned_to_pickup: Durations,
    pub(super) pickup_to_delivery: Durations,
    pub(super) assigned_to_delivery: Durations,
    pub(super) pickup: Punctuality,
    pub(super) delivery: Punctuality,
}

impl Group {
    /// Orders that have come to an end.
    pub(super) const fn closed(&self) -> u64 {
        self.delivered + self.failed + self.canceled + self.returned
    }

    pub(super) const fn durations(&self, span: Span) -> &Durations {
        match span {
            Span::AssignedToPickup => &self.assigned_to_pickup,
            Span::PickupToDelivery => &self.pickup_to_delivery,
            Span::AssignedToDelivery => &self.assigned_to_delivery,
        }
    }

    const fn durations_mut(&mut self, span: Span) -> &mut Durations {
        match span {
            Span::AssignedToPickup => &mut self.assigned_to_pickup,
            Span::PickupToDelivery => &mut self.pickup_to_delivery,
            Span::AssignedToDelivery => &mut self.assigned_to_delivery,
        }
    }

    pub(super) const fn punctuality(&self, promise: Promise) -> &Punctuality {
        match promise {
            Promise::Pickup => &self.pickup,
            Promise::Delivery => &self.delivery,
        }
    }

    /// Counts an order; how many durations more are held than before.
    fn count(&mut self, state: &OrderState, events: usize) -> usize {
        self.orders += 1;
        self.standing_still += u64::from(events > MAX_EVENTS_PER_ORDER);
        *self.with_status(state.status) += 1;
        let reversals = &state.reversals;
        self.reversed += u64::from(!reversals.is_none());
        self.backward += reversals.backward;
        self.reopened += reversals.reopened;
        self.corrected += reversals.corrected;

        let reached = Reached::of(state);
        let mut more = 0;
        for span in Span::ALL {
            more += usize::from(self.durations_mut(span).count(&reached, span));
        }
        let promised = &state.details.schedule;
        let pickup = (promised.expected_pickup_at_ms, reached.picked_up);
        let delivery = (promised.expected_delivery_at_ms, reached.delivered);
        more += usize::from(self.pickup.count(pickup.0, pickup.1));
        more + usize::from(self.delivery.count(delivery.0, delivery.1))
    }

    const fn with_status(&mut self, status: Option<Status>) -> &mut u64 {
        match status {
            Some(Status::Delivered) => &mut self.delivered,
            Some(Status::Failed) => &mut self.failed,
            Some(Status::Canceled) => &mut self.canceled,
            Some(Status::Returned) => &mut self.returned,
            Some(
                Status::Pending
                | Status::Assigned
                | Status::EnRouteToPickup
                | Status::AtPickup
                | Status::PickedUp
                | Status::InTransit
                | Status::AtDropoff,
            ) => &mut self.under_way,
            None => &mut self.without_status,
        }
    }
}

/// A driver's orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DriverGroup {
    /// Of the names that the provider gave, the first by alphabet: the same however the orders are read.
    pub(super) name: Option<String>,
    pub(super) group: Group,
}

/// All figures, and those of each provider, merchant and driver.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) all: Group,
    pub(super) providers: BTreeMap<Provider, Group>,
    pub(super) merchants: BTreeMap<MerchantId, Group>,
    /// By who drives now, or drove last; `None` for orders that nobody drives.
    pub(super) drivers: BTreeMap<(Provider, Option<DriverId>), DriverGroup>,
    durations: usize,
}

impl Figures {
    /// Counts an order with so many events.
    pub(super) fn count(
        &mut self,
        order: &OrderKey,
        state: &OrderState,
        events: usize,
    ) -> Result<(), TooMany> {
        let driver = state.details.driver.as_ref();
        let driver_key = (order.provider, driver.and_then(DriverId::of));
        let driven = self.drivers.entry(driver_key).or_default();
        if let Some(name) = driver.and_then(|driver| driver.name.as_ref())
            && driven.name.as_ref().is_none_or(|known| name < known)
        {
            driven.name = Some(name.clone());
        }
        let merchant = self.merchants.entry(order.merchant_id.clone());
        let groups = [
            &mut self.all,
            self.providers.entry(order.provider).or_default(),
            merchant.or_default(),
            &mut driven.group,
        ];
        for group in groups {
            self.durations += group.count(state, events);
        }
        let groups = self.merchants.len() + self.drivers.len();
        if self.durations > MOST_DURATIONS || groups > MOST_GROUPS {
            return Err(TooMany);
        }
        Ok(())
    }
}

/// A part of a whole in ten thousandths, rounded half up; `None` of nothing.
pub(super) const fn ten_thousandths(part: u64, whole: u64) -> Option<u64> {
    (part * 10_000 + whole / 2).checked_div(whole)
}

#[cfg(test)]
mod tests {
    use domain::Reversals;

    use super::*;

    fn seconds(all: &[u64]) -> Seconds {
        let mut seconds = Seconds::default();
        for millis in all.iter().map(|it| it * 1_000) {
            seconds.count(EpochMillis::new(1), EpochMillis::new(1 + millis));
        }
        seconds
    }

    fn state(milestones: &[(Status, u64)]) -> OrderState {
        let at = |(status, at): &(Status, u64)| (*status, EpochMillis::new(at * 1_000));
        OrderState {
            status: milestones.last().map(|(status, _)| *status),
            milestones: milestones.iter().map(at).collect(),
            ..OrderState::default()
        }
    }

    fn group(states: &[OrderState]) -> Group {
        let mut group = Group::default();
        for state in states {
            group.count(state, 1);
        }
        group
    }

    #[test]
    fn a_percentile_is_the_nearest_rank_and_no_value_that_did_not_occur() {
        let percentiles = |all: &[u64]| {
            let seconds = seconds(all);
            [50, 90, 99, 100].map(|percent| seconds.percentile(percent))
        };

        assert_eq!(percentiles(&[]), [None; 4]);
        assert_eq!(percentiles(&[7]), [Some(7); 4]);
        assert_eq!(
            percentiles(&[9, 1]),
            [Some(1), Some(9), Some(9), Some(9)],
            "half of them do not exceed the first"
        );
        let to_a_hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(
            percentiles(&to_a_hundred),
            [50, 90, 99, 100].map(Some),
            "of a hundred the rank is the percentage"
        );
        assert_eq!(
            percentiles(&[5; 1_000]),
            [Some(5); 4],
            "and equal ones are one"
        );
    }

    #[test]
    fn a_duration_is_in_whole_seconds_and_what_is_begun_does_not_count() {
        let mut seconds = Seconds::default();
        seconds.count(EpochMillis::new(1), EpochMillis::new(2_000));

        assert_eq!(seconds.percentile(50), Some(1));
    }

    #[test]
    fn a_milestone_that_was_skipped_has_no_duration_and_is_counted() {
        let delivered = |more: &[(Status, u64)]| {
            let mut milestones = more.to_vec();
            milestones.push((Status::Delivered, 100));
            group(&[state(&milestones)])
        };
        let spans = |group: &Group| {
            Span::ALL.map(|span| {
                let it = group.durations(span);
                (it.seconds.percentile(50), it.skipped)
            })
        };

        assert_eq!(
            spans(&delivered(&[
                (Status::Assigned, 10),
                (Status::PickedUp, 40)
            ])),
            [(Some(30), 0), (Some(60), 0), (Some(90), 0)]
        );
        assert_eq!(
            spans(&delivered(&[(Status::Assigned, 10)])),
            [(None, 1), (None, 1), (Some(90), 0)]
        );
        assert_eq!(spans(&delivered(&[])), [(None, 1); 3]);
        assert_eq!(
            spans(&group(&[state(&[(Status::Assigned, 10)])])),
            [(None, 0); 3],
            "what is still to come is not skipped"
        );
    }

    #[test]
    fn a_driver_on_the_way_is_assigned_where_no_other_word_was_said() {
        let way = [(Status::EnRouteToPickup, 20), (Status::PickedUp, 50)];
        let assigned = [&[(Status::Assigned, 10)], &way[..]].concat();
        let half = |milestones: &[(Status, u64)]| {
            let group = group(&[state(milestones)]);
            group.assigned_to_pickup.seconds.percentile(50)
        };

        assert_eq!((half(&way), half(&assigned)), (Some(30), Some(40)));
    }

    #[test]
    fn times_that_contradict_each_other_are_no_duration() {
        let backwards = state(&[(Status::PickedUp, 50), (Status::Delivered, 40)]);
        let group = group(&[backwards]);

        assert_eq!(group.pickup_to_delivery.out_of_order, 1);
        assert_eq!(group.pickup_to_delivery.seconds.total(), 0);
    }

    #[test]
    fn two_milestones_at_the_same_time_are_a_duration_of_nothing() {
        let at_once = state(&[(Status::PickedUp, 50), (Status::Delivered, 50)]);
        let group = group(&[at_once]);

        assert_eq!(group.pickup_to_delivery.seconds.percentile(50), Some(0));
        assert_eq!(group.pickup_to_delivery.out_of_order, 0);
    }

    #[test]
    fn at_the_promised_millisecond_it_is_on_time_and_a_millisecond_later_it_is_late() {
        let delivered = |at_ms| {
            let mut state = state(&[(Status::Delivered, 0)]);
            let milestones = &mut state.milestones;
            milestones.insert(Status::Delivered, EpochMillis::new(at_ms));
            state.details.schedule.expected_delivery_at_ms = Some(EpochMillis::new(5_000));
            state
        };
        let Punctuality { on_time, late, .. } =
            group(&[delivered(5_000), delivered(5_001), delivered(7_999)]).delivery;

        assert_eq!((on_time, late.total()), (1, 2));
        assert_eq!(
            (late.percentile(50), late.percentile(99)),
            (Some(0), Some(2))
        );
    }

    #[test]
    fn what_did_not_happen_breaks_no_promise_and_what_was_not_promised_keeps_none() {
        let mut open = state(&[(Status::Assigned, 1)]);
        open.details.schedule.expected_delivery_at_ms = Some(EpochMillis::new(0));
        let group = group(&[open, state(&[(Status::Delivered, 1)])]);

        assert_eq!(
            group.delivery,
            Punctuality {
                no_promise: 1,
                ..Punctuality::default()
            }
        );
    }

    #[test]
    fn reversals_are_counted_by_order_and_by_step() {
        let mut reversed = state(&[(Status::Delivered, 1)]);
        reversed.reversals = Reversals {
            backward: 2,
            reopened: 1,
            corrected: 0,
        };
        let group = group(&[reversed, state(&[])]);

        assert_eq!(
            (
                group.reversed,
                group.backward,
                group.reopened,
                group.corrected
            ),
            (1, 2, 1, 0)
        );
    }

    #[test]
    fn a_driver_without_an_id_is_a_digest_that_names_nobody() {
        let driver = |id: Option<&str>, name: Option<&str>, phone: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            let (id, name, phone) = (text(id), text(name), text(phone));
            DriverId::of(&Driver { id, name, phone }).map(|id| id.0)
        };

        assert_eq!(driver(Some("7"), Some("A"), None).as_deref(), Some("7"));
        let by_phone = driver(None, Some("A"), Some("045")).unwrap();
        assert_eq!(
            Some(&by_phone),
            driver(None, Some("B"), Some("045")).as_ref()
        );
        assert_ne!(Some(&by_phone), driver(None, Some("A"), None).as_ref());
        assert!(by_phone.len() == 17 && !by_phone.contains("045"));
        assert_eq!(driver(None, None, None), None);
    }

    #[test]
    fn a_rate_of_nothing_is_none_and_others_are_rounded_half_up() {
        assert_eq!(ten_thousandths(0, 0), None);
        assert_eq!(ten_thousandths(2, 3), Some(6_667));
        assert_eq!(ten_thousandths(1, 3), Some(3_333));
        assert_eq!(ten_thousandths(3, 3), Some(10_000));
    }

    #[test]
    fn memory_grows_with_distinct_durations_and_not_with_orders() {
        let mut figures = Figures::default();
        let order = OrderKey::parse("m#shipday#1").unwrap();
        for n in 0..1_000 {
            let delivered = state(&[(Status::Assigned, 0), (Status::Delivered, 60 + n % 3)]);
            figures.count(&order, &delivered, 1).unwrap();
        }

        // Three durations of one span, in each of four groups.
        assert_eq!(figures.durations, 12);
        figures.durations = MOST_DURATIONS;
        let known = state(&[(Status::Assigned, 0), (Status::Delivered, 60)]);
        let another = state(&[(Status::Assigned, 0), (Status::Delivered, 90)]);
        assert_eq!(figures.count(&order, &known, 1), Ok(()));
        assert_eq!(figures.count(&order, &another, 1), Err(TooMany));
    }

    #[test]
    fn more_drivers_than_can_be_held_are_refused_and_not_left_out() {
        let mut figures = Figures::default();
        let order = OrderKey::parse("m#shipday#1").unwrap();
        let mut driven = state(&[(Status::Assigned, 0)]);
        let mut count = |driver: usize| {
            driven.details.driver = Some(Driver {
                id: Some(driver.to_string()),
                ..Driver::default()
            });
            figures.count(&order, &driven, 1)
        };

        // One of the groups is the merchant's.
        for driver in 1..MOST_GROUPS {
            assert_eq!(count(driver), Ok(()));
        }
        assert_eq!(count(MOST_GROUPS), Err(TooMany));
    }
}
