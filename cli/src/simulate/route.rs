//! The ways an order can go at each provider, and where each of them ends.
//!
//! The end is written down here and is not computed: what a route ends in is what the system under test must find
//! out by itself. Goods that go back to the shop have no word at either provider, so such an order ends as failed.

use domain::Status::{Canceled, Delivered, Failed, InTransit, Pending};
use domain::StatusReason::{AttemptFailed, Deleted, Incomplete, NoDriverFound};
use domain::{Provider, Status, StatusReason};
use fastrand::Rng;

use Crew::{First, Nobody, Second};

/// Who drives when a step is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crew {
    Nobody,
    /// The driver who came first.
    First,
    /// The one who took over.
    Second,
}

/// One thing that a provider tells about an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Shipday's event; Armada has none.
    pub(super) event: &'static str,
    pub(super) status: &'static str,
    pub(super) crew: Crew,
    /// Whether some orders go without it: providers do leave steps out.
    pub(super) may_be_missing: bool,
}

impl Step {
    const fn may_be_missing(self) -> Self {
        Self {
            may_be_missing: true,
            ..self
        }
    }

    /// Whether the driver sends positions after it.
    pub(super) fn is_under_way(&self) -> bool {
        const UNDER_WAY: [&str; 5] = [
            "dispatched",
            "en_route",
            "STARTED",
            "PICKED_UP",
            "READY_TO_DELIVER",
        ];
        self.crew != Crew::Nobody && UNDER_WAY.contains(&self.status)
    }
}

/// A way an order can go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) name: &'static str,
    /// How often it is taken, compared to the others of its provider.
    often: u32,
    pub(super) steps: &'static [Step],
    /// The status it ends in.
    pub(super) ends: Status,
    pub(super) reason: Option<StatusReason>,
}

impl Route {
    /// Draws one of the provider's routes.
    pub(super) fn draw(provider: Provider, random: &mut Rng) -> &'static Self {
        let routes = Self::all(provider);
        let all: u32 = routes.iter().map(|route| route.often).sum();
        let mut left = random.u32(..all);
        for route in routes {
            match left.checked_sub(route.often) {
                Some(rest) => left = rest,
                None => return route,
            }
        }
        &DELIVERED_BY_ARMADA
    }

    /// Every route of a provider.
    pub(super) const fn all(provider: Provider) -> &'static [Self] {
        match provider {
            Provider::Armada => ARMADA,
            Provider::Shipday => SHIPDAY,
        }
    }

    /// Whether the end stands when Armada sends one of the steps once more, under a new id and a new time, however
    /// late.
    ///
    /// Armada stamps the sending, so such a retry is news: a late `dispatched` puts an order on its way to the
    /// pickup again. Only where nothing can undo the end is it determined by the set of the webhooks: `completed` is
    /// final, and a `canceled` that no `failed` can get before yields to nothing but `completed`. Who drives is
    /// determined too if the last step names him, or nobody ever drove.
    pub(super) fn bears_late_retries(&self) -> bool {
        let is_told = |status: &str| self.steps.iter().any(|step| step.status == status);
        let is_driven = |step: &Step| step.crew != Crew::Nobody;
        let driver_is_determined =
            self.steps.last().is_some_and(is_driven) || !self.steps.iter().any(is_driven);
        let end_is_determined = match self.ends {
            Status::Delivered => true,
            Status::Canceled => !is_told("failed"),
            Status::Pending
            | Status::Assigned
            | Status::EnRouteToPickup
            | Status::AtPickup
            | Status::PickedUp
            | Status::InTransit
            | Status::AtDropoff
            | Status::Failed
            | Status::Returned => false,
        };
        end_is_determined && driver_is_determined
    }
}

const fn route(
    often: u32,
    name: &'static str,
    steps: &'static [Step],
    ends: Status,
    reason: Option<StatusReason>,
) -> Route {
    Route {
        name,
        often,
        steps,
        ends,
        reason,
    }
}

// ---------------------------------------------------------------- Armada, v1's `order.updated`

const fn armada(status: &'static str, crew: Crew) -> Step {
    Step {
        event: "",
        status,
        crew,
        may_be_missing: false,
    }
}

const RECEIVED: Step = armada("pending", Nobody).may_be_missing();
const SEARCHING: Step = armada("pending", Nobody);
const FOUND: Step = armada("dispatched", First);
const FOUND_OTHER: Step = armada("dispatched", Second);
const WAITING: Step = armada("waiting_pack", First).may_be_missing();
const OTHER_WAITING: Step = armada("waiting_pack", Second).may_be_missing();
const ON_BOARD: Step = armada("en_route", First);
const OTHER_ON_BOARD: Step = armada("en_route", Second);
const COMPLETED: Step = armada("completed", First);
const OTHER_COMPLETED: Step = armada("completed", Second);
const NOBODY_FOUND: Step = armada("failed", Nobody);
const GIVEN_UP: Step = armada("failed", First);
const CALLED_OFF: Step = armada("canceled", Nobody);
const CALLED_OFF_DRIVEN: Step = armada("canceled", First);

