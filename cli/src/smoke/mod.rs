//! `hookctl smoke`: whether a stack works, after a deployment. A merchant of its own sends a short order over each
//! provider, and nothing of it is left in the end.

mod check;
mod part;
mod report;

use std::cell::Cell;
use std::io;
use std::time::Duration;

use aws::{Registration, SystemClock};
use domain::{
    Clock as _, EpochMillis, IdentifierError, Millis, Orders as _, PortError, Provider,
    RecordState, Refusal,
};
use tokio::time::{Instant, sleep};

use crate::arguments::{self, StackChoice};
use crate::erase::erase_known;
use crate::interruption::Interruption;
use crate::invocation::{Invocation, order_words};
use crate::moment;
use crate::output::{Output, OutputError};
use crate::secrets::NoRandomness;
use crate::simulate::{Answered, Expected, Outcome, PlanError};
use crate::stack::{Stack, StackError, Tables};
use check::{Check, Ended, NotApplied, Wrong, why_left};
use part::Part;
use report::{Left, Report};

/// How often is looked at what is waited for.
const POLL: Duration = Duration::from_millis(250);
/// How long an installation lives beyond the time for which orders are waited for, if it is not removed.
const INSTALLATION_LIFE: Millis = Millis::from_seconds(15 * 60);
/// How long removing waits for events that are on their way: one that is applied later would be left.
const ON_THEIR_WAY: Duration = Duration::from_secs(10);

