//! `hookctl webhook`: what became of webhooks, and a second chance for them.

mod reading;
mod tail;
mod view;

use std::cell::RefCell;
use std::collections::BTreeSet;

use aws::{RecordChange, StoredWebhook, SystemClock, WebhookParts};
use domain::{
    Clock as _, DismissalReason, MAX_EVENTS_PER_ORDER, Millis, OrderKey, Orders as _, PortError,
    RecordState, short_digest,
};

use crate::arguments::{
    ChosenWebhooks, Close, Filters, List, Reading, Replay, ShowWebhook, StackChoice, Webhook,
};
use crate::order::PersonalData;
use crate::output::{Output, OutputError};
use crate::progress::Progress;
use crate::resume::ResumeError;
use crate::scan::{End, Scan, ScanError};
use crate::stack::{Stack, StackError, Tables};
use reading::Effect;
use view::{Handled, Listed, Outcome, Total};

pub(crate) use reading::{ReadingView, Understood, restored, understand};
pub(crate) use view::{Shown, Summary, printable};

/// Records could not be listed, shown or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// There is no record with such a key.
    #[error("there is no webhook `{0}`: `hookctl webhook list` shows the keys")]
    NotFound(String),
    /// Of the keys, some have no record.
    #[error("there is no webhook with {missing} of the {asked} keys")]
    SomeNotFound {
        /// How many.
        missing: usize,
        /// Of how many.
        asked: usize,
    },
    /// The order has no timeline.
    #[error("there is no order `{0}` with a timeline")]
    NoOrder(OrderKey),
    /// What was asked for by key was not done.
    #[error("{0} webhook(s) were not changed, for the reasons above")]
    NotDone(u64),
    /// The table could not be read through.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The table did not answer.
    #[error(transparent)]
    Table(#[from] PortError),
    /// The stack cannot be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The result could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl From<ResumeError> for RecordError {
    fn from(error: ResumeError) -> Self {
        Self::Scan(error.into())
    }
}

/// Runs the command.
pub(crate) async fn run(
    command: Webhook,
    choice: &StackChoice,
    output: Output,
) -> Result<(), RecordError> {
    let stack = Stack::open(choice).await?;
    let records = Records {
        tables: stack.tables()?,
        stack: stack.name().to_owned(),
        output,
    };
    match command {
        Webhook::List(options) => records.list(&options).await,
        Webhook::Tail(options) => records.tail(&options).await,
        Webhook::Show(options) => records.show(&options).await,
        Webhook::Replay(options) => records.replay(&options).await,
        Webhook::Close(options) => records.close(&options).await,
    }
}

struct Records {
    tables: Tables,
    stack: String,
    output: Output,
}

