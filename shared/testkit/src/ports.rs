//! The ports, each answered by the [`World`].

use domain::{
    BodySha256, Claim, ClaimOutcome, Clock, CloseOutcome, ClosedAs, CredentialDigest, DeadLetters,
    EntryOutcome, EpochMillis, EventBatches, EventQueue, ExistingRecord, FIRST_RELAY_DELAY,
    FirstShard, Installation, Installations, MAX_EVENTS_PER_ORDER, MerchantId, Millis, OrderKey,
    OrderState, Orders, Overdue, PendingRecords, PendingShard, PortError, PutOutcome, QueueMessage,
    RecordClosing, RecordState, Redelivery, RequestId, RequestIds, SaveOutcome, SetAside, Timeline,
    TimelineEntry, WebhookKey, WebhookRecord, WebhookRecords,
};

use crate::queue::Buried;
use crate::stream::StateSaved;
use crate::world::{Inside, StoredRecord, World};

impl Clock for World {
    fn now_ms(&self) -> EpochMillis {
        self.inside().now
    }
}

impl RequestIds for World {
    fn draw(&self) -> RequestId {
        let mut inside = self.inside();
        inside.drawn += 1;
        RequestId::parse(&format!("request-{}", inside.drawn)).expect("it is an id")
    }
}

impl FirstShard for World {
    fn draw(&self) -> PendingShard {
        let mut inside = self.inside();
        inside.drawn += 1;
        PendingShard::of(inside.drawn.to_le_bytes()[0])
    }
}

impl Installations for World {
    async fn find(&self, credential: &CredentialDigest) -> Result<Option<Installation>, PortError> {
        let credential = credential.clone();
        self.call("find", &credential.clone(), move |inside| {
            inside.installations.get(&credential).cloned()
        })
        .await
    }
}

impl WebhookRecords for World {
    async fn put_if_absent(
        &self,
        key: &WebhookKey,
        record: &WebhookRecord,
        state: RecordState,
        order: Option<&OrderKey>,
    ) -> Result<PutOutcome, PortError> {
        let (key, record, order) = (key.clone(), record.clone(), order.cloned());
        self.call("put_if_absent", &key.clone(), move |inside| {
            if let Some(old) = inside.records.get(&key) {
                return PutOutcome::Exists(ExistingRecord {
                    request_id: old.record.request_id.clone(),
                    body_sha256: old.record.body_sha256.clone(),
                });
            }
            let due_at_ms = (state == RecordState::Pending).then(|| record.first_due_at_ms());
            let stored = StoredRecord {
                record: record.clone(),
                state,
                order: order.clone(),
                expires_at: None,
                due_at_ms,
                forward_attempts: 0,
                relay_delay: None,
            };
            inside.records.insert(key.clone(), stored);
            inside.index_changed(&key);
            PutOutcome::Written
        })
        .await
    }
}

impl RecordClosing for World {
    async fn close(
        &self,
        key: &WebhookKey,
        body_sha256: &BodySha256,
        closed_as: ClosedAs,
    ) -> Result<CloseOutcome, PortError> {
        let (key, body_sha256) = (key.clone(), body_sha256.clone());
        self.call("close", &key.clone(), move |inside| {
            let open = |stored: &&mut StoredRecord| {
                stored.record.body_sha256 == body_sha256
                    && matches!(stored.state, RecordState::Pending | RecordState::Parked)
            };
            let Some(stored) = inside.records.get_mut(&key).filter(open) else {
                return CloseOutcome::NothingToClose;
            };
            stored.state = closed_as.state();
            stored.due_at_ms = None;
            if let ClosedAs::Applied { expires_at } = closed_as {
                stored.expires_at = Some(expires_at);
            }
            inside.index_changed(&key);
            CloseOutcome::Closed
        })
        .await
    }
}

