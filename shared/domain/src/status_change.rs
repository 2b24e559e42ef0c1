//! What subscribers are told: an order went from one status to another.

use serde::{Deserialize, Serialize};

use crate::{
    Driver, EpochMillis, MerchantId, OrderId, OrderKey, OrderState, Provider, Status, StatusReason,
    sha256_hex,
};

/// The version of the published event. Within a version fields are added, and nothing is taken away or given another meaning.
pub const STATUS_CHANGE_VERSION: u32 = 1;
/// Hexadecimal digits of a change's id: 128 bits.
const ID_DIGITS: usize = 32;

/// An order's state as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedState {
    /// How often it was saved, this time included.
    pub revision: u64,
    /// The state.
    pub state: OrderState,
}

/// What a change tells beside the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldOf {
    /// Nothing.
    StatusAlone,
    /// Who drives, and where the delivery can be followed.
    DriverToo,
}

/// The identity of a change: a digest of the order's key and the revision that brought it. However often a change is
/// published, its id is the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ChangeId(String);

impl ChangeId {
    /// The id of the change that a revision of an order brought.
    pub fn of(order: &OrderKey, revision: u64) -> Self {
        let mut digest = sha256_hex(format!("{order}#{revision}").as_bytes());
        digest.truncate(ID_DIGITS);
        Self(digest)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The event `OrderStatusChanged`. An order's changes are told apart by `id` and put in order by `revision`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusChange {
    /// [`STATUS_CHANGE_VERSION`] of the writer.
    #[cfg_attr(feature = "schema", schemars(extend("const" = STATUS_CHANGE_VERSION)))]
    pub schema_version: u32,
    /// The same each time this change is published.
    pub id: ChangeId,
    /// Whose order it is.
    pub merchant_id: MerchantId,
    /// Who carries it.
    pub provider: Provider,
    /// The provider's id of the order.
    pub order_id: OrderId,
    /// Grows with every save of the order's state, so not every number is published. The larger one is the newer one.
    pub revision: u64,
    /// The status before; absent for an order's first, and where `republished` is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Status>,
    /// The status now.
    pub to: Status,
    /// When that happened, as the provider says.
    pub occurred_at_ms: EpochMillis,
    /// When the webhook that says so was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at_ms: Option<EpochMillis>,
    /// Why it failed or was canceled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<StatusReason>,
    /// Whether the status before was an end: `delivered`, `failed`, `canceled` or `returned` did not stand.
    pub corrected: bool,
    /// Whether an operator had this published to say where the order stands, perhaps not for the first time.
    #[serde(default)]
    pub republished: bool,
    /// Who drives, if the stack is set to tell. Personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// Where the customer can follow the delivery, if the stack is set to tell; as the provider sent it, not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_url: Option<String>,
}

impl StatusChange {
    /// The change between two stored states of an order, if its status is another one.
    pub fn between(
        order: &OrderKey,
        old: Option<&SavedState>,
        new: &SavedState,
        told_of: ToldOf,
    ) -> Option<Self> {
        let from = old.and_then(|old| old.state.status);
        let now = Self::now(order, new, told_of)?;
        (from != Some(now.to)).then(|| now.coming_from(from))
    }

    /// Where an order stands, for those who may have missed how it got there.
    pub fn republished(order: &OrderKey, saved: &SavedState, told_of: ToldOf) -> Option<Self> {
        let now = Self::now(order, saved, told_of)?;
        Some(Self {
            republished: true,
            ..now
        })
    }

    fn now(order: &OrderKey, saved: &SavedState, told_of: ToldOf) -> Option<Self> {
        let SavedState { revision, state } = saved;
        let (driver, tracking_url) = match told_of {
            ToldOf::StatusAlone => (None, None),
            ToldOf::DriverToo => (
                state.details.driver.clone(),
                state.details.tracking_url.clone(),
            ),
        };
        Some(Self {
            schema_version: STATUS_CHANGE_VERSION,
            id: ChangeId::of(order, *revision),
            merchant_id: order.merchant_id.clone(),
            provider: order.provider,
            order_id: order.order_id.clone(),
            revision: *revision,
            from: None,
            to: state.status?,
            occurred_at_ms: state.status_since_ms?,
            received_at_ms: state.status_received_at_ms,
            reason: state.status_reason,
            corrected: false,
            republished: false,
            driver,
            tracking_url,
        })
    }

    fn coming_from(self, from: Option<Status>) -> Self {
        Self {
            from,
            corrected: from.is_some_and(Status::is_closed),
            ..self
        }
    }

    /// Which order it is about.
    pub fn order_key(&self) -> OrderKey {
        OrderKey {
            merchant_id: self.merchant_id.clone(),
            provider: self.provider,
            order_id: self.order_id.clone(),
        }
    }

    /// Whether it can wait a moment, because messages to customers hang on it and it may be taken back.
    const fn is_held(&self) -> bool {
        matches!(self.to, Status::Delivered | Status::Failed)
    }