/// Which records a command is about.
enum Selection<'a> {
    Keys(&'a [String]),
    Order(&'a OrderKey, &'a Filters),
    Table(&'a Filters),
}

impl<'a> Selection<'a> {
    fn of(keys: &'a [String], filters: &'a Filters) -> Self {
        match &filters.order {
            _ if !keys.is_empty() => Self::Keys(keys),
            Some(order) => Self::Order(order, filters),
            None => Self::Table(filters),
        }
    }
}

/// What is done to each record that a command is about.
trait Deed {
    /// Does it, and shows what became of it.
    async fn to(
        &self,
        stored: &StoredWebhook,
        progress: &Progress,
    ) -> Result<Option<Outcome>, RecordError>;
}

impl Records {
    async fn list(&self, options: &List) -> Result<(), RecordError> {
        if self.output.is_for_people() {
            self.output.message(Listed::heading());
        }
        let selection = Selection::of(&[], &options.filters);
        let words = format!("webhook list{}", options.filters.words());
        let total = self
            .each(
                &selection,
                &options.reading,
                &words,
                WebhookParts::Summary,
                &Lister,
            )
            .await?;
        self.output.result(&total)?;
        Ok(())
    }

    async fn show(&self, options: &ShowWebhook) -> Result<(), RecordError> {
        let personal_data = PersonalData::if_shown(options.personal_data);
        let shown = shown(&self.tables, &options.key, personal_data)
            .await?
            .ok_or_else(|| RecordError::NotFound(options.key.clone()))?;
        self.output.result(&shown)?;
        Ok(())
    }

    async fn replay(&self, options: &Replay) -> Result<(), RecordError> {
        let dry_run = is_dry_run(&options.chosen);
        let force = if options.force { " --force" } else { "" };
        let words = format!("webhook replay{force}");
        let replayer = Replayer {
            tables: &self.tables,
            dry_run,
            force: options.force,
        };
        self.change(&options.chosen, &words, &replayer).await
    }

    async fn close(&self, options: &Close) -> Result<(), RecordError> {
        let words = format!(
            "webhook close --keep-days {} --reason \"{}\"",
            options.keep_days,
            options.reason.as_str()
        );
        let closer = Closer {
            tables: &self.tables,
            dry_run: is_dry_run(&options.chosen),
            reason: &options.reason,
            keep: Millis::from_days(options.keep_days.into()),
        };
        self.change(&options.chosen, &words, &closer).await
    }

    /// Does it to every chosen record, and says at the end how it went.
    async fn change(
        &self,
        chosen: &ChosenWebhooks,
        words: &str,
        deed: &impl Deed,
    ) -> Result<(), RecordError> {
        let selection = Selection::of(&chosen.keys, &chosen.filters);
        let yes = if chosen.yes { " --yes" } else { "" };
        let words = format!("{words}{}{yes}", chosen.filters.words());
        let total = self
            .each(
                &selection,
                &chosen.reading,
                &words,
                WebhookParts::Whole,
                deed,
            )
            .await?;
        self.output.result(&total)?;
        if is_dry_run(chosen) {
            let remedy = match selection {
                Selection::Keys(_) => "leave out --dry-run to do it",
                Selection::Order(..) | Selection::Table(_) => "add --yes to do it",
            };
            self.output
                .message(format_args!("nothing was changed: {remedy}"));
            return Ok(());
        }
        match selection {
            Selection::Keys(_) if total.failures() > 0 => {
                Err(RecordError::NotDone(total.failures()))
            }
            // Of many, some are rightly left alone.
            Selection::Keys(_) | Selection::Order(..) | Selection::Table(_) => Ok(()),
        }
    }

    /// Does it to each selected record.
    async fn each(
        &self,
        selection: &Selection<'_>,
        reading: &Reading,
        words: &str,
        parts: WebhookParts,
        deed: &impl Deed,
    ) -> Result<Total, RecordError> {
        match selection {
            Selection::Keys(keys) => self.each_of(keys, deed).await,
            Selection::Order(order, filters) => {
                self.each_in_timeline(order, filters, reading, deed).await
            }
            Selection::Table(filters) => {
                self.each_in_table(filters, reading, words, parts, deed)
                    .await
            }
        }
    }

    async fn each_of(&self, keys: &[String], deed: &impl Deed) -> Result<Total, RecordError> {
        let progress = Progress::none(self.output);
        let mut total = Total::default();
        let mut missing = Vec::new();
        for key in keys {
            match self.tables.webhooks.get(key).await? {
                Some(stored) => total.count(deed.to(&stored, &progress).await?),
                None => missing.push(key),
            }
        }
        match (missing.as_slice(), keys.len()) {
            ([], _) => Ok(total),
            ([key], 1) => Err(RecordError::NotFound((*key).clone())),
            (missing, asked) => {
                for key in missing {
                    self.output
                        .message(format_args!("there is no webhook `{key}`"));
                }
                Err(RecordError::SomeNotFound {
                    missing: missing.len(),
                    asked,
                })
            }
        }
    }

    async fn each_in_timeline(
        &self,
        order: &OrderKey,
        filters: &Filters,
        reading: &Reading,
        deed: &impl Deed,
    ) -> Result<Total, RecordError> {
        let entries = self.tables.orders.read(order).await?.entries;
        if entries.is_empty() {
            return Err(RecordError::NoOrder(order.clone()));
        }
        let limit = reading.limit.map_or(u64::MAX, std::num::NonZero::get);
        let progress = Progress::none(self.output);
        let mut total = Total::default();
        let mut met = BTreeSet::new();
        let mut expired = 0_usize;
        for entry in &entries {
            let key = entry.webhook_pk.as_str();
            if !met.insert(key) {
                continue;
            }
            if total.records() == limit {
                total.is_at_limit();
                break;
            }
            let Some(stored) = self.tables.webhooks.get(key).await? else {
                expired += 1;
                continue;
            };
            let in_state = |state: RecordState| filters.state.contains(&state);
            if filters.state.is_empty() || stored.state.is_some_and(in_state) {
                total.count(deed.to(&stored, &progress).await?);
            }
        }
        if entries.len() > MAX_EVENTS_PER_ORDER {
            self.output.message(format_args!(
                "the order has more than {MAX_EVENTS_PER_ORDER} events: the webhooks of later ones were left out"
            ));
        }
        if expired > 0 {
            self.output.message(format_args!(
                "{expired} event(s) of the timeline came from webhooks that are no longer kept"
            ));
        }
        Ok(total)
    }

    async fn each_in_table(
        &self,
        filters: &Filters,
        reading: &Reading,
        words: &str,
        parts: WebhookParts,
        deed: &impl Deed,
    ) -> Result<Total, RecordError> {
        let table = &self.tables.webhooks;
        let progress = Progress::new(self.output, table.approximate_count().await?);
        let work = format!("{words} on {} of {}", table.name(), self.stack);
        let scan = Scan::open(reading, &work, &progress)?;
        let filter = filters.of_the_table();
        let total = RefCell::new(Total::default());
        let end = scan
            .run(
                async |part| {
                    let mut page = table.scan(&filter, parts, part).await?;
                    if let Some(digest) = &filters.digest {
                        page.items.retain(|(_, it)| short_digest(&it.pk) == *digest);
                    }
                    Ok(page)
                },
                async |stored| {
                    let outcome = deed.to(&stored, &progress).await?;
                    total.borrow_mut().count(outcome);
                    Ok::<_, RecordError>(())
                },
            )
            .await?;
        let mut total = total.into_inner();
        if end == End::AtLimit {
            total.is_at_limit();
        }
        Ok(total)
    }
}

/// A key is an order to do it; anything else might be more than was thought of.
const fn is_dry_run(chosen: &ChosenWebhooks) -> bool {
    if chosen.keys.is_empty() {
        !chosen.yes
    } else {
        chosen.dry_run
    }
}

/// A record with everything that is known about it; `None` when there is none with this key.
pub(crate) async fn shown(
    tables: &Tables,
    key: &str,
    personal_data: PersonalData,
) -> Result<Option<Shown>, PortError> {
    let Some(stored) = tables.webhooks.get(key).await? else {
        return Ok(None);
    };
    let effect = effect(tables, &understand(&stored)).await?;
    Ok(Some(Shown::new(&stored, effect, personal_data)))
}

/// What a replay would do to the order, where there is an event.
async fn effect(tables: &Tables, understood: &Understood<'_>) -> Result<Option<Effect>, PortError> {
    match understood {
        Understood::Event { record, event } => {
            let foreseen = Effect::foreseen(&tables.orders, event, &record.webhook_pk);
            foreseen.await.map(Some)
        }
        Understood::NoEvent { .. } | Understood::Damaged(_) => Ok(None),
    }
}

struct Lister;

impl Deed for Lister {
    async fn to(
        &self,
        stored: &StoredWebhook,
        progress: &Progress,
    ) -> Result<Option<Outcome>, RecordError> {
        progress.result(&Listed::new(stored))?;
        Ok(None)
    }
}

struct Replayer<'a> {
    tables: &'a Tables,
    dry_run: bool,
    force: bool,
}