impl PendingRecords for World {
    async fn overdue(
        &self,
        shard: PendingShard,
        now: EpochMillis,
        limit: usize,
    ) -> Result<Vec<Overdue>, PortError> {
        self.call("overdue", &shard, move |inside| {
            let mut listed: Vec<_> = inside
                .listed(shard, now)
                .map(|(key, due_at_ms)| Overdue {
                    key: key.clone(),
                    due_at_ms,
                })
                .collect();
            listed.sort_by_key(|overdue| overdue.due_at_ms);
            listed.truncate(limit);
            listed
        })
        .await
    }

    async fn claim(&self, overdue: &Overdue, now: EpochMillis) -> Result<ClaimOutcome, PortError> {
        let overdue = overdue.clone();
        self.call("claim", &overdue.key.clone(), move |inside| {
            let due_as_seen =
                |stored: &&mut StoredRecord| stored.due_at_ms == Some(overdue.due_at_ms);
            let Some(stored) = inside.records.get_mut(&overdue.key).filter(due_as_seen) else {
                return ClaimOutcome::Gone;
            };
            let delay = stored.relay_delay.unwrap_or(FIRST_RELAY_DELAY);
            let due_at_ms = now + delay;
            stored.due_at_ms = Some(due_at_ms);
            stored.relay_delay = Some(Millis::new(delay.as_millis() * 2));
            stored.forward_attempts += 1;
            let claimed = (overdue.key.clone(), now, stored.forward_attempts);
            let claim = Claim {
                key: overdue.key.clone(),
                due_at_ms,
                attempts: stored.forward_attempts,
                record: Some(WebhookRecord {
                    webhook_pk: overdue.key.clone(),
                    ..stored.record.clone()
                }),
            };
            inside.seen.claims.push(claimed);
            inside.index_changed(&overdue.key);
            ClaimOutcome::Claimed(Box::new(claim))
        })
        .await
    }

    async fn set_aside(&self, claim: &Claim, as_what: SetAside) -> Result<CloseOutcome, PortError> {
        let (key, claimed) = (claim.key.clone(), claim.due_at_ms);
        self.call("set_aside", &key.clone(), move |inside| {
            let still_claimed = |stored: &&mut StoredRecord| {
                stored.due_at_ms == Some(claimed) || stored.state == as_what.state()
            };
            let Some(stored) = inside.records.get_mut(&key).filter(still_claimed) else {
                return CloseOutcome::NothingToClose;
            };
            stored.state = as_what.state();
            stored.due_at_ms = None;
            inside.index_changed(&key);
            CloseOutcome::Closed
        })
        .await
    }
}

impl Orders for World {
    async fn put_entry(
        &self,
        order: &OrderKey,
        entry: &TimelineEntry,
    ) -> Result<EntryOutcome, PortError> {
        let (order, entry) = (order.clone(), entry.clone());
        self.call("put_entry", &order.clone(), move |inside| {
            inside.put_entry(&order, entry.sort_key(order.provider), &entry)
        })
        .await
    }

    async fn read(&self, order: &OrderKey) -> Result<Timeline, PortError> {
        let key = order.clone();
        let timeline = self
            .call("read", order, move |inside| {
                (!inside.is_interleaved()).then(|| inside.timeline(&key))
            })
            .await?;
        match timeline {
            Some(timeline) => Ok(timeline),
            None => Ok(self.read_one_by_one(order).await),
        }
    }

    async fn save(&self, order: &OrderKey, state: &OrderState) -> Result<SaveOutcome, PortError> {
        let (order, state) = (order.clone(), state.clone());
        self.call("save", &order.clone(), move |inside| {
            let saved = inside.states.get(&order);
            if saved.is_some_and(|(saved, _)| saved.event_count > state.event_count) {
                return SaveOutcome::Superseded;
            }
            inside.save(&order, &state);
            SaveOutcome::Saved
        })
        .await
    }
}

impl World {
    /// A consistent query is no snapshot: it reads one item after the other, while others write.
    async fn read_one_by_one(&self, order: &OrderKey) -> Timeline {
        let mut timeline = Timeline::default();
        let mut last = String::new();
        loop {
            let next = self
                .inside()
                .entries
                .get(order)
                .and_then(|entries| entries.range(last.clone()..).find(|(key, _)| **key != last))
                .map(|(key, entry)| (key.clone(), entry.clone()));
            let Some((key, entry)) = next else { break };
            last = key;
            timeline.entries.push(entry);
            if timeline.entries.len() > MAX_EVENTS_PER_ORDER {
                return timeline;
            }
            self.let_others_go_first().await;
        }
        // The state sorts behind the entries.
        if let Some((state, revision)) = self.state(order) {
            timeline.state = Some(state);
            timeline.revision = revision;
        }
        timeline
    }
}

