//! The options of the check after a deployment.

use clap::{Args, value_parser};

const SMOKES: &str = "\
What it does:
  Each route must answer 401 without a credential, another path 404. Then a merchant smoke-test-<random> gets an
  installation of each provider, Armada's with a key in its URL. Over each goes an order of a few webhooks, the last
  first, and one of them twice. Both orders must stand where they must, with each event once in the timeline and every
  record applied. In the end the installations, the records and the orders are deleted, also when a check failed or
  after Ctrl-C. What could not be deleted is told with the command that does it.

  If it is killed, the installations end by themselves within the hour. Functions remember an installation for 60
  seconds after it is deleted; its credentials are random, known to this process alone, and never shown.

Webhooks are sent once: an answer that would be right on a second try is a failed check. Every check is a line, with its
time. With --json it is a line {\"check\": ...}, and the last line is {\"summary\": ...}. The exit code is 1 when a check
failed, each of which is told with its likely cause and its entry in docs/operations.md. Build hookctl from the deployed
commit.

An operator needs PutItem and DeleteItem on `installations`, and what `erase` needs.

Examples:
  hookctl smoke
  hookctl --stack-name delivery-webhooks-prod smoke --timeout 120";

/// `hookctl smoke`.
#[derive(Args, Debug)]
#[command(after_long_help = SMOKES)]
pub(crate) struct Smoke {
    /// For how many seconds the orders are waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u16).range(1..=1800))]
    pub(crate) timeout: u16,
}
