//! The options of the provider simulator.

use std::num::{NonZeroU16, NonZeroU32};

use clap::{Args, value_parser};
use domain::{MerchantId, Millis, Provider};

use crate::demo;
use crate::simulate::{Disturbances, MAX_ORDERS};

pub(super) const SIMULATES: &str = "\
Orders live in January 2025 and the weeks after, and are sent at --rate in the order in which they lived. The same seed
and options are the same webhooks, byte for byte: sent again to the same stack, they are duplicates.

Orders are called sim-<seed>-<number> at Armada; at Shipday their number is the digit 9, ten digits of the seed and
seven of the order's number. A run can be found, and erased by hand, by these beginnings.

What each order must end in is known from the way it goes, and is not asked of the system. Armada stamps the sending and
not the event, so a late retry under a new id can change an order's end: such retries are made only where they cannot.
Neither provider has a word for goods that are returned; such an order ends as failed.

In the end orders are read by key until all are right, or none came right for --timeout seconds. A webhook that is
answered 429 or 5xx, or not at all, is sent up to three times. How long an event takes until it is applied is not told:
the tables do not say when a state was saved. The exit code is 1 if an order or an answer is wrong; a rate that was not
held is only said. What is cut off stays in the table of webhooks as quarantined, see `webhook close`.";

/// `hookctl simulate`.
#[derive(Args, Debug)]
pub(crate) struct Simulate {
    /// How many orders
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = value_parser!(u32).range(1..=i64::from(MAX_ORDERS)))]
    pub(crate) orders: u32,
    /// How many webhooks a second
    #[arg(long, value_name = "NUMBER", default_value_t = NonZeroU32::MIN.saturating_add(19))]
    pub(crate) rate: NonZeroU32,
    /// How many webhooks are under way at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = NonZeroU16::MIN.saturating_add(15))]
    pub(crate) connections: NonZeroU16,
    /// Which orders, instead of a number that is drawn and told
    #[arg(long)]
    pub(crate) seed: Option<u32>,
    /// Only armada or shipday, instead of both in turn
    #[arg(long)]
    pub(crate) provider: Option<Provider>,
    /// Whose orders they are
    #[arg(long, default_value = demo::MERCHANT)]
    pub(crate) merchant: MerchantId,
    /// For how many seconds the end is waited for while no order comes right
    #[arg(long, value_name = "SECONDS", default_value_t = NonZeroU32::MIN.saturating_add(59))]
    pub(crate) timeout: NonZeroU32,
    /// Armada's app id, instead of the demo installation's
    #[arg(long, requires = "installation_id")]
    pub(crate) app_id: Option<String>,
    /// Armada's installation id, instead of the demo installation's
    #[arg(long, requires = "app_id")]
    pub(crate) installation_id: Option<String>,
    /// The key in the URL registered with Armada
    #[arg(long)]
    pub(crate) url_key: Option<String>,
    /// Shipday's token, instead of the demo installation's
    #[arg(long)]
    pub(crate) token: Option<String>,
    #[command(flatten)]
    pub(crate) disturbances: DisturbanceOptions,
}

/// What goes wrong on the way.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "What goes wrong on the way")]
pub(crate) struct DisturbanceOptions {
    /// Of 100 webhooks, how many are sent twice, byte for byte
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = percent())]
    duplicates: u8,
    /// Of 100 of Armada's, how many are sent again under a new id and a new time
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = percent())]
    retries: u8,
    /// Of 100, how many are overtaken by others
    #[arg(long, value_name = "PERCENT", default_value_t = 20, value_parser = percent())]
    reordered: u8,
    /// Of 100, how many are sent only after the order's last step
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = percent())]
    late: u8,
    /// Of 100, how many are also sent cut off in the middle: 400 is expected
    #[arg(long, value_name = "PERCENT", default_value_t = 2, value_parser = percent())]
    corrupt: u8,
    /// Of 100, how many are also sent with another credential: 401 is expected
    #[arg(long, value_name = "PERCENT", default_value_t = 2, value_parser = percent())]
    forged: u8,
    /// How far a webhook is moved at most, in seconds of the orders' lives
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    window: u32,
}

impl From<DisturbanceOptions> for Disturbances {
    fn from(options: DisturbanceOptions) -> Self {
        let DisturbanceOptions {
            duplicates,
            retries,
            reordered,
            late,
            corrupt,
            forged,
            window,
        } = options;
        Self {
            duplicates,
            retries,
            reordered,
            late,
            corrupt,
            forged,
            window: Millis::from_seconds(window.into()),
        }
    }
}

fn percent() -> clap::builder::RangedI64ValueParser<u8> {
    value_parser!(u8).range(0..=100)
}