impl Inside {
    pub(crate) fn put_entry(
        &mut self,
        order: &OrderKey,
        key: String,
        entry: &TimelineEntry,
    ) -> EntryOutcome {
        let known = |record: &WebhookKey| {
            self.records.contains_key(record) || self.seen.removed.contains(record)
        };
        if !known(&entry.webhook_pk) {
            self.seen.entries_without_record.push(key.clone());
        }
        let timeline = self.entries.entry(order.clone()).or_default();
        if timeline.contains_key(&key) {
            return EntryOutcome::Exists;
        }
        timeline.insert(key.clone(), entry.clone());
        let first = (order.clone(), key, entry.clone());
        self.seen.first_entries.push(first);
        EntryOutcome::Added
    }

    pub(crate) fn save(&mut self, order: &OrderKey, state: &OrderState) {
        let revision = self
            .states
            .get(order)
            .map_or(1, |(_, revision)| revision + 1);
        let new = (state.clone(), revision);
        let old = self.states.insert(order.clone(), new.clone());
        self.stream.push(StateSaved {
            order: order.clone(),
            old,
            new: Some(new),
        });
        self.seen.saves.push((order.clone(), state.clone()));
    }

    fn timeline(&self, order: &OrderKey) -> Timeline {
        let saved = self.states.get(order).cloned();
        let entries = self.entries.get(order).into_iter();
        Timeline {
            revision: saved.as_ref().map_or(0, |(_, revision)| *revision),
            state: saved.map(|(state, _)| state),
            entries: entries
                .flat_map(|entries| entries.values())
                .take(MAX_EVENTS_PER_ORDER + 1)
                .cloned()
                .collect(),
        }
    }
}

impl EventQueue for World {
    async fn send(
        &self,
        message: &QueueMessage,
        trace_header: Option<&str>,
    ) -> Result<(), PortError> {
        let (body, group) = posted(message);
        let trace_header = trace_header.map(str::to_owned);
        self.call("send", message.merchant_id(), move |inside| {
            inside.enqueue(body.clone(), group.clone(), trace_header.clone())
        })
        .await
    }
}

impl EventBatches for World {
    async fn send_all(&self, messages: &[QueueMessage]) -> Result<(), PortError> {
        let posted: Vec<_> = messages.iter().map(posted).collect();
        self.call("send_all", &"the queue", move |inside| {
            for (body, group) in &posted {
                inside.enqueue(body.clone(), group.clone(), None);
            }
        })
        .await
    }

    async fn waiting(&self) -> Result<u64, PortError> {
        self.call("waiting", &"the queue", |inside| {
            inside.queue.waiting(inside.now)
        })
        .await
    }
}

fn posted(message: &QueueMessage) -> (String, String) {
    let body = serde_json::to_string(message).expect("a message is JSON");
    (body, message.merchant_id().as_str().to_owned())
}

impl Redelivery for World {
    async fn postpone(&self, receipt_handle: &str, seconds: u32) -> Result<(), PortError> {
        let handle = receipt_handle.to_owned();
        self.call("postpone", &receipt_handle, move |inside| {
            let until = inside.now + Millis::from_seconds(u64::from(seconds));
            inside.queue.hide(&handle, until);
            inside.postponed.push((handle.clone(), seconds));
        })
        .await
    }
}

impl DeadLetters for World {
    async fn bury(&self, body: &str, merchant: Option<&MerchantId>) -> Result<(), PortError> {
        let buried = Buried {
            body: body.to_owned(),
            merchant: merchant.cloned(),
        };
        self.call("bury", &"the dead letters", move |inside| {
            inside.dead_letters.push(buried.clone())
        })
        .await
    }
}
