//! `hookctl report`: what became of the orders of a time, in figures.

mod csv;
mod figures;
mod gathering;
mod page;
mod text;
mod told;

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use aws::{OrdersTable, Page, Reported};
use domain::PortError;

use crate::arguments::{Reading, Report, StackChoice, WholeReading};
use crate::output::{Output, OutputError};
use crate::progress::Progress;
use crate::resume::ResumeError;
use crate::scan::{Scan, ScanError};
use crate::stack::{Stack, StackError};
use figures::TooMany;
use gathering::Gathering;
use told::{Extent, Told};

/// There is no report, or not of everything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    /// Some orders are not in the report.
    #[error(
        "{0} order(s) are not in the report, because an item of theirs cannot be read: `hookctl ledger` names them"
    )]
    Damaged(u64),
    /// There are too many distinct durations.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// A file cannot be written.
    #[error("`{path}` cannot be written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
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

impl From<ResumeError> for ReportError {
    fn from(error: ResumeError) -> Self {
        Self::Scan(error.into())
    }
}

/// Runs the command.
pub(crate) async fn run(
    options: Report,
    choice: &StackChoice,
    output: Output,
) -> Result<(), ReportError> {
    let stack = Stack::open(choice).await?;
    let orders = stack.tables()?.orders;
    for path in [&options.csv, &options.html].into_iter().flatten() {
        check_writable(path)?;
    }
    let gathered = gathered(&orders, &options, output).await?;
    let extent = Extent::new(stack.name(), &options);
    let told = Told::new(extent, &gathered.figures, options.personal_data);
    if let Some(path) = &options.csv {
        write(path, &csv::file(&told))?;
    }
    if let Some(path) = &options.html {
        write(path, &page::page(&told))?;
    }
    output.result(&told)?;
    if gathered.without_events > 0 {
        output.message(format_args!(
            "{} order(s) have no event, belong to no time and are not in the report",
            gathered.without_events
        ));
    }
    match gathered.damaged {
        0 => Ok(()),
        damaged => Err(ReportError::Damaged(damaged)),
    }
}

/// Reads the table.
async fn gathered(
    orders: &OrdersTable,
    options: &Report,
    output: Output,
) -> Result<Gathering, ReportError> {
    let reading = Reading::from(&WholeReading {
        segments: options.segments,
        resume: None,
    });
    let progress = Progress::new(output, orders.approximate_count().await?);
    let scan = Scan::open(&reading, "report", &progress)?;
    let gathering = RefCell::new(Gathering::new(options.since, options.until));
    scan.run(
        async |part| {
            let page = orders.scan_reported(&options.merchant, part).await?;
            Ok(of_segment(part.segment.number, page))
        },
        async |(segment, item)| Ok::<_, ReportError>(gathering.borrow_mut().add(segment, item)?),
    )
    .await?;
    let mut gathering = gathering.into_inner();
    gathering.end()?;
    Ok(gathering)
}

/// The page with the number of its segment at every item.
fn of_segment(number: u16, page: Page<Reported>) -> Page<(u16, Reported)> {
    let items = page.items.into_iter();
    Page {
        items: items.map(|(at, item)| (at, (number, item))).collect(),
        looked_at: page.looked_at,
        read_units: page.read_units,
        next: page.next,
    }
}

/// Before the table is read: that may take long.
fn check_writable(path: &Path) -> Result<(), ReportError> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|source| not_written(path, source))
}

fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    fs::write(path, text).map_err(|source| not_written(path, source))
}

fn not_written(path: &Path, source: io::Error) -> ReportError {
    let path = path.to_owned();
    ReportError::File { path, source }
}
