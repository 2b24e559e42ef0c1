//! `hookctl ledger`: proves from the tables that nothing was lost.

mod check;
mod remedy;
mod tally;

use std::cell::RefCell;
use std::collections::HashSet;

use aws::{StoredWebhook, SystemClock, WebhookParts};
use domain::{Clock as _, OrderKey, PortError};

use crate::arguments::{Ledger, Reading, StackChoice};
use crate::output::{Output, OutputError};
use crate::progress::Progress;
use crate::resume::ResumeError;
use crate::scan::{Scan, ScanError};
use crate::stack::{Stack, StackError};
use check::{Checks, OrderFinding};
use remedy::Remedies;
use tally::{Extent, Line, Tally, Told};

/// How many orders are remembered as checked: some ten megabytes.
const REMEMBERED_ORDERS: usize = 100_000;

/// The ledger could not be read, or does not add up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// What the tables hold does not fit together.
    #[error("{0} difference(s): each is told above with its command")]
    Differences(u64),
    /// A table could not be read through.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A table did not answer.
    #[error(transparent)]
    Table(#[from] PortError),
    /// The stack cannot be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The result could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl From<ResumeError> for LedgerError {
    fn from(error: ResumeError) -> Self {
        Self::Scan(error.into())
    }
}

/// Runs the command.
pub(crate) async fn run(
    options: Ledger,
    choice: &StackChoice,
    output: Output,
) -> Result<(), LedgerError> {
    let stack = Stack::open(choice).await?;
    let audit = Audit {
        checks: Checks {
            tables: stack.tables()?,
        },
        remedies: Remedies::for_stack(choice),
        work: format!("ledger{}", options.filters().words()),
        stack: stack.name().to_owned(),
        options,
        output,
        tally: RefCell::default(),
        checked: RefCell::default(),
    };
    audit.read().await?;
    let extent = Extent::new(&audit.stack, &audit.options);
    let tally = audit.tally.into_inner();
    output.result(&Told::new(&extent, &tally, SystemClock.now_ms()))?;
    match tally.differences() {
        0 => Ok(()),
        differences => Err(LedgerError::Differences(differences)),
    }
}

struct Audit {
    checks: Checks,
    remedies: Remedies,
    /// The command, in words.
    work: String,
    stack: String,
    options: Ledger,
    output: Output,
    tally: RefCell<Tally>,
    /// Orders that were checked, so that most are checked once.
    checked: RefCell<HashSet<OrderKey>>,
}

impl Audit {
    /// Reads the records, and then the orders unless only those of the records are asked for. A resume file says which
    /// of the two was broken off.
    async fn read(&self) -> Result<(), LedgerError> {
        let reading = Reading::from(&self.options.whole);
        let work = self.work_on(self.checks.tables.webhooks.name());
        let progress = self.progress(self.checks.tables.webhooks.approximate_count().await?);
        match Scan::open(&reading, &work, &progress) {
            Ok(scan) => self.read_records(&scan, &progress).await?,
            Err(ResumeError::OtherWork { theirs, .. }) if self.is_of_orders(&theirs) => {}
            Err(error) => return Err(error.into()),
        }
        if self.options.since.is_some() {
            return Ok(());
        }
        let orders = &self.checks.tables.orders;
        let progress = self.progress(orders.approximate_count().await?);
        let scan = Scan::open(&reading, &self.work_on(orders.name()), &progress)?;
        self.read_orders(&scan, &progress).await
    }

    fn work_on(&self, table: &str) -> String {
        format!("{} on {table} of {}", self.work, self.stack)
    }

    fn is_of_orders(&self, work: &str) -> bool {
        self.options.since.is_none() && work == self.work_on(self.checks.tables.orders.name())
    }

    fn progress(&self, about: u64) -> Progress {
        Progress::new(self.output, about)
    }

    async fn read_records(&self, scan: &Scan<'_>, progress: &Progress) -> Result<(), LedgerError> {
        self.go_on_with(scan)?;
        let filter = self.options.filters().of_the_table();
        let table = &self.checks.tables.webhooks;
        scan.run(
            async |part| table.scan(&filter, WebhookParts::Whole, part).await,
            async |stored| {
                self.record(&stored, progress).await?;
                Ok::<_, LedgerError>(scan.keep(&*self.tally.borrow())?)
            },
        )
        .await?;
        Ok(())
    }

    async fn read_orders(&self, scan: &Scan<'_>, progress: &Progress) -> Result<(), LedgerError> {
        self.go_on_with(scan)?;
        scan.keep(&*self.tally.borrow())?;
        let table = &self.checks.tables.orders;
        let merchant = self.options.merchant.as_ref();
        scan.run(
            async |part| table.scan(merchant, part).await,
            async |order| {
                self.order(&order, progress).await?;
                Ok::<_, LedgerError>(scan.keep(&*self.tally.borrow())?)
            },
        )
        .await?;
        Ok(())
    }

    /// Takes over the sums of the part that was read before.
    fn go_on_with(&self, scan: &Scan<'_>) -> Result<(), LedgerError> {
        if let Some(tally) = scan.tally()? {
            *self.tally.borrow_mut() = tally;
        }
        Ok(())
    }

    async fn record(&self, stored: &StoredWebhook, progress: &Progress) -> Result<(), LedgerError> {
        let finding = self.checks.record(stored).await?;
        if self.options.since.is_some()
            && let Some(order) = finding.order().or(stored.order.as_ref())
            && self.is_new(order)
        {
            self.order(order, progress).await?;
        }
        let difference = self.remedies.of_record(&stored.pk, &finding);
        self.tally
            .borrow_mut()
            .count_record(stored, &finding, difference.as_ref());
        if let Some(difference) = difference {
            self.say(&Line::Difference(difference), progress)?;
        }
        Ok(())
    }

    /// Whether an order was not checked yet. What is remembered is forgotten before it becomes too much; some orders
    /// are then checked, and counted, twice.
    fn is_new(&self, order: &OrderKey) -> bool {
        let mut checked = self.checked.borrow_mut();
        if checked.len() >= REMEMBERED_ORDERS {
            checked.clear();
        }
        checked.insert(order.clone())
    }

    async fn order(&self, order: &OrderKey, progress: &Progress) -> Result<(), LedgerError> {
        let finding = self.checks.order(order).await?;
        let difference = self.remedies.of_order(order, &finding);
        self.tally
            .borrow_mut()
            .count_order(order, &finding, difference.as_ref());
        if let Some(difference) = difference {
            self.say(&Line::Difference(difference), progress)?;
        } else if finding == OrderFinding::StandsStill {
            let order = order.to_string();
            self.say(&Line::StandsStill { order }, progress)?;
        }
        Ok(())
    }

    /// People get the differences at the end, below the sums.
    fn say(&self, line: &Line, progress: &Progress) -> Result<(), OutputError> {
        if self.output.is_for_people() {
            Ok(())
        } else {
            progress.result(line)
        }
    }
}
