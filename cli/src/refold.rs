//! `hookctl order refold`: folds timelines anew, after a change of mapping or policy.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use aws::OrdersTable;
use domain::{
    MAX_EVENTS_PER_ORDER, OrderKey, OrderState, Orders as _, PortError, Provider, SaveOutcome,
    Status, Timeline, fold,
};
use serde::Serialize;
use serde_json::Value;

use crate::arguments::{Refold, StackChoice};
use crate::output::{Output, OutputError};
use crate::progress::Progress;
use crate::resume::ResumeError;
use crate::scan::{End, Scan, ScanError};
use crate::stack::{Stack, StackError};

/// Orders could not be refolded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefoldError {
    /// No event of it was ever applied.
    #[error("`{merchant}` has no order `{order}` at {provider}: no event of it has been applied")]
    NotFound {
        /// Whose order it should be.
        merchant: String,
        /// Who should carry it.
        provider: Provider,
        /// The provider's id of it.
        order: String,
    },
    /// Neither one order nor all: the command line does not allow it.
    #[error("name an order, or give --all")]
    NothingChosen,
    /// The state of the order that was named was not put right.
    #[error("the order was not refolded: {0}")]
    NotDone(Fate),
    /// Some orders could not even be read.
    #[error("{0} order(s) could not be refolded, for the reasons above")]
    Unreadable(u64),
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

impl From<ResumeError> for RefoldError {
    fn from(error: ResumeError) -> Self {
        Self::Scan(error.into())
    }
}

/// Runs the command.
pub(crate) async fn run(
    options: Refold,
    choice: &StackChoice,
    output: Output,
) -> Result<(), RefoldError> {
    let stack = Stack::open(choice).await?;
    let orders = stack.tables()?.orders;
    if options.all {
        return all(&orders, &options, stack.name(), output).await;
    }
    match (options.merchant, options.provider, options.order) {
        (Some(merchant_id), Some(provider), Some(order_id)) => {
            let order = OrderKey {
                merchant_id,
                provider,
                order_id,
            };
            one(&orders, &order, options.dry_run, output).await
        }
        _ => Err(RefoldError::NothingChosen),
    }
}

/// What becomes of an order's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// It is what its timeline folds to.
    Right,
    /// It was not, and now is.
    Repaired,
    /// It is not.
    WouldRepair,
    /// It has more events than are folded.
    StandsStill,
    /// The stored state counts more events than the timeline had when it was read.
    Superseded,
    /// Its items are damaged.
    Unreadable,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Right => f.write_str("right"),
            Self::Repaired => f.write_str("repaired"),
            Self::WouldRepair => f.write_str("would repair"),
            Self::StandsStill => write!(f, "more than {MAX_EVENTS_PER_ORDER} events"),
            Self::Superseded => f.write_str("a state of more events is stored"),
            Self::Unreadable => f.write_str("its items cannot be read"),
        }
    }
}

/// What becomes of an order's state, and in what it differs.
#[derive(Debug, Serialize)]
pub(crate) struct Refolded {
    order: String,
    pub(crate) fate: Fate,
    status_before: Option<Status>,
    status_after: Option<Status>,
    /// The attributes that differ. Their values may be personal data.
    differs_in: Vec<String>,
}

impl Refolded {
    /// The status before and after, and the names of what differs.
    pub(crate) fn change(&self) -> String {
        let word = |status: Option<Status>| status.map_or("none", Status::as_str);
        let (before, after) = (word(self.status_before), word(self.status_after));
        let mut text = if before == after {
            format!("status {after}")
        } else {
            format!("status {before} -> {after}")
        };
        if !self.differs_in.is_empty() {
            text.push_str(&format!(" (differs in {})", self.differs_in.join(", ")));
        }
        text
    }
}

impl fmt::Display for Refolded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {}", self.order, self.fate, self.change())
    }
}