/// The stack was not checked, or a check failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SmokeError {
    /// Checks failed.
    #[error("{} check(s) failed: {}", .0.len(), .0.join(", "))]
    Failed(Vec<String>),
    /// Somebody stopped it before the last check.
    #[error("interrupted: not everything was checked")]
    Interrupted,
    /// Signals cannot be waited for.
    #[error("Ctrl-C cannot be waited for")]
    Signals(#[source] io::Error),
    /// An order has no webhook.
    #[error("the order at {0} has no webhook")]
    NoWebhook(Provider),
    /// A credential that was drawn is none.
    #[error(transparent)]
    Credential(#[from] Refusal),
    /// An id that was made up is none.
    #[error(transparent)]
    Identifier(#[from] IdentifierError),
    /// The webhooks cannot be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Nothing could be drawn.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The stack cannot be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A result could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Runs the command.
pub(crate) async fn run(
    options: &arguments::Smoke,
    choice: &StackChoice,
    output: Output,
) -> Result<(), SmokeError> {
    let stack = Stack::open(choice).await?;
    let now = SystemClock.now_ms();
    let not_after = now + Millis::from_seconds(options.timeout.into()) + INSTALLATION_LIFE;
    let smoke = Smoke {
        tables: stack.tables()?,
        parts: Part::draw(&stack, now, not_after)?,
        hookctl: Invocation::new("hookctl", choice),
        timeout: Duration::from_secs(options.timeout.into()),
        not_after,
        is_stopped: Cell::new(false),
        report: Report::new(output),
        output,
        stack,
    };
    let mut interruption = Interruption::new().map_err(SmokeError::Signals)?;
    let result = smoke.check_until(&mut interruption).await;
    let left = smoke.remove(&mut interruption).await?;
    result?;
    smoke.end(left)
}

struct Smoke {
    stack: Stack,
    tables: Tables,
    parts: Vec<Part>,
    /// How a command for this stack begins.
    hookctl: Invocation,
    timeout: Duration,
    not_after: EpochMillis,
    /// Whether somebody wants it to come to its end.
    is_stopped: Cell<bool>,
    report: Report,
    output: Output,
}

impl Smoke {
    /// Makes all checks. When it is stopped, the request that is under way is still answered: what comes of it is then
    /// there to be removed.
    async fn check_until(&self, interruption: &mut Interruption) -> Result<(), OutputError> {
        let mut checks = Box::pin(self.check_all());
        tokio::select! {
            result = &mut checks => return result,
            () = interruption.wait() => {}
        }
        self.is_stopped.set(true);
        self.output.message("stopping: what was made is removed");
        checks.await
    }

    async fn check_all(&self) -> Result<(), OutputError> {
        for part in &self.parts {
            let refused = self.refuses_a_stranger(part);
            self.check(true, Check::NoCredential(part.provider), refused)
                .await?;
        }
        let elsewhere = self.has_no_other_path();
        self.check(true, Check::OtherPath, elsewhere).await?;
        let registered = self
            .check(true, Check::Installations, self.register())
            .await?;
        let asked = self.asks_for_the_url_key();
        self.check(registered, Check::UrlKey, asked).await?;

        let mut sent = Vec::new();
        for part in &self.parts {
            let taken = self.takes_webhooks(part);
            let check = Check::Webhooks(part.provider);
            sent.push((part, self.check(registered, check, taken).await?));
        }
        let until = Instant::now() + self.timeout;
        for (part, is_sent) in sent {
            self.check_order(part, is_sent, until).await?;
        }
        Ok(())
    }

    async fn check_order(
        &self,
        part: &Part,
        is_sent: bool,
        until: Instant,
    ) -> Result<(), OutputError> {
        let provider = part.provider;
        let stands = self.stands_where_it_must(part, until);
        let is_right = self.check(is_sent, Check::Order(provider), stands).await?;
        let timeline = self.has_its_timeline(part);
        self.check(is_right, Check::Timeline(provider), timeline)
            .await?;
        let applied = self.has_applied(part);
        self.check(is_right, Check::Records(provider), applied)
            .await?;
        Ok(())
    }

    /// Makes a check if what it needs is there; whether it was passed.
    async fn check(
        &self,
        can_be_made: bool,
        check: Check,
        work: impl Future<Output = Result<(), Ended>>,
    ) -> Result<bool, OutputError> {
        let began = Instant::now();
        let result = if can_be_made && !self.is_stopped.get() {
            work.await
        } else {
            Err(Ended::Interrupted)
        };
        self.report.ended(check, began.elapsed(), result)
    }

    // ------------------------------------------------------------ the checks

    async fn refuses_a_stranger(&self, part: &Part) -> Result<(), Ended> {
        part.send_without_credential().await?;
        self.has_stored_nothing(part).await
    }

    async fn has_no_other_path(&self) -> Result<(), Ended> {
        for part in &self.parts {
            part.send_elsewhere().await?;
        }
        Ok(())
    }

    async fn register(&self) -> Result<(), Ended> {
        for part in &self.parts {
            part.may_be_registered.set(true);
            let table = &self.tables.installations;
            match table.register(&part.installation).await? {
                Registration::Registered => {}
                Registration::Exists => {
                    part.may_be_registered.set(false);
                    return Err(Wrong::Exists.into());
                }
            }
        }
        Ok(())
    }

    async fn asks_for_the_url_key(&self) -> Result<(), Ended> {
        let with_key = |part: &&Part| part.installation.url_key_sha256.is_some();
        for part in self.parts.iter().filter(with_key) {
            part.send_without_url_key().await?;
            self.has_stored_nothing(part).await?;
        }
        Ok(())
    }

    async fn has_stored_nothing(&self, part: &Part) -> Result<(), Ended> {
        for key in part.keys() {
            if self.tables.webhooks.get(key.as_str()).await?.is_some() {
                // Known to be there, so that it is removed.
                part.may_be_stored.set(true);
                return Err(Wrong::Stored.into());
            }
        }
        Ok(())
    }

    async fn takes_webhooks(&self, part: &Part) -> Result<(), Ended> {
        let mut last_stored = None;
        for delivery in part.backwards() {
            if self.is_stopped.get() {
                return Err(Ended::Interrupted);
            }
            let expected = match delivery.expected {
                Expected::Stored => Answered::Accepted,
                Expected::Ignored => Answered::Ignored,
                Expected::Unreadable => Answered::Unreadable,
                Expected::Refused => Answered::Refused,
            };
            part.deliver(delivery, expected).await?;
            if delivery.expected == Expected::Stored {
                last_stored = Some(delivery);
            }
        }
        match last_stored {
            Some(again) => part.deliver(again, Answered::Duplicate).await,
            None => Ok(()),
        }
    }

    async fn stands_where_it_must(&self, part: &Part, until: Instant) -> Result<(), Ended> {
        let expected = &part.order.outcome;
        loop {
            let state = self.tables.orders.read(&part.order.key).await?.state;
            let found = state.as_ref().map(Outcome::of);
            match found {
                Some(found) if found == *expected => return Ok(()),
                Some(found) if found.events >= expected.events => {
                    return Err(Wrong::Another {
                        expected: expected.clone(),
                        found,
                    }
                    .into());
                }
                found if Instant::now() >= until => {
                    return Err(Wrong::Early {
                        seconds: self.timeout.as_secs(),
                        expected: expected.clone(),
                        found,
                    }
                    .into());
                }
                Some(_) | None => self.pause().await?,
            }
        }
    }

    async fn has_its_timeline(&self, part: &Part) -> Result<(), Ended> {
        let entries = self.tables.orders.read(&part.order.key).await?.entries;
        let expected = &part.order.timeline;
        let is_the_event =
            |(entry, event): (&domain::TimelineEntry, &crate::simulate::PlannedEvent)| {
                entry.occurred_at_ms == event.at
                    && entry.word.status.as_deref() == Some(event.status)
                    && entry.webhook_pk == event.record
            };
        if entries.len() == expected.len() && entries.iter().zip(expected).all(is_the_event) {
            return Ok(());
        }
        let is_known = |entry: &&domain::TimelineEntry| {
            expected.iter().any(|event| is_the_event((*entry, event)))
        };
        let known = entries.iter().filter(is_known).count();
        Err(Wrong::Timeline {
            expected: expected.len(),
            found: entries.len(),
            known,
            in_order: entries.is_sorted_by_key(|entry| entry.occurred_at_ms),
        }
        .into())
    }

    async fn has_applied(&self, part: &Part) -> Result<(), Ended> {
        let until = Instant::now() + self.timeout;
        let keys = part.keys();
        loop {
            let mut not_applied = Vec::new();
            for key in &keys {
                not_applied.extend(self.not_applied(key.as_str()).await?);
            }
            // What was set aside is not applied any more.
            not_applied.sort_unstable_by(|a, b| b.cmp(a));
            let Some(worst) = not_applied.first().copied() else {
                return Ok(());
            };
            if worst != NotApplied::Pending || Instant::now() >= until {
                return Err(Wrong::Record {
                    count: not_applied.iter().filter(|state| **state == worst).count(),
                    of: keys.len(),
                    state: worst,
                }
                .into());
            }
            self.pause().await?;
        }
    }

    async fn not_applied(&self, key: &str) -> Result<Option<NotApplied>, PortError> {
        let stored = self.tables.webhooks.get(key).await?;
        Ok(match stored.and_then(|stored| stored.state) {
            Some(RecordState::Applied) => None,
            Some(RecordState::Pending) => Some(NotApplied::Pending),
            Some(RecordState::Unmapped | RecordState::Quarantined) => {
                Some(NotApplied::NotUnderstood)
            }
            Some(RecordState::Parked) => Some(NotApplied::Parked),
            Some(RecordState::Dismissed) | None => Some(NotApplied::NotThere),
        })
    }

    async fn pause(&self) -> Result<(), Ended> {
        if self.is_stopped.get() {
            return Err(Ended::Interrupted);
        }
        sleep(POLL).await;
        Ok(())
    }

    // ------------------------------------------------------------ the end

    /// Removes everything. A second interruption ends that too.
    async fn remove(&self, interruption: &mut Interruption) -> Result<Vec<Left>, OutputError> {
        let began = Instant::now();
        let left = match interruption.before(Box::pin(self.remove_all())).await {
            Some(left) => left,
            None => self.everything("removing it was interrupted"),
        };
        let result = match left.len() {
            0 => Ok(()),
            count => Err(Wrong::Left(count).into()),
        };
        self.report.ended(Check::CleanUp, began.elapsed(), result)?;
        Ok(left)
    }

    async fn remove_all(&self) -> Vec<Left> {
        let mut left = Vec::new();
        for part in &self.parts {
            let table = &self.tables.installations;
            let is_there = part.may_be_registered.get();
            if is_there && let Err(error) = table.remove(&part.installation.credential).await {
                left.push(self.installation_left(part, &error.with_causes()));
            }
        }
        let is_settled = self.is_settled().await;
        for part in self.parts.iter().filter(|part| part.may_be_stored.get()) {
            let (order, keys) = (&part.order.key, part.keys());
            let erased = erase_known(&self.stack, order, &keys, self.output).await;
            let why = match (why_left(erased), &is_settled) {
                (Some(why), _) => why,
                (None, Ok(true)) => continue,
                (None, Ok(false)) => {
                    "a webhook that was accepted is not in the table yet".to_owned()
                }
                (None, Err(error)) => error.with_causes(),
            };
            left.push(self.order_left(part, &why));
        }
        left
    }

    /// Waits until every accepted webhook has a record and none is pending, but not for long.
    async fn is_settled(&self) -> Result<bool, PortError> {
        let until = Instant::now() + ON_THEIR_WAY;
        loop {
            let mut is_settled = true;
            for part in self.parts.iter().filter(|part| part.may_be_stored.get()) {
                let mut there = 0;
                for key in part.keys() {
                    if let Some(stored) = self.tables.webhooks.get(key.as_str()).await? {
                        there += 1;
                        is_settled &= stored.state != Some(RecordState::Pending);
                    }
                }
                is_settled &= there >= part.accepted.get();
            }
            if is_settled || Instant::now() >= until {
                return Ok(is_settled);
            }
            sleep(POLL).await;
        }
    }

    fn everything(&self, why: &str) -> Vec<Left> {
        let registered = self
            .parts
            .iter()
            .filter(|part| part.may_be_registered.get());
        let stored = self.parts.iter().filter(|part| part.may_be_stored.get());
        registered
            .map(|part| self.installation_left(part, why))
            .chain(stored.map(|part| self.order_left(part, why)))
            .collect()
    }

    fn installation_left(&self, part: &Part, why: &str) -> Left {
        let digest = &part.installation.credential.sha256;
        Left {
            what: format!(
                "the installation of {} at {}",
                part.installation.merchant_id, part.provider
            ),
            why: format!(
                "{why}; it ends by itself at {}",
                moment::show(self.not_after)
            ),
            command: self
                .hookctl
                .of(&format!("installation disable {} {digest}", part.provider)),
        }
    }

    fn order_left(&self, part: &Part, why: &str) -> Left {
        let order = &part.order.key;
        Left {
            what: format!("the order {order}, with its records"),
            why: format!("{why}; when the queue is empty:"),
            command: self
                .hookctl
                .of(&format!("erase {} --timeline --yes", order_words(order))),
        }
    }

    fn end(self, left: Vec<Left>) -> Result<(), SmokeError> {
        let merchant = self
            .parts
            .first()
            .map(|part| part.order.key.merchant_id.to_string());
        let failed = self
            .report
            .end(self.stack.name(), &merchant.unwrap_or_default(), left)?;
        match (failed.is_empty(), self.is_stopped.get()) {
            (false, _) => Err(SmokeError::Failed(failed)),
            (true, true) => Err(SmokeError::Interrupted),
            (true, false) => Ok(()),
        }
    }
}