    const fn progress(&self, last: Option<Status>, before: Option<Status>) -> Progress {
        Progress {
            revision: self.revision,
            status: self.to,
            last,
            before,
        }
    }
}

/// How far the publisher has come with an order, kept beside its state while changes are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The revision of the last change it dealt with.
    pub revision: u64,
    /// The status that this change led to.
    pub status: Status,
    /// The status that subscribers know. Another one than `status` while that is held, or after it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Status>,
    /// The one that they knew before, so that what is published again says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Status>,
}

/// An order as the publisher finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub saved: SavedState,
    /// How far the publisher has come with it; nothing, while it never held a change back.
    pub progress: Option<Progress>,
}

/// What is to be done about a change that was just saved, while changes are held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// Publish it, then keep the progress.
    Publish(Box<StatusChange>, Progress),
    /// Hold it back, then keep the progress.
    Hold(Box<StatusChange>, Progress),
    /// It leads back to what subscribers know: keep the progress, nobody needs to hear of it.
    TakenBack(Progress),
    /// It was dealt with before.
    Settled,
}

impl Announcement {
    /// What is to be done.
    pub fn of(change: StatusChange, progress: Option<Progress>) -> Self {
        if progress.is_some_and(|progress| progress.revision >= change.revision) {
            return Self::Settled;
        }
        // What does not end where this change begins is from a time when nothing was held back.
        let last = match progress {
            Some(progress) if Some(progress.status) == change.from => progress.last,
            Some(_) | None => change.from,
        };
        if last == Some(change.to) {
            return Self::TakenBack(change.progress(last, None));
        }
        if change.is_held() {
            let progress = change.progress(last, None);
            return Self::Hold(Box::new(change), progress);
        }
        let progress = change.progress(Some(change.to), last);
        Self::Publish(Box::new(change.coming_from(last)), progress)
    }
}

/// What is to be done about a change that was held back, and is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueChange {
    /// It stands: keep the progress, then publish it. Who deals with a later change must know of it by then, and would otherwise
    /// take that change for one that leads back to what subscribers know.
    Publish(Box<StatusChange>, Progress),
    /// The progress says that it is published, and perhaps it is: publish it.
    PublishAgain(Box<StatusChange>),
    /// It does not stand, or another change came after it.
    Settled,
}

impl DueChange {
    /// What is to be done.
    pub fn of(held: StatusChange, standing: &Standing) -> Self {
        match standing.progress {
            Some(progress) if progress.revision == held.revision => {
                if progress.last == Some(held.to) {
                    Self::PublishAgain(Box::new(held.coming_from(progress.before)))
                } else if standing.saved.state.status == Some(held.to) {
                    let kept = held.progress(Some(held.to), progress.last);
                    Self::Publish(Box::new(held.coming_from(progress.last)), kept)
                } else {
                    Self::Settled
                }
            }
            // Without progress it is held once more: its record failed after it was sent.
            Some(_) | None => Self::Settled,
        }
    }
}