/// What folding a timeline anew says; the state is there when it is to be saved.
pub(crate) fn refolded(order: &OrderKey, timeline: Timeline) -> (Refolded, Option<OrderState>) {
    let Timeline { state, entries, .. } = timeline;
    let status_before = state.as_ref().and_then(|state| state.status);
    let say = |fate, status_after, differs_in| Refolded {
        order: order.to_string(),
        fate,
        status_before,
        status_after,
        differs_in,
    };
    if entries.len() > MAX_EVENTS_PER_ORDER {
        return (say(Fate::StandsStill, status_before, Vec::new()), None);
    }
    let folded = fold(providers::adapter(order.provider), entries).state;
    if state.as_ref() == Some(&folded) {
        return (say(Fate::Right, folded.status, Vec::new()), None);
    }
    let differs_in = differences(state.as_ref(), &folded);
    let would = say(Fate::WouldRepair, folded.status, differs_in);
    (would, Some(folded))
}

/// The names of the attributes that two states do not have in common.
fn differences(before: Option<&OrderState>, after: &OrderState) -> Vec<String> {
    let attributes = |state: Option<&OrderState>| match state.map(serde_json::to_value) {
        Some(Ok(Value::Object(attributes))) => attributes.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let (before, after) = (attributes(before), attributes(Some(after)));
    let mut names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    names.retain(|name| before.get(name) != after.get(name));
    names.sort_unstable();
    names.dedup();
    names
}

/// Folds an order anew and saves its state if it differs.
async fn refold(
    orders: &OrdersTable,
    order: &OrderKey,
    timeline: Timeline,
    dry_run: bool,
) -> Result<Refolded, PortError> {
    let (mut refolded, to_save) = refolded(order, timeline);
    if let Some(state) = to_save.filter(|_| !dry_run) {
        refolded.fate = match orders.save(order, &state).await? {
            SaveOutcome::Saved => Fate::Repaired,
            SaveOutcome::Superseded => Fate::Superseded,
        };
    }
    Ok(refolded)
}

async fn one(
    orders: &OrdersTable,
    order: &OrderKey,
    dry_run: bool,
    output: Output,
) -> Result<(), RefoldError> {
    let timeline = orders.read(order).await?;
    if timeline.entries.is_empty() {
        return Err(RefoldError::NotFound {
            merchant: order.merchant_id.to_string(),
            provider: order.provider,
            order: order.order_id.to_string(),
        });
    }
    let refolded = refold(orders, order, timeline, dry_run).await?;
    output.result(&refolded)?;
    match refolded.fate {
        Fate::Right | Fate::Repaired => Ok(()),
        Fate::WouldRepair => {
            output.message("nothing was changed: leave out --dry-run to do it");
            Ok(())
        }
        fate @ (Fate::StandsStill | Fate::Superseded | Fate::Unreadable) => {
            Err(RefoldError::NotDone(fate))
        }
    }
}

/// A line about one of many orders.
#[derive(Serialize)]
struct Line {
    order: Refolded,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.order.fmt(f)
    }
}

/// The end of the list.
#[derive(Default, Serialize)]
struct Total {
    summary: Sum,
}

#[derive(Default, Serialize)]
struct Sum {
    orders: u64,
    fates: BTreeMap<Fate, u64>,
    /// Whether `--limit` ended it, so that there may be more.
    at_limit: bool,
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} order(s)", self.summary.orders)?;
        for (n, (fate, count)) in self.summary.fates.iter().enumerate() {
            let separator = if n == 0 { ": " } else { ", " };
            write!(f, "{separator}{count} {fate}")?;
        }
        let end = if self.summary.at_limit {
            ", and perhaps more"
        } else {
            ""
        };
        f.write_str(end)
    }
}

async fn all(
    orders: &OrdersTable,
    options: &Refold,
    stack: &str,
    output: Output,
) -> Result<(), RefoldError> {
    let merchant = options.of_merchant.as_ref();
    let of = merchant.map_or_else(String::new, |merchant| format!(" --merchant {merchant}"));
    let yes = if options.yes { " --yes" } else { "" };
    let work = format!(
        "order refold --all{of}{yes} on {} of {stack}",
        orders.name()
    );
    let progress = Progress::new(output, orders.approximate_count().await?);
    let scan = Scan::open(&options.reading, &work, &progress)?;
    let total = RefCell::new(Total::default());
    let end = scan
        .run(
            async |part| orders.scan(merchant, part).await,
            async |order| {
                let line = one_of_many(orders, &order, !options.yes, &progress).await?;
                let fate = line.order.fate;
                if fate != Fate::Right {
                    progress.result(&line)?;
                }
                let sum = &mut total.borrow_mut().summary;
                sum.orders += 1;
                *sum.fates.entry(fate).or_default() += 1;
                Ok::<_, RefoldError>(())
            },
        )
        .await?;
    let mut total = total.into_inner();
    total.summary.at_limit = end == End::AtLimit;
    output.result(&total)?;
    if !options.yes {
        output.message("nothing was changed: add --yes to do it");
    }
    match total.summary.fates.get(&Fate::Unreadable) {
        None => Ok(()),
        Some(count) => Err(RefoldError::Unreadable(*count)),
    }
}

