//! A batch to its partial response: each order's changes one after the other, different orders together.

use std::collections::{BTreeMap, VecDeque};

use aws::caught;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse};
use domain::{
    Announcement, Announcements, Clock, DueChange, HeldChanges, HeldMessage, KeepOutcome, OrderKey,
    PortError, Progress, Status, StatusChange, StatusChanges, loggable,
};
use futures_util::{StreamExt as _, stream};

use crate::batch::{Batch, Received, Source, Task, read};
use crate::config::Config;

/// Most orders that are looked up at the same time: each holds a connection.
const MAX_CONCURRENT_ORDERS: usize = 10;

/// What the publisher needs from outside.
#[derive(Debug)]
pub struct Stores<B, O, H, C> {
    /// The bus that subscribers listen to.
    pub bus: B,
    /// The `orders` table.
    pub orders: O,
    /// The queue of changes that are held back.
    pub held: H,
    /// The wall clock.
    pub clock: C,
}

/// Publishes the changes of batches.
#[derive(Debug)]
pub struct Publisher<B, O, H, C> {
    config: Config,
    stores: Stores<B, O, H, C>,
}

/// A failed record has no sequence number and no message id, so it cannot be reported alone. The invocation fails, and Lambda cuts
/// the batch in two until the record is alone.
#[derive(Debug, thiserror::Error)]
#[error("a failed record has no id")]
pub struct NamelessFailure;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// No status changed.
    Nothing,
    /// The bus has it.
    Published,
    /// It waits in the queue.
    Held,
    /// It leads back to what subscribers know.
    TakenBack,
    /// It was dealt with before, or it does not stand.
    Settled,
    /// The order was erased, or has no status.
    Gone,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Published => "published",
            Self::Held => "held",
            Self::TakenBack => "taken_back",
            Self::Settled => "settled",
            Self::Gone => "gone",
        }
    }
}

/// Why a record comes again.
#[derive(Debug)]
enum Failure {
    /// A call did not succeed.
    Port(PortError),
    /// It can never be read.
    Unreadable,
    /// Another call was faster, and what is to be done must be decided anew.
    Overtaken,
    /// A change of the same order before it failed.
    Behind,
    /// Working on it panicked.
    Panicked,
}

