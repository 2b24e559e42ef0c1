//! `hookctl order republish`: has subscribers told again where orders stand.

use std::cell::RefCell;
use std::fmt;

use aws::{HeldChangesQueue, OrdersTable};
use domain::{
    Announcements as _, EpochMillis, HeldChanges as _, HeldMessage, OrderKey, PortError, Provider,
    SavedState, Status,
};
use serde::Serialize;

use crate::arguments::{Republish, StackChoice};
use crate::output::{Output, OutputError};
use crate::progress::Progress;
use crate::resume::ResumeError;
use crate::scan::{End, Scan, ScanError};
use crate::stack::{Stack, StackError};

/// Orders could not be republished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepublishError {
    /// It has no status to tell of.
    #[error("`{merchant}` has no order `{order}` with a status at {provider}")]
    NotFound {
        /// Whose order it should be.
        merchant: String,
        /// Who should carry it.
        provider: Provider,
        /// The provider's id of it.
        order: String,
    },
    /// Neither one order nor a time: the command line does not allow it.
    #[error("name an order, or give --since")]
    NothingChosen,
    /// The table could not be read through.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Table or queue did not answer.
    #[error(transparent)]
    Call(#[from] PortError),
    /// The stack cannot be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The result could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl From<ResumeError> for RepublishError {
    fn from(error: ResumeError) -> Self {
        Self::Scan(error.into())
    }
}

/// Runs the command.
pub(crate) async fn run(
    options: Republish,
    choice: &StackChoice,
    output: Output,
) -> Result<(), RepublishError> {
    let stack = Stack::open(choice).await?;
    let orders = stack.tables()?.orders;
    let queue = stack.hold_queue()?;
    if let Some(since) = options.since {
        return all(&orders, &queue, &options, since, stack.name(), output).await;
    }
    match (options.merchant, options.provider, options.order) {
        (Some(merchant_id), Some(provider), Some(order_id)) => {
            let order = OrderKey {
                merchant_id,
                provider,
                order_id,
            };
            one(&orders, &queue, &order, output).await
        }
        _ => Err(RepublishError::NothingChosen),
    }
}

/// An order that subscribers are told of.
#[derive(Serialize)]
struct Line {
    order: String,
    status: Status,
    revision: u64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}, revision {}",
            self.order, self.status, self.revision
        )
    }
}

/// The end of the list.
#[derive(Default, Serialize)]
struct Total {
    orders: u64,
    /// Whether `--limit` ended it, so that there may be more.
    at_limit: bool,
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.at_limit {
            ", and perhaps more"
        } else {
            ""
        };
        write!(f, "{} order(s){end}", self.orders)
    }
}

/// The order's status, if it has one.
async fn standing(
    orders: &OrdersTable,
    order: &OrderKey,
) -> Result<Option<(Line, SavedState)>, PortError> {
    let standing = orders.standing(order).await?;
    Ok(standing.and_then(|standing| {
        let line = Line {
            order: order.to_string(),
            status: standing.saved.state.status?,
            revision: standing.saved.revision,
        };
        Some((line, standing.saved))
    }))
}

async fn send(queue: &HeldChangesQueue, order: &OrderKey) -> Result<(), PortError> {
    let message = HeldMessage::Republish(order.to_string());
    queue.hold(&message, 0).await
}

async fn one(
    orders: &OrdersTable,
    queue: &HeldChangesQueue,
    order: &OrderKey,
    output: Output,
) -> Result<(), RepublishError> {
    let Some((line, _)) = standing(orders, order).await? else {
        return Err(RepublishError::NotFound {
            merchant: order.merchant_id.to_string(),
            provider: order.provider,
            order: order.order_id.to_string(),
        });
    };
    send(queue, order).await?;
    Ok(output.result(&line)?)
}

async fn all(
    orders: &OrdersTable,
    queue: &HeldChangesQueue,
    options: &Republish,
    since: EpochMillis,
    stack: &str,
    output: Output,
) -> Result<(), RepublishError> {
    let merchant = options.of_merchant.as_ref();
    let of = merchant.map_or_else(String::new, |merchant| format!(" --merchant {merchant}"));
    let yes = if options.yes { " --yes" } else { "" };
    let work = format!(
        "order republish --since {since}{of}{yes} on {} of {stack}",
        orders.name()
    );
    let progress = Progress::new(output, orders.approximate_count().await?);
    let scan = Scan::open(&options.reading, &work, &progress)?;
    let total = RefCell::new(Total::default());
    let end = scan
        .run(
            async |part| orders.scan(merchant, part).await,
            async |order| {
                let Some((line, saved)) = standing(orders, &order).await? else {
                    return Ok(());
                };
                // Not known of a state that an older version saved: told once too often rather than not at all.
                let is_older = saved
                    .state
                    .status_received_at_ms
                    .is_some_and(|received| received < since);
                if is_older {
                    return Ok(());
                }
                if options.yes {
                    send(queue, &order).await?;
                }
                progress.result(&line)?;
                total.borrow_mut().orders += 1;
                Ok::<_, RepublishError>(())
            },
        )
        .await?;
    let mut total = total.into_inner();
    total.at_limit = end == End::AtLimit;
    output.result(&total)?;
    if !options.yes {
        output.message("nobody was told: add --yes to do it");
    }
    Ok(())
}