const DELIVERED_BY_ARMADA: Route = route(
    12,
    "delivered",
    &[RECEIVED, FOUND, WAITING, ON_BOARD, COMPLETED],
    Delivered,
    None,
);

const ARMADA: &[Route] = &[
    DELIVERED_BY_ARMADA,
    route(
        3,
        "another driver before the pickup",
        &[
            RECEIVED,
            FOUND,
            FOUND_OTHER,
            OTHER_WAITING,
            OTHER_ON_BOARD,
            OTHER_COMPLETED,
        ],
        Delivered,
        None,
    ),
    route(
        3,
        "driver taken off on the way to the pickup",
        &[
            RECEIVED,
            FOUND,
            SEARCHING,
            FOUND_OTHER,
            OTHER_WAITING,
            OTHER_ON_BOARD,
            OTHER_COMPLETED,
        ],
        Delivered,
        None,
    ),
    route(
        2,
        "driver taken off at the pickup",
        &[
            RECEIVED,
            FOUND,
            armada("waiting_pack", First),
            SEARCHING,
            FOUND_OTHER,
            OTHER_ON_BOARD,
            OTHER_COMPLETED,
        ],
        Delivered,
        None,
    ),
    route(
        1,
        "driver lost with the goods on board",
        &[
            RECEIVED,
            FOUND,
            ON_BOARD,
            SEARCHING,
            FOUND_OTHER,
            OTHER_ON_BOARD,
            OTHER_COMPLETED,
        ],
        Delivered,
        None,
    ),
    route(
        2,
        "canceled before a driver was found",
        &[RECEIVED, CALLED_OFF],
        Canceled,
        None,
    ),
    route(
        2,
        "canceled on the way to the pickup",
        &[RECEIVED, FOUND, WAITING, CALLED_OFF_DRIVEN],
        Canceled,
        None,
    ),
    route(
        1,
        "driver taken off, then canceled",
        &[RECEIVED, FOUND, SEARCHING, CALLED_OFF],
        Canceled,
        None,
    ),
    route(
        2,
        "no driver found",
        &[RECEIVED, NOBODY_FOUND],
        Failed,
        Some(NoDriverFound),
    ),
    route(
        2,
        "no driver found, then tried again",
        &[
            RECEIVED,
            NOBODY_FOUND,
            SEARCHING,
            FOUND,
            WAITING,
            ON_BOARD,
            COMPLETED,
        ],
        Delivered,
        None,
    ),
    route(
        1,
        "no driver found, tried again, canceled",
        &[RECEIVED, NOBODY_FOUND, SEARCHING, CALLED_OFF],
        Canceled,
        None,
    ),
    route(
        1,
        "a driver after all",
        &[RECEIVED, NOBODY_FOUND, FOUND, WAITING, ON_BOARD, COMPLETED],
        Delivered,
        None,
    ),
    route(
        2,
        "given up with the goods on board, returned",
        &[RECEIVED, FOUND, WAITING, ON_BOARD, GIVEN_UP],
        Failed,
        Some(AttemptFailed),
    ),
    route(
        1,
        "delivered although canceled",
        &[RECEIVED, FOUND, ON_BOARD, CALLED_OFF_DRIVEN, COMPLETED],
        Delivered,
        None,
    ),
    route(
        1,
        "delivered although failed",
        &[RECEIVED, FOUND, ON_BOARD, GIVEN_UP, COMPLETED],
        Delivered,
        None,
    ),
    route(
        1,
        "still under way",
        &[RECEIVED, FOUND, WAITING, ON_BOARD],
        InTransit,
        None,
    ),
];

// ---------------------------------------------------------------- Shipday

const fn shipday(event: &'static str, status: &'static str, crew: Crew) -> Step {
    Step {
        event,
        status,
        crew,
        may_be_missing: false,
    }
}

const INSERTED: Step = shipday("ORDER_INSERTED", "NOT_ASSIGNED", Nobody);
const ASSIGNED: Step = shipday("ORDER_ASSIGNED", "NOT_ACCEPTED", First);
const OTHER_ASSIGNED: Step = shipday("ORDER_ASSIGNED", "NOT_ACCEPTED", Second);
const UNASSIGNED: Step = shipday("ORDER_UNASSIGNED", "NOT_ASSIGNED", Nobody);
const STARTED: Step = shipday("ORDER_ACCEPTED_AND_STARTED", "STARTED", First);
const OTHER_STARTED: Step = shipday("ORDER_ACCEPTED_AND_STARTED", "STARTED", Second);
const PICKED_UP: Step = shipday("ORDER_PIKEDUP", "PICKED_UP", First);
const OTHER_PICKED_UP: Step = shipday("ORDER_PIKEDUP", "PICKED_UP", Second);
const NOT_PICKED_UP: Step = shipday("ORDER_PIKEDUP_REMOVED", "STARTED", First);
const ON_THE_WAY: Step = shipday("ORDER_ONTHEWAY", "READY_TO_DELIVER", First);
const OTHER_ON_THE_WAY: Step = shipday("ORDER_ONTHEWAY", "READY_TO_DELIVER", Second);
const NOT_ON_THE_WAY: Step = shipday("ORDER_ONTHEWAY_REMOVED", "PICKED_UP", First);
const DONE: Step = shipday("ORDER_COMPLETED", "ALREADY_DELIVERED", First);
const OTHER_DONE: Step = shipday("ORDER_COMPLETED", "ALREADY_DELIVERED", Second);
const ATTEMPT_FAILED: Step = shipday("ORDER_FAILED", "FAILED_DELIVERY", First);
const CLOSED_INCOMPLETE: Step = shipday("ORDER_INCOMPLETE", "INCOMPLETE", First);
/// A proof is uploaded with whatever status holds, and changes none.
const PROOF_BEFORE: Step = shipday("ORDER_POD_UPLOAD", "READY_TO_DELIVER", First);
const PROOF_AFTER: Step = shipday("ORDER_POD_UPLOAD", "ALREADY_DELIVERED", First).may_be_missing();

