//! The options of the commands that go on until Ctrl-C.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use clap::Args;
use domain::{EpochMillis, MerchantId, OrderKey, Provider, RecordState, Status};

use super::repair::state;
use crate::moment;

pub(super) const TAILS: &str = "\
A line is a record: when it was received (UTC), its state, within how many seconds it was applied, what it says in this
system's word (and the provider's), its key for `webhook show`, and its order. `!` marks a state that needs a person.
A record has a further line whenever it is met in another state. What it says is read with the mapping in this hookctl:
build it from the deployed version. Nothing is written to the tables.

How it looks, and what it cannot see:
  DynamoDB has no list of what is new, and records are pending for less than a second or not at all. So the whole table
  is read again and again. A record that arrives is met by the next reading, whatever has become of it until then; a
  state between two readings is not seen. A record that is erased between two readings is not seen either, and
  that one was erased or expired is not told.
  Records are followed that were received since --since, in time of the functions' clocks: by default since a minute
  before the start. Give --since if this machine's clock may be ahead by more, or to see older records change. A
  webhook that the queue carried, because the table did not answer, gets its record later, with the time of its
  receipt: after an outage give a --since before it.
  That a record was applied is timed by its expiry, to the second, and only while it is less than a day old.

What it costs:
  Half a read unit for each 4 KB of the table each time, whatever the filters leave out, and one for each further state:
  for a million records of 800 bytes about 100,000 read units, or 1.3 cents at $0.125 a million. Never more than
  --read-units a second: with the default 500 that is at most 23 cents an hour, and a million records take 200 s, which
  is then how late a line can be. With 5000 it is 20 s, and at most $2.25 an hour. How many units are used is said after
  the first reading and at the end; an emulator may not tell, and then it is 0.
  For a large table CloudWatch is faster and shows the functions' own lines within seconds, for 1 cent a minute:
  `aws logs start-live-tail --log-group-identifiers ARN`, with the ARNs of the log groups.

It ends with Ctrl-C, or after --limit lines, and the exit code is 0. If the table does not answer it ends with 1: run it
again with a --since before that; what was shown is shown again.
With --stack-name it needs cloudformation:DescribeStacks, and dynamodb:Scan and GetItem on the webhooks table.

With --json every line is one object {\"webhook\": ..., \"reading\": ...}, with `was` if it had another state before, and
the last line is {\"summary\": ...}.

Examples:
  hookctl webhook tail
  hookctl webhook tail --state unmapped,quarantined,parked --json
  hookctl webhook tail --merchant shop-1 --provider shipday --since 2026-01-31T00:00:00Z
  hookctl webhook tail --order 'shop-1#armada#7F3A09C2D1' --limit 5
  hookctl --stack-name delivery-webhooks-prod webhook tail --interval 10 --read-units 5000";

pub(super) const SHOWS_ORDER: &str = "\
It shows the state as it is stored, and beside each event of the timeline why it changed the status or did not, by the
mapping and policy in this hookctl: build it from the deployed version. `!` marks a status that needs a person. Times are
UTC. The driver's name and phone are masked. Nothing is written.

With --watch it goes on: an order that does not exist yet is waited for, and then every change is shown as it is met, new
events with `+`, events that now count otherwise with `~`, and what differs in the state. It ends with Ctrl-C, or with
--until once the order is, or has been in this attempt, where it should get to; Ctrl-C before that is exit code 1.
Changes between two looks are shown as one.

One look costs a read unit for each 4 KB of the order: with --watch every 2 s about 1,800 read units an hour, or
two hundredths of a cent. With --stack-name it needs cloudformation:DescribeStacks, and dynamodb:Query on the orders table.

With --json the order is one object on one line, with --watch one for each change.

Examples:
  hookctl order show demo-merchant shipday 48210377
  hookctl order show shop-1 armada 7F3A09C2D1 --personal-data
  hookctl order show shop-1 armada 7F3A09C2D1 --watch
  hookctl order show shop-1 armada 7F3A09C2D1 --watch --until delivered --interval 10 --json";

/// `hookctl webhook tail`.
#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// Only lines of this state: pending, applied, unmapped, quarantined, parked or dismissed; several with commas
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    pub(crate) state: Vec<RecordState>,
    /// Only those of this merchant
    #[arg(long)]
    pub(crate) merchant: Option<MerchantId>,
    /// Only those of armada or shipday
    #[arg(long)]
    pub(crate) provider: Option<Provider>,
    /// Only those of this order, as lists show it; quote it because of the #
    #[arg(long, value_name = "MERCHANT#PROVIDER#ORDER", conflicts_with_all = ["merchant", "provider"])]
    pub(crate) order: Option<OrderKey>,
    /// Those received at this time or later, like 2026-01-31T00:00:00Z [default: a minute before the start]
    #[arg(long, value_name = "RFC 3339", value_parser = moment::parse)]
    pub(crate) since: Option<EpochMillis>,
    /// How many seconds after one reading of the table the next begins, from 0.1 on
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = interval)]
    pub(crate) interval: Duration,
    /// How many read units a second are used at most
    #[arg(long, value_name = "NUMBER", default_value = "500")]
    pub(crate) read_units: NonZeroU32,
    /// Stop after so many lines
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<NonZeroU64>,
}

/// How an order is watched.
#[derive(Args, Debug)]
pub(crate) struct Watching {
    /// Go on, and show every change until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
    /// Go on only until it has this status: pending, assigned, en_route_to_pickup, at_pickup, picked_up, in_transit,
    /// at_dropoff, delivered, failed, canceled or returned
    #[arg(long, value_name = "STATUS", requires = "watch", value_parser = status)]
    pub(crate) until: Option<Status>,
    /// How many seconds after one look the next is taken, from 0.1 on
    #[arg(long, value_name = "SECONDS", requires = "watch", default_value = "2", value_parser = interval)]
    pub(crate) interval: Duration,
}

fn status(text: &str) -> Result<Status, String> {
    let found = Status::ALL
        .into_iter()
        .find(|status| status.as_str() == text);
    found.ok_or_else(|| format!("use one of {}", Status::ALL.map(Status::as_str).join(", ")))
}

/// At least so long a pause, so that nothing is asked without end.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::try_from_secs_f64);
    match seconds {
        Ok(Ok(interval)) if interval >= SHORTEST_INTERVAL => Ok(interval),
        Ok(_) | Err(_) => Err("give a number of seconds, from 0.1 on".to_owned()),
    }
}