impl Deed for Replayer<'_> {
    async fn to(
        &self,
        stored: &StoredWebhook,
        progress: &Progress,
    ) -> Result<Option<Outcome>, RecordError> {
        let understood = understand(stored);
        let foreseen = if self.dry_run {
            effect(self.tables, &understood).await?
        } else {
            None
        };
        let outcome = match (&understood, stored.state) {
            (Understood::Damaged(_), _) | (_, None) => Outcome::Damaged,
            (Understood::NoEvent { .. }, _) if !self.force => Outcome::NoEvent,
            _ if self.dry_run => Outcome::WouldReplay,
            (Understood::Event { record, .. } | Understood::NoEvent { record, .. }, Some(seen)) => {
                let now = SystemClock.now_ms();
                match self.tables.webhooks.replay(record, seen, now).await? {
                    RecordChange::Made => Outcome::Replayed,
                    RecordChange::NotAsSeen => Outcome::Changed,
                }
            }
        };
        let reading = ReadingView::from(&understood);
        progress.result(&Handled::new(stored, outcome).with_reading(reading, foreseen))?;
        Ok(Some(outcome))
    }
}

struct Closer<'a> {
    tables: &'a Tables,
    dry_run: bool,
    reason: &'a DismissalReason,
    keep: Millis,
}

impl Deed for Closer<'_> {
    async fn to(
        &self,
        stored: &StoredWebhook,
        progress: &Progress,
    ) -> Result<Option<Outcome>, RecordError> {
        let outcome = match stored.state {
            None => Outcome::Damaged,
            Some(RecordState::Applied | RecordState::Dismissed) => Outcome::NothingToDo,
            Some(
                RecordState::Pending
                | RecordState::Unmapped
                | RecordState::Quarantined
                | RecordState::Parked,
            ) if self.dry_run => Outcome::WouldClose,
            Some(
                seen @ (RecordState::Pending
                | RecordState::Unmapped
                | RecordState::Quarantined
                | RecordState::Parked),
            ) => {
                let table = &self.tables.webhooks;
                let expires_at = SystemClock.now_ms() + self.keep;
                let dismissed = table.dismiss(&stored.pk, seen, self.reason, expires_at);
                match dismissed.await? {
                    RecordChange::Made => Outcome::Closed,
                    RecordChange::NotAsSeen => Outcome::Changed,
                }
            }
        };
        progress.result(&Handled::new(stored, outcome))?;
        Ok(Some(outcome))
    }
}