/// A damaged order must not keep the others from being repaired; a table that does not answer ends the run.
async fn one_of_many(
    orders: &OrdersTable,
    order: &OrderKey,
    dry_run: bool,
    progress: &Progress,
) -> Result<Line, RefoldError> {
    let refolded = match orders.read(order).await {
        Ok(timeline) => refold(orders, order, timeline, dry_run).await?,
        Err(error) if aws::is_damaged(&error) => {
            progress.message(format_args!("{order}: {}", error.with_causes()));
            Refolded {
                order: order.to_string(),
                fate: Fate::Unreadable,
                status_before: None,
                status_after: None,
                differs_in: Vec::new(),
            }
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Line { order: refolded })
}

#[cfg(test)]
mod tests {
    use domain::{
        Details, EpochMillis, MerchantId, OrderId, ProviderWord, TimelineEntry, WebhookKey,
    };

    use super::*;

    fn order() -> OrderKey {
        OrderKey {
            merchant_id: MerchantId::parse("shop-1").unwrap(),
            provider: Provider::Armada,
            order_id: OrderId::parse("A1").unwrap(),
        }
    }

    fn entry(at: usize, status: &str) -> TimelineEntry {
        let at = EpochMillis::new(1_767_816_000_000 + u64::try_from(at).unwrap());
        TimelineEntry {
            occurred_at_ms: at,
            word: ProviderWord {
                event: None,
                status: Some(status.to_owned()),
            },
            provider_event_id: None,
            webhook_pk: WebhookKey::parse("armada#shop-1#order.updated#wh_1").unwrap(),
            received_at_ms: at,
            details: Details::default(),
        }
    }

    fn folded(entries: &[TimelineEntry]) -> OrderState {
        fold(providers::adapter(Provider::Armada), entries.to_vec()).state
    }

    #[test]
    fn a_right_state_is_left_alone() {
        let entries = vec![entry(0, "pending"), entry(1, "completed")];
        let timeline = Timeline {
            state: Some(folded(&entries)),
            revision: 7,
            entries,
        };

        let (refolded, to_save) = refolded(&order(), timeline);

        assert_eq!((refolded.fate, to_save), (Fate::Right, None));
        assert_eq!(
            refolded.to_string(),
            "shop-1#armada#A1: right, status delivered"
        );
    }

    #[test]
    fn a_wrong_or_missing_state_is_named_with_what_differs() {
        let entries = vec![entry(0, "pending"), entry(1, "completed")];
        let state = folded(&entries);
        let wrong = OrderState {
            status: Some(Status::Failed),
            ..state.clone()
        };
        for (stored, said) in [
            (
                Some(wrong),
                "shop-1#armada#A1: would repair, status failed -> delivered (differs in status)",
            ),
            (
                None,
                "shop-1#armada#A1: would repair, status none -> delivered \
                 (differs in corrected, event_count, milestones, schedule, status, status_received_at_ms, \
                 status_since_ms)",
            ),
        ] {
            let timeline = Timeline {
                state: stored,
                revision: 1,
                entries: entries.clone(),
            };

            let (refolded, to_save) = refolded(&order(), timeline);

            assert_eq!(to_save.as_ref(), Some(&state));
            assert_eq!(refolded.to_string(), said);
        }
    }

    #[test]
    fn an_order_beyond_the_bound_is_never_refolded() {
        let entries: Vec<_> = (0..=MAX_EVENTS_PER_ORDER)
            .map(|n| entry(n, "pending"))
            .collect();
        let timeline = Timeline {
            entries,
            ..Timeline::default()
        };

        let (refolded, to_save) = refolded(&order(), timeline);

        assert_eq!((refolded.fate, to_save), (Fate::StandsStill, None));
    }
}
