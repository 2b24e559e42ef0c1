//! The options of the report.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::Args;
use domain::{EpochMillis, MerchantId};

use crate::moment;

pub(super) const REPORTS: &str = "\
An order belongs to the time of its first event, whatever came later. What each figure means is in docs/metrics.md; the
same figures in SQL, over an export of the table, are in docs/analytics.md.

It reads the table of orders whole, also for one merchant or one day: half a read unit for each 4 KB of it. What is held
in memory grows with the number of merchants, drivers and distinct durations, and not with the number of orders.

A driver is named by the provider's id. Where it gives none, ~ and 16 digits of a digest of the phone number stand for
him: the same driver has the same digits, and whoever knows a phone number can find them.

Examples:
  hookctl report
  hookctl report --since 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z --html january.html --csv january.csv
  hookctl --stack-name delivery-webhooks-prod report --merchant shop-1 --merchant shop-2 --json";

/// `hookctl report`.
#[derive(Args, Debug)]
#[command(after_long_help = REPORTS)]
pub(crate) struct Report {
    /// Only orders whose first event was at this time or later, like 2026-01-31T00:00:00Z
    #[arg(long, value_name = "RFC 3339", value_parser = moment::parse)]
    pub(crate) since: Option<EpochMillis>,
    /// Only orders whose first event was before this time
    #[arg(long, value_name = "RFC 3339", value_parser = moment::parse)]
    pub(crate) until: Option<EpochMillis>,
    /// Only orders of this merchant; may be given several times
    #[arg(long)]
    pub(crate) merchant: Vec<MerchantId>,
    /// Also write all figures to this file, one line for each provider, merchant and driver
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Also write a page with charts to this file; it needs no other file and no network
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Tell the names of drivers
    #[arg(long)]
    pub(crate) personal_data: bool,
    /// In how many parts the table is read side by side [default: 8]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) segments: Option<NonZeroU16>,
}
