//! What the publisher needs from outside, answered by the [`World`].

use domain::{
    Announcements, HeldChanges, HeldMessage, KeepOutcome, Millis, OrderKey, OrderState, PortError,
    Progress, SavedState, Standing, StatusChange, StatusChanges,
};

use crate::queue::Queued;
use crate::stream::StateSaved;
use crate::world::World;

impl StatusChanges for World {
    async fn publish(&self, changes: &[StatusChange]) -> Vec<Result<(), PortError>> {
        let asked = changes.to_vec();
        let taken = self
            .call("publish", &"the bus", move |inside| {
                inside.requests_to_bus.push(asked.len());
                let mut taken = Vec::with_capacity(asked.len());
                for change in &asked {
                    let is_taken = !inside.refused_orders.contains(&change.order_key());
                    if is_taken {
                        inside.published.push(change.clone());
                    }
                    taken.push(is_taken);
                }
                taken
            })
            .await;
        match taken {
            Ok(taken) => taken
                .into_iter()
                .map(|is_taken| if is_taken { Ok(()) } else { Err(refused()) })
                .collect(),
            Err(_) => changes.iter().map(|_| Err(refused())).collect(),
        }
    }
}

fn refused() -> PortError {
    PortError {
        call: "publish",
        source: "a fault of this test".into(),
    }
}

impl Announcements for World {
    async fn standing(&self, order: &OrderKey) -> Result<Option<Standing>, PortError> {
        let key = order.clone();
        self.call("standing", order, move |inside| {
            let (state, revision) = inside.states.get(&key).cloned()?;
            Some(Standing {
                saved: SavedState { revision, state },
                progress: inside.progress.get(&key).copied(),
            })
        })
        .await
    }

    async fn keep(
        &self,
        order: &OrderKey,
        seen: Option<Progress>,
        progress: Progress,
    ) -> Result<KeepOutcome, PortError> {
        let key = order.clone();
        let identity = |progress: &Progress| (progress.revision, progress.last);
        self.call("keep", order, move |inside| {
            let found = inside.progress.get(&key).map(identity);
            if !inside.states.contains_key(&key) || found != seen.as_ref().map(identity) {
                return KeepOutcome::NotAsSeen;
            }
            inside.progress.insert(key.clone(), progress);
            KeepOutcome::Kept
        })
        .await
    }
}

impl HeldChanges for World {
    async fn hold(&self, message: &HeldMessage, seconds: u16) -> Result<(), PortError> {
        let body = serde_json::to_string(message).expect("a message is JSON");
        let delay = Millis::from_seconds(seconds.into());
        self.call("hold", &"the hold queue", move |inside| {
            let due_at = inside.now + delay;
            inside.held.push(body.clone(), String::new(), None, due_at);
        })
        .await
    }
}

impl World {
    /// Saves a state, as the consumer does.
    pub fn save_state(&self, order: &OrderKey, state: &OrderState) {
        self.inside().save(order, state);
    }

    /// Deletes an order's state, as an erasure does, and with it the publisher's progress.
    pub fn erase_state(&self, order: &OrderKey) {
        let mut inside = self.inside();
        inside.progress.remove(order);
        let old = inside.states.remove(order);
        inside.stream.push(StateSaved {
            order: order.clone(),
            old,
            new: None,
        });
    }

    /// All saves so far, as the stream of the table tells of them.
    pub fn stream(&self) -> Vec<StateSaved> {
        self.inside().stream.clone()
    }

    /// Makes the bus refuse an order's changes, or take them again.
    pub fn refuse_changes(&self, order: &OrderKey, refused: bool) {
        let mut inside = self.inside();
        if refused {
            inside.refused_orders.insert(order.clone());
        } else {
            inside.refused_orders.remove(order);
        }
    }

    /// What the bus has taken, in order.
    pub fn published(&self) -> Vec<StatusChange> {
        self.inside().published.clone()
    }

    /// How many changes the publisher handed to the bus each time.
    pub fn requests_to_bus(&self) -> Vec<usize> {
        self.inside().requests_to_bus.clone()
    }

    /// The publisher's progress with an order.
    pub fn progress(&self, order: &OrderKey) -> Option<Progress> {
        self.inside().progress.get(order).copied()
    }

    /// Hands out the held messages that are due; they stay until [`World::delete_held`].
    pub fn due(&self) -> Vec<Queued> {
        let mut inside = self.inside();
        let now = inside.now;
        inside.held.due(now)
    }

    /// Deletes held messages.
    pub fn delete_held(&self, message_ids: &[String]) {
        self.inside().held.delete(message_ids);
    }

    /// All held messages, due or not.
    pub fn held(&self) -> Vec<Queued> {
        self.inside().held.messages().cloned().collect()
    }

    /// Puts a text into the hold queue, due at once.
    pub fn enqueue_held(&self, body: &str) {
        let mut inside = self.inside();
        let now = inside.now;
        inside.held.push(body.to_owned(), String::new(), None, now);
    }
}