/// What waits in the publisher's own queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldMessage {
    /// A change that was held back.
    Held(Box<StatusChange>),
    /// An operator wants to be told where this order stands; its key.
    Republish(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = "shop-1#shipday#7";

    fn saved(revision: u64, status: Option<Status>) -> SavedState {
        let state = OrderState {
            status,
            status_since_ms: status.map(|_| EpochMillis::new(revision)),
            ..OrderState::default()
        };
        SavedState { revision, state }
    }

    fn order() -> OrderKey {
        OrderKey::parse(ORDER).unwrap()
    }

    fn between(old: Option<Status>, new: Option<Status>) -> Option<StatusChange> {
        let (old, new) = (saved(1, old), saved(2, new));
        StatusChange::between(&order(), Some(&old), &new, ToldOf::StatusAlone)
    }

    fn change(revision: u64, from: Option<Status>, to: Status) -> StatusChange {
        let (old, new) = (saved(revision - 1, from), saved(revision, Some(to)));
        StatusChange::between(&order(), Some(&old), &new, ToldOf::StatusAlone).unwrap()
    }

    #[test]
    fn only_another_status_is_a_change() {
        for old in Status::ALL {
            for new in Status::ALL {
                let change = between(Some(old), Some(new));

                assert_eq!(change.is_some(), old != new, "{old} to {new}");
                if let Some(change) = change {
                    assert_eq!((change.from, change.to), (Some(old), new));
                    assert_eq!(change.corrected, old.is_closed(), "{old} to {new}");
                }
            }
            assert_eq!(between(Some(old), None), None);
            assert_eq!(between(None, Some(old)).unwrap().from, None);
        }
        assert_eq!(between(None, None), None);
        let first = StatusChange::between(
            &order(),
            None,
            &saved(1, Some(Status::Pending)),
            ToldOf::StatusAlone,
        );
        assert_eq!(first.unwrap().from, None);
    }

    #[test]
    fn an_id_is_the_orders_and_the_revisions() {
        let ids = [("a#armada#1", 1), ("a#armada#1", 2), ("a#armada#11", 1)]
            .map(|(order, revision)| ChangeId::of(&OrderKey::parse(order).unwrap(), revision));

        // Never to be changed: subscribers remember them.
        assert_eq!(ids[0].as_str(), "c24e3f43b3d1053c4ddbb99b8da3d218");
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    }

    #[test]
    fn the_driver_and_the_link_are_told_only_where_they_may_be() {
        let mut new = saved(1, Some(Status::Assigned));
        new.state.details.driver = Some(Driver {
            name: Some("D".to_owned()),
            ..Driver::default()
        });
        new.state.details.tracking_url = Some("https://example.com".to_owned());
        let told = |told_of| StatusChange::between(&order(), None, &new, told_of).unwrap();

        let alone = told(ToldOf::StatusAlone);
        assert_eq!((alone.driver, alone.tracking_url), (None, None));
        let too = told(ToldOf::DriverToo);
        assert_eq!(too.driver, new.state.details.driver);
        assert_eq!(too.tracking_url, new.state.details.tracking_url);
    }

    fn progress(revision: u64, status: Status, last: Option<Status>) -> Progress {
        Progress {
            revision,
            status,
            last,
            before: None,
        }
    }

    #[test]
    fn a_change_that_messages_hang_on_is_held_and_any_other_is_published() {
        for to in Status::ALL {
            let from = Some(Status::Assigned);
            if to == Status::Assigned {
                continue;
            }
            let announced = Announcement::of(change(2, from, to), None);

            let is_held = matches!(announced, Announcement::Hold(..));
            assert_eq!(is_held, [Status::Delivered, Status::Failed].contains(&to));
            if let Announcement::Publish(published, kept) = announced {
                assert_eq!(published.from, from);
                let before = from;
                assert_eq!(
                    kept,
                    Progress {
                        before,
                        ..progress(2, to, Some(to))
                    }
                );
            }
        }
    }

    #[test]
    fn what_was_held_and_taken_back_is_not_in_from() {
        let held = progress(5, Status::Delivered, Some(Status::PickedUp));

        // Back to what subscribers know.
        let back = change(6, Some(Status::Delivered), Status::PickedUp);
        let kept = progress(6, Status::PickedUp, Some(Status::PickedUp));
        assert_eq!(
            Announcement::of(back, Some(held)),
            Announcement::TakenBack(kept)
        );
        // On to something else.
        let on = change(6, Some(Status::Delivered), Status::InTransit);
        let Announcement::Publish(published, _) = Announcement::of(on, Some(held)) else {
            panic!("it is published");
        };
        assert_eq!(published.from, Some(Status::PickedUp));
        assert!(!published.corrected);
    }

    #[test]
    fn progress_from_before_an_interruption_is_not_believed() {
        let old = progress(5, Status::PickedUp, Some(Status::PickedUp));

        let change = change(9, Some(Status::InTransit), Status::PickedUp);
        let Announcement::Publish(published, _) = Announcement::of(change, Some(old)) else {
            panic!("it is published");
        };
        assert_eq!(published.from, Some(Status::InTransit));
    }

    #[test]
    fn a_due_change_is_published_if_no_other_came_after_it() {
        let held = change(5, Some(Status::PickedUp), Status::Delivered);
        let standing = |status, progress| Standing {
            saved: saved(8, Some(status)),
            progress,
        };
        let waiting = progress(5, Status::Delivered, Some(Status::InTransit));

        let due = DueChange::of(held.clone(), &standing(Status::Delivered, Some(waiting)));
        let DueChange::Publish(published, kept) = due else {
            panic!("it stands");
        };
        assert_eq!(published.from, Some(Status::InTransit));
        assert_eq!((published.revision, &published.id), (5, &held.id));
        // However it went, whatever stands by now: it may have been published, and must then be published the same.
        for status in [Status::Delivered, Status::Failed] {
            let again = DueChange::of(held.clone(), &standing(status, Some(kept)));
            assert_eq!(again, DueChange::PublishAgain(published.clone()));
        }

        for (status, progress) in [
            // Changed, and the stream has not told yet.
            (Status::Failed, Some(waiting)),
            // Changed, and changed back: the later change is held too.
            (
                Status::Delivered,
                Some(progress(7, Status::Delivered, Some(Status::PickedUp))),
            ),
            // Held, but the progress was not kept: it is held once more.
            (Status::Delivered, None),
        ] {
            assert_eq!(
                DueChange::of(held.clone(), &standing(status, progress)),
                DueChange::Settled,
                "{status} {progress:?}"
            );
        }
    }

    #[test]
    fn a_change_that_was_dealt_with_is_left_alone() {
        let seen = progress(6, Status::PickedUp, Some(Status::PickedUp));

        for revision in [5, 6] {
            let change = change(revision, Some(Status::PickedUp), Status::InTransit);
            assert_eq!(Announcement::of(change, Some(seen)), Announcement::Settled);
        }
    }
}
