//! The command that shows what comes in.

use std::num::{NonZeroU32, NonZeroU64};

use clap::Args;
use domain::MerchantId;

/// Not the local stack's 4566, and not the 9000 of its functions.
pub(crate) const DEFAULT_PORT: u16 = 4580;
const DEFAULT_HOURS: NonZeroU32 = NonZeroU32::new(24).unwrap();

const BOARD: &str = "\
What it shows:
  Orders by status, the webhooks that came last with their outcome, and what waits for a person, each with the command
  that deals with it. An order opens into its timeline with the reason of every decision. The page follows by itself.
  It changes nothing: whatever there is to do is a command to copy.

What it reads, and what that costs:
  Changes are seen by reading `webhooks` again and again, because there is no index by time and a stream would cost
  more than it saves: half a read unit for each 4 KB of the table, whatever --hours and --merchant leave out, and half
  a unit for the state of each order that a new webhook is about. The page says what a reading has cost. However short
  --interval is, the next reading waits until the last one is paid for at --read-units a second; at the default that is
  65 million units a month at the very most, and a table of a gigabyte is read every hour and a half. Nothing is read
  while no page is open. A state that an operator refolds or erases shows when its order is opened.
  An order that is opened reads its timeline. Of dead letters only the number is read: looking at one takes it out of
  the queue for a moment and counts as a receive, so that is left to `hookctl dlq show`.

Who can see it:
  Only this machine, at 127.0.0.1, and everybody who works on it: there is no password. Do not run it on a machine that
  you share. Names and phone numbers of drivers are masked, and bodies are not shown, without --personal-data.

Ctrl-C ends it. If the stack or its credentials are gone, the page says so and goes on by itself when they are back.

Examples:
  hookctl board
  hookctl board --merchant shop-1 --hours 2
  hookctl --stack-name delivery-webhooks-prod board --interval 300 --read-units 100";

impl Board {
    /// As it is without any option, on this port.
    pub(crate) fn on_port(port: u16) -> Self {
        Self {
            port,
            merchant: None,
            hours: DEFAULT_HOURS,
            interval: None,
            read_units: None,
            personal_data: false,
        }
    }
}

/// `hookctl board`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = BOARD)]
pub(crate) struct Board {
    /// The port of the page on 127.0.0.1; 0 takes any that is free
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub(crate) port: u16,
    /// Only orders and webhooks of this merchant
    #[arg(long)]
    pub(crate) merchant: Option<MerchantId>,
    /// Show what came in the last so many hours; what waits for a person is shown however old it is
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_HOURS)]
    pub(crate) hours: NonZeroU32,
    /// Read again after so many seconds [default: 1 on the local stack, 60 on a deployed one]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) interval: Option<NonZeroU64>,
    /// Spend at most so many read units a second, taken over the time between two readings [default: 25 on a deployed
    /// stack]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) read_units: Option<NonZeroU32>,
    /// Show the driver's name and phone number in full, and the bodies of webhooks, which name the customer
    #[arg(long)]
    pub(crate) personal_data: bool,
}