impl Failure {
    fn reason(&self) -> String {
        match self {
            Self::Port(error) => error.with_causes(),
            Self::Unreadable => "the record is not of this system's form".to_owned(),
            Self::Overtaken => "the order changed meanwhile".to_owned(),
            Self::Behind => "a change of the same order failed before it".to_owned(),
            Self::Panicked => "it panicked".to_owned(),
        }
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

/// A task after its order was looked up.
enum Prepared {
    Done(Outcome),
    /// To be published, and then to be kept: what the progress was, and what it is.
    Publish(Box<StatusChange>, Option<(Option<Progress>, Progress)>),
}

/// A task of one order, and which record it is.
type Numbered<T> = (usize, T);
type Result<T> = std::result::Result<T, Failure>;

impl<B, O, H, C> Publisher<B, O, H, C>
where
    B: StatusChanges,
    O: Announcements,
    H: HeldChanges,
    C: Clock,
{
    /// A publisher.
    pub const fn new(config: Config, stores: Stores<B, O, H, C>) -> Self {
        Self { config, stores }
    }

    /// Publishes the changes of a batch and names what must come again: of a stream the first record that failed, because
    /// Lambda goes on from there, and of the queue each message.
    ///
    /// # Errors
    /// [`NamelessFailure`].
    pub async fn handle(
        &self,
        batch: Batch,
    ) -> std::result::Result<SqsBatchResponse, NamelessFailure> {
        let mut received: Vec<Received> = batch
            .records
            .into_iter()
            .map(|record| read(record, self.config.told_of))
            .collect();
        let mut failed = vec![false; received.len()];
        let mut orders: BTreeMap<OrderKey, VecDeque<Numbered<Task>>> = BTreeMap::new();
        for (index, record) in received.iter_mut().enumerate() {
            match &record.task {
                Err(_) => {
                    log_failure(None, &Failure::Unreadable);
                    mark(&mut failed, index);
                }
                Ok(task) => {
                    if let Some(order) = task.order() {
                        let tasks = orders.entry(order).or_default();
                        tasks.push_back((index, task.clone()));
                    }
                }
            }
        }
        while !orders.is_empty() {
            // In a box: what is in it is so deep that the compiler would give up at all of it together.
            for (order, index, result) in Box::pin(self.next_of_each(&mut orders)).await {
                if result.is_err() {
                    mark(&mut failed, index);
                    for (index, task) in orders.remove(&order).into_iter().flatten() {
                        log_failure(Some((&order, &task)), &Failure::Behind);
                        mark(&mut failed, index);
                    }
                }
            }
            orders.retain(|_, tasks| !tasks.is_empty());
        }
        response(&received, &failed)
    }

    /// Does the next task of each order. What is published goes out together: one request for several orders, and never two
    /// changes of one order in it.
    async fn next_of_each(
        &self,
        orders: &mut BTreeMap<OrderKey, VecDeque<Numbered<Task>>>,
    ) -> Vec<(OrderKey, usize, Result<()>)> {
        let next: Vec<_> = orders
            .iter_mut()
            .filter_map(|(order, tasks)| Some((order.clone(), tasks.pop_front()?)))
            .collect();
        let prepared: Vec<_> = stream::iter(next)
            .map(|(order, (index, task))| async move {
                let prepared = flat(caught(self.prepare(&order, task.clone())).await);
                (order, index, task, prepared)
            })
            .buffered(MAX_CONCURRENT_ORDERS)
            .collect()
            .await;

        let changes: Vec<StatusChange> = prepared
            .iter()
            .filter_map(|(_, _, _, prepared)| match prepared {
                Ok(Prepared::Publish(change, _)) => Some(change.as_ref().clone()),
                Ok(Prepared::Done(_)) | Err(_) => None,
            })
            .collect();
        let mut published = self.publish(&changes).await.into_iter();

        let finished = prepared.into_iter().map(|(order, index, task, prepared)| {
            // Of each change that was handed over something is said.
            let taken = match &prepared {
                Ok(Prepared::Publish(..)) => published.next().unwrap_or(Err(Failure::Panicked)),
                Ok(Prepared::Done(_)) | Err(_) => Ok(()),
            };
            async move {
                let finished = flat(caught(self.finish(&order, prepared, taken)).await);
                let result = self.log(&order, &task, finished);
                (order, index, result)
            }
        });
        stream::iter(finished)
            .buffered(MAX_CONCURRENT_ORDERS)
            .collect()
            .await
    }

    /// Looks an order up as far as its task needs it, and holds back what is to be held.
    async fn prepare(&self, order: &OrderKey, task: Task) -> Result<Prepared> {
        match task {
            Task::Nothing => Ok(Prepared::Done(Outcome::Nothing)),
            // What was published last is then always what the change begins with: nothing needs to be looked up.
            Task::Tell(change) if self.config.hold_seconds == 0 => {
                Ok(Prepared::Publish(change, None))
            }
            Task::Tell(change) => self.prepare_or_hold(order, *change).await,
            Task::Due(held) => self.prepare_due(order, *held).await,
            Task::Republish(order) => {
                let standing = self.stores.orders.standing(&order).await?;
                let change = standing.and_then(|standing| {
                    StatusChange::republished(&order, &standing.saved, self.config.told_of)
                });
                Ok(match change {
                    Some(change) => Prepared::Publish(Box::new(change), None),
                    None => Prepared::Done(Outcome::Gone),
                })
            }
        }
    }

    async fn prepare_or_hold(&self, order: &OrderKey, change: StatusChange) -> Result<Prepared> {
        let Some(standing) = self.stores.orders.standing(order).await? else {
            return Ok(Prepared::Done(Outcome::Gone));
        };
        let seen = standing.progress;
        match Announcement::of(change, seen) {
            Announcement::Publish(change, progress) => {
                Ok(Prepared::Publish(change, Some((seen, progress))))
            }
            Announcement::Hold(change, progress) => {
                // The message first: one without progress does nothing, and the record that sent it comes again.
                let message = HeldMessage::Held(change);
                let seconds = self.config.hold_seconds;
                self.stores.held.hold(&message, seconds).await?;
                self.keep(order, seen, progress).await?;
                Ok(Prepared::Done(Outcome::Held))
            }
            Announcement::TakenBack(progress) => {
                self.keep(order, seen, progress).await?;
                Ok(Prepared::Done(Outcome::TakenBack))
            }
            Announcement::Settled => Ok(Prepared::Done(Outcome::Settled)),
        }
    }

    async fn prepare_due(&self, order: &OrderKey, held: StatusChange) -> Result<Prepared> {
        let Some(standing) = self.stores.orders.standing(order).await? else {
            return Ok(Prepared::Done(Outcome::Gone));
        };
        match DueChange::of(held, &standing) {
            DueChange::Publish(change, progress) => {
                self.keep(order, standing.progress, progress).await?;
                Ok(Prepared::Publish(change, None))
            }
            DueChange::PublishAgain(change) => Ok(Prepared::Publish(change, None)),
            DueChange::Settled => Ok(Prepared::Done(Outcome::Settled)),
        }
    }

    async fn keep(
        &self,
        order: &OrderKey,
        seen: Option<Progress>,
        progress: Progress,
    ) -> Result<()> {
        match self.stores.orders.keep(order, seen, progress).await? {
            KeepOutcome::Kept => Ok(()),
            KeepOutcome::NotAsSeen => Err(Failure::Overtaken),
        }
    }

    async fn publish(&self, changes: &[StatusChange]) -> Vec<Result<()>> {
        if changes.is_empty() {
            return Vec::new();
        }
        match caught(self.stores.bus.publish(changes)).await {
            Ok(taken) => taken
                .into_iter()
                .map(|taken| taken.map_err(Failure::Port))
                .collect(),
            Err(_) => changes.iter().map(|_| Err(Failure::Panicked)).collect(),
        }
    }

    async fn finish(
        &self,
        order: &OrderKey,
        prepared: Result<Prepared>,
        taken: Result<()>,
    ) -> Result<(Outcome, Option<Box<StatusChange>>)> {
        match prepared? {
            Prepared::Done(outcome) => Ok((outcome, None)),
            Prepared::Publish(change, kept) => {
                taken?;
                if let Some((seen, progress)) = kept {
                    self.keep(order, seen, progress).await?;
                }
                Ok((Outcome::Published, Some(change)))
            }
        }
    }

    fn log(
        &self,
        order: &OrderKey,
        task: &Task,
        finished: Result<(Outcome, Option<Box<StatusChange>>)>,
    ) -> Result<()> {
        match finished {
            Ok((outcome, published)) => {
                let waited = published
                    .as_ref()
                    // What was published long ago says nothing about how long it takes.
                    .filter(|change| !change.republished)
                    .and_then(|change| change.received_at_ms)
                    .map(|received| self.stores.clock.now_ms().since(received).as_millis());
                log_success(order, task, outcome, published.as_deref(), waited);
                Ok(())
            }
            Err(failure) => {
                log_failure(Some((order, task)), &failure);
                Err(failure)
            }
        }
    }
}

fn flat<T>(caught: std::result::Result<Result<T>, aws::Panicked>) -> Result<T> {
    caught.unwrap_or(Err(Failure::Panicked))
}

fn mark(failed: &mut [bool], index: usize) {
    if let Some(failed) = failed.get_mut(index) {
        *failed = true;
    }
}

fn response(
    received: &[Received],
    failed: &[bool],
) -> std::result::Result<SqsBatchResponse, NamelessFailure> {
    let mut response = SqsBatchResponse::default();
    for (record, _) in received.iter().zip(failed).filter(|(_, failed)| **failed) {
        let id = record.id.clone().filter(|id| !id.is_empty());
        let mut item = BatchItemFailure::default();
        item.item_identifier = id.ok_or(NamelessFailure)?;
        response.batch_item_failures.push(item);
        if record.source == Source::Stream {
            break;
        }
    }
    Ok(response)
}

fn log_success(
    order: &OrderKey,
    task: &Task,
    outcome: Outcome,
    published: Option<&StatusChange>,
    waited: Option<u64>,
) {
    let change = published.or(task_change(task));
    let provider = order.provider.as_str();
    let merchant = order.merchant_id.as_str();
    let order = loggable(order.order_id.as_str());
    tracing::info!(
        provider,
        merchant,
        order = order.as_ref(),
        change = change.map(|change| change.id.as_str()),
        revision = change.map(|change| change.revision),
        from = change.and_then(|change| change.from).map(Status::as_str),
        to = change.map(|change| change.to.as_str()),
        corrected = change.map(|change| change.corrected),
        republished = change.map(|change| change.republished),
        outcome = outcome.as_str(),
        StatusChangesPublished = (outcome == Outcome::Published).then_some(1_u64),
        StatusChangesHeld = (outcome == Outcome::Held).then_some(1_u64),
        PublishDelayMs = waited,
        "status change"
    );
}

fn log_failure(about: Option<(&OrderKey, &Task)>, failure: &Failure) {
    let order = about.map(|(order, _)| order);
    let change = about.and_then(|(_, task)| task_change(task));
    let order_id = order.map(|order| loggable(order.order_id.as_str()));
    tracing::warn!(
        provider = order.map(|order| order.provider.as_str()),
        merchant = order.map(|order| order.merchant_id.as_str()),
        order = order_id.as_deref(),
        change = change.map(|change| change.id.as_str()),
        revision = change.map(|change| change.revision),
        to = change.map(|change| change.to.as_str()),
        outcome = "failed",
        error = failure.reason(),
        PublishFailed = 1_u64,
        "status change not published"
    );
}

fn task_change(task: &Task) -> Option<&StatusChange> {
    match task {
        Task::Tell(change) | Task::Due(change) => Some(change),
        Task::Nothing | Task::Republish(_) => None,
    }
}