const SHIPDAY: &[Route] = &[
    route(
        12,
        "delivered",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            PICKED_UP.may_be_missing(),
            ON_THE_WAY,
            DONE,
            PROOF_AFTER,
        ],
        Delivered,
        None,
    ),
    route(
        2,
        "delivered, the proof first",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            PICKED_UP,
            ON_THE_WAY,
            PROOF_BEFORE,
            DONE,
        ],
        Delivered,
        None,
    ),
    route(
        3,
        "another driver before the start",
        &[
            INSERTED,
            ASSIGNED,
            OTHER_ASSIGNED,
            OTHER_STARTED,
            OTHER_PICKED_UP,
            OTHER_ON_THE_WAY,
            OTHER_DONE,
        ],
        Delivered,
        None,
    ),
    route(
        3,
        "driver taken off, another one found",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            UNASSIGNED,
            OTHER_ASSIGNED,
            OTHER_STARTED,
            OTHER_PICKED_UP,
            OTHER_ON_THE_WAY,
            OTHER_DONE,
        ],
        Delivered,
        None,
    ),
    route(
        1,
        "driver taken off, nobody found yet",
        &[INSERTED, ASSIGNED, STARTED.may_be_missing(), UNASSIGNED],
        Pending,
        None,
    ),
    route(
        1,
        "driver taken off with the goods on board",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            PICKED_UP,
            UNASSIGNED,
            OTHER_ASSIGNED,
            OTHER_STARTED,
            OTHER_ON_THE_WAY,
            OTHER_DONE,
        ],
        Delivered,
        None,
    ),
    route(
        2,
        "the mark of the pickup taken back",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            PICKED_UP,
            NOT_PICKED_UP,
            PICKED_UP,
            ON_THE_WAY,
            DONE,
        ],
        Delivered,
        None,
    ),
    route(
        2,
        "the mark of being on the way taken back",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            PICKED_UP,
            ON_THE_WAY,
            NOT_ON_THE_WAY,
            ON_THE_WAY,
            DONE,
        ],
        Delivered,
        None,
    ),
    route(
        2,
        "a photo, then failed",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            PICKED_UP,
            ON_THE_WAY,
            PROOF_BEFORE,
            ATTEMPT_FAILED,
        ],
        Failed,
        Some(AttemptFailed),
    ),
    route(
        2,
        "delivered, corrected to failed",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            PICKED_UP,
            ON_THE_WAY,
            DONE,
            ATTEMPT_FAILED,
        ],
        Failed,
        Some(AttemptFailed),
    ),
    route(
        2,
        "failed, and delivered by a second attempt",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            PICKED_UP,
            ON_THE_WAY,
            ATTEMPT_FAILED,
            ON_THE_WAY,
            DONE,
        ],
        Delivered,
        None,
    ),
    route(
        1,
        "failed, returned and closed as incomplete",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            PICKED_UP,
            ON_THE_WAY,
            ATTEMPT_FAILED,
            CLOSED_INCOMPLETE,
        ],
        Failed,
        Some(Incomplete),
    ),
    route(
        1,
        "closed as incomplete",
        &[INSERTED, ASSIGNED, STARTED, CLOSED_INCOMPLETE],
        Failed,
        Some(Incomplete),
    ),
    route(
        2,
        "deleted before a driver was found",
        &[INSERTED, shipday("ORDER_DELETE", "NOT_ASSIGNED", Nobody)],
        Canceled,
        Some(Deleted),
    ),
    route(
        2,
        "deleted after the pickup",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            PICKED_UP,
            shipday("ORDER_DELETE", "PICKED_UP", First),
        ],
        Canceled,
        Some(Deleted),
    ),
    route(
        1,
        "deleted after the delivery",
        &[
            INSERTED,
            ASSIGNED,
            STARTED,
            PICKED_UP,
            ON_THE_WAY,
            DONE,
            shipday("ORDER_DELETE", "ALREADY_DELIVERED", First),
        ],
        Delivered,
        None,
    ),
];
