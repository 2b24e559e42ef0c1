//! The commands that look at what went wrong and put it right.

use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;

use aws::WebhookFilter;
use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args, Subcommand};
use domain::{DismissalReason, EpochMillis, MerchantId, OrderId, OrderKey, Provider, RecordState};

use super::examples;
use super::follow::{TAILS, Tail};
use crate::moment;

const SCANS: &str = "\
Reading the table:
  Keys and --order read single records. Everything else reads the whole table, in segments side by side, because
  an index for it would cost more than it saves: DynamoDB charges for every byte of the table, whatever the filter
  leaves out and whatever is shown.
  With --resume FILE the position is kept in FILE after every page; if the run ends early (Ctrl-C, --limit, a lost
  connection), the same command goes on from there. FILE is deleted when everything has been read. A record can then
  be met twice, which is harmless.

With --json every record is one line {\"webhook\": ...}, and the last line is {\"summary\": ...}.";

const REPLAYS: &str = "\
A replay sets a record to pending and due now; the relay reads it with the deployed mapping and sends it within a
minute or two. What the order's timeline has already is not added again, so a replay cannot change an order that is
right. A record is changed only while it is in the state that was seen.

Keys are replayed at once, or with --dry-run only looked at. Any other selection only says what would change, until
--yes is given. What a replay would do is said by the mapping in this hookctl: build it from the deployed version.
For each record it is said as if it were replayed alone. Without --force a record that would become no event is left
alone, because the relay would only set it aside again, with an alarm. A damaged record is never replayed.";

const CLOSES: &str = "\
A closed record is dismissed: the relay leaves it alone, and it is deleted when its time is over. Until then it can
still be replayed. Applied records need no closing and are left alone. A record is changed only while it is in the
state that was seen.

Keys are closed at once, or with --dry-run only looked at. Any other selection only says what would change, until
--yes is given.";

const REPUBLISHES: &str = "\
What subscribers missed (see R13 in docs/operations.md) they are told as it is now: an event `OrderStatusChanged` with
`republished: true`, without `from`, and with the id of the state's present revision. Who knew the status already hears nothing
new. The publisher sends it, a moment later, from its hold queue.

What it reads:
  One order: one read. --since: every key of `orders` and one read for each order, whatever the time, and it tells of orders
  whose status was received since then.

Examples:
  hookctl order republish shop-1 shipday 48210377
  hookctl order republish --since 2026-01-07T20:00:00Z
  hookctl order republish --since 2026-01-07T20:00:00Z --yes";

const REFOLDS: &str = "\
An order's state is folded from its timeline whenever an event comes. After a change of mapping or policy this does
the same for orders whose events have all come. A state that is right is not written. An order with more events than
are folded is left alone. Subscribers are told of a status that becomes another one.

One order is refolded at once, or with --dry-run only looked at; --all only says what would change, until --yes is
given. The mapping and policy are those in this hookctl: build it from the deployed version.

--all reads the whole table, in segments side by side, also with --merchant: DynamoDB charges for every byte of it.
With --resume FILE the position is kept in FILE after every page, and the same command goes on from there; FILE is
deleted when everything has been read.

With --json every order that is not right is one line {\"order\": ...}, and the last line is {\"summary\": ...}.";

const DEAD_LETTERS: &str = "\
Looking hides the messages for up to half a minute and then gives them back; their receive counts rise. No text of a
message is shown: it may hold personal data.";

const REDRIVES: &str = "\
Each message is received, sent to the events queue as it is and in its merchant's group, and only then deleted here: if
that breaks off in between, the message is in both queues, which is harmless.

Left where they are: messages that no version of the consumer this hookctl knows can read, which would only come back,
and messages that arrived after the start, so that one that comes back at once is not sent in circles.

Without --yes it only says what would be sent.";

const DISCARDS: &str = "\
A message that stays in the dead-letter queue keeps the alarm DeadLetters ringing. This deletes it, when its webhook is not
lost with it: nobody can read it, or the record of its webhook is there and closed.

Left where they are, unless --force is given: the only copy of a webhook (a fallback message whose record is not in the
table), a message whose record is still pending, and a message that another version wrote. `dlq redrive` is for them.

Without --yes it only says what would be discarded. The exit code is 1 when a message is left, 3 when one is not there.

Examples:
  hookctl dlq discard 5fea7756-0ea4-451a-a703-a558b933e274 --reason poison
  hookctl dlq discard 5fea7756-0ea4-451a-a703-a558b933e274 --reason 'a test of the provider' --yes --json";

const LEDGER: &str = "\
What it checks:
  - Every record of `webhooks` is in a known state.
  - The event of every applied record, as the mapping in this hookctl reads it, is in its order's timeline.
  - The state of every order is what its timeline folds to; with --since, of every order that a record of that time
    names. An order with more events than are folded stands still and is listed, and so is counted an order whose
    event is on its way while it is read: neither is a difference.
Whatever looks wrong is read a second time, consistently, before it is called a difference. Each difference is told
with the command that mends it, and the exit code is then 1. Build hookctl from the deployed version: another mapping
reads other events. A record that expired, or was erased, is not there to be checked.

What it reads, and what that costs:
  The whole of `webhooks` once, also with --since and --merchant, because DynamoDB charges for every byte of it; half
  a read unit for each applied record; a read unit for each 4 KB of each order that is checked; and without --since
  the whole of `orders` once. That is about one read unit for each webhook kept, and a few for each order. Nothing is
  written. Tables are read in segments side by side, page by page, in a memory that does not grow with them.
  With --resume FILE the position and the sums are kept in FILE after every page; if the run ends early (Ctrl-C, a
  lost connection), the same command goes on from there. FILE is deleted when everything has been read.

With --json every difference is one line {\"difference\": ...}, every order that stands still one line
{\"stands_still\": ...}, and the last line is {\"summary\": ...}.

Requests against answers is the other half of the proof, and CloudWatch's own: the last row of the stack's dashboard sets
the requests of its time range against what was accepted, duplicate, ignored, refused and unavailable. The remainder is
what no function answered: the gateway's own 404 and 429, and the 5xx of a function that crashed or ran out of time. None
of them was answered 200, unless a log line was lost.";

const ERASES: &str = "\
What it deletes: the records of `webhooks` that belong to the order, in any state. They are found through the order's
timeline, and by reading the whole table: a record that is pending, unmapped or quarantined is in no timeline. A record
that names no order is read again with the mapping in this hookctl. One whose order cannot be read at all is not found:
`webhook list --state unmapped,quarantined --merchant MERCHANT` shows them.

What it leaves, unless it is told otherwise:
  - Pending records: their event may not be in the timeline yet, and would be lost. They are named. Wait until they are
    applied and run the command again, or give --pending.
  - The order's state and timeline in `orders`. They have nothing of the customer; they do have the driver's name and
    phone and the tracking link. --timeline deletes them too, once no record of the order is left.
  - A record that changed after it was read. It is named. Run the command again.
While anything is left of what was to be deleted, the exit code is 1.

What it cannot reach:
  - Messages. A late message of an erased record does not bring it back, but a message with an event adds the event to
    the order's timeline again. A fallback message (a webhook that came while the table did not answer) is a copy of
    the record and writes it again. Messages wait in the queue for up to 4 days and with the dead letters for 14. The
    command can be run again at any time: what is gone stays gone, and a second run deletes nothing and ends with 0.
  - Backups. Point-in-time recovery can bring back `webhooks` of the last 7 days and `orders` of the last 35. Erase
    again after a restore.

Without --yes it only says what would be deleted. Deleted records are told by the digest that log lines have too.
Reading the whole table costs half a read unit for each 4 KB of it, whatever is found. With --resume FILE the position
is kept in FILE after every page, and the same command goes on from there.

With --json every record is one line {\"webhook\": ...}, and the last line is {\"summary\": ...}.";

/// `hookctl webhook`.
#[derive(Debug, Subcommand)]
pub(crate) enum Webhook {
    /// List records, without their bodies
    #[command(after_long_help = format!("{SCANS}\n\n{}", examples::LISTED))]
    List(List),
    /// Show a record, how today's mapping reads it, and what a replay would do
    #[command(after_long_help = examples::SHOWN)]
    Show(ShowWebhook),
    /// Show records as they arrive and as their states change, until Ctrl-C
    #[command(after_long_help = TAILS)]
    Tail(Tail),
    /// Send records through the pipeline once more
    #[command(after_long_help = format!("{REPLAYS}\n\n{SCANS}\n\n{}", examples::REPLAYED))]
    Replay(Replay),
    /// Dismiss records that are not needed
    #[command(after_long_help = format!("{CLOSES}\n\n{SCANS}\n\n{}", examples::CLOSED))]
    Close(Close),
}

/// Which records, other than by their keys.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Filters {
    /// Only those in this state: pending, applied, unmapped, quarantined, parked or dismissed; several with commas
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    pub(crate) state: Vec<RecordState>,
    /// Only those of this merchant
    #[arg(long)]
    pub(crate) merchant: Option<MerchantId>,
    /// Only those of armada or shipday
    #[arg(long)]
    pub(crate) provider: Option<Provider>,
    /// Only those received at this time or later, like 2026-01-31T00:00:00Z
    #[arg(long, value_name = "RFC 3339", value_parser = moment::parse)]
    pub(crate) since: Option<EpochMillis>,
    /// Only those received before this time
    #[arg(long, value_name = "RFC 3339", value_parser = moment::parse)]
    pub(crate) until: Option<EpochMillis>,
    /// Only the one with this digest: the 16 digits that a log line has in `webhook`
    #[arg(long, value_name = "DIGITS", value_parser = short_digest)]
    pub(crate) digest: Option<String>,
    /// The records in the timeline of this order, as lists show it; quote it because of the #. A record that has
    /// not become an event is in no timeline
    #[arg(long, value_name = "MERCHANT#PROVIDER#ORDER", conflicts_with_all = ["merchant", "provider", "since", "until", "digest", "resume", "segments"])]
    pub(crate) order: Option<OrderKey>,
}

/// How a whole table is read, perhaps only a part of it.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Reading {
    #[command(flatten)]
    pub(crate) whole: WholeReading,
    /// Stop after so many
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<NonZeroU64>,
}

/// How a whole table is read.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct WholeReading {
    /// In how many parts the table is read side by side [default: 8]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) segments: Option<NonZeroU16>,
    /// Keep the position in this file, and go on from it if it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,
}

impl From<&WholeReading> for Reading {
    fn from(whole: &WholeReading) -> Self {
        Self {
            whole: whole.clone(),
            limit: None,
        }
    }
}

/// `hookctl webhook list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filters: Filters,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// `hookctl webhook show`.
#[derive(Args, Debug)]
pub(crate) struct ShowWebhook {
    /// Its key, as `webhook list` shows it; quote it because of the #
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) key: String,
    /// Show the body, which names the customer
    #[arg(long)]
    pub(crate) personal_data: bool,
}

/// Which records are changed, and whether they really are.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("selection").required(true).multiple(true).args(["keys", "state", "digest", "order"]))]
pub(crate) struct Chosen {
    /// Their keys, as `webhook list` shows them; quote them because of the #
    #[arg(value_name = "KEY", value_parser = NonEmptyStringValueParser::new(), conflicts_with_all = ["state", "merchant", "provider", "since", "until", "digest", "order", "resume", "segments", "limit", "yes"])]
    pub(crate) keys: Vec<String>,
    #[command(flatten)]
    pub(crate) filters: Filters,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Only say what would change
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Really do it, for what was not chosen by key
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `hookctl webhook replay`.
#[derive(Args, Debug)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Also what this hookctl's mapping makes no event of
    #[arg(long)]
    pub(crate) force: bool,
}

/// `hookctl webhook close`.
#[derive(Args, Debug)]
pub(crate) struct Close {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Why they are not needed, for whoever finds them: one line, nothing personal
    #[arg(long)]
    pub(crate) reason: DismissalReason,
    /// For how many days they are still kept
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(15..=400))]
    pub(crate) keep_days: u16,
}

/// `hookctl order refold`.
#[derive(Args, Debug)]
#[command(after_long_help = format!("{REFOLDS}\n\n{}", examples::REFOLDED))]
pub(crate) struct Refold {
    /// Whose order it is
    #[arg(required_unless_present = "all", requires_all = ["provider", "order"], conflicts_with_all = ["all", "of_merchant", "segments", "resume", "limit", "yes"])]
    pub(crate) merchant: Option<MerchantId>,
    /// armada or shipday
    pub(crate) provider: Option<Provider>,
    /// The provider's id of it
    pub(crate) order: Option<OrderId>,
    /// All orders
    #[arg(long)]
    pub(crate) all: bool,
    /// Of all orders only those of this merchant
    #[arg(
        id = "of_merchant",
        long = "merchant",
        value_name = "MERCHANT",
        requires = "all"
    )]
    pub(crate) of_merchant: Option<MerchantId>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Only say what would change
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Really do it, for --all
    #[arg(long, requires = "all")]
    pub(crate) yes: bool,
}

/// `hookctl order republish`.
#[derive(Args, Debug)]
#[command(after_long_help = REPUBLISHES)]
pub(crate) struct Republish {
    /// Whose order it is
    #[arg(required_unless_present = "since", requires_all = ["provider", "order"], conflicts_with_all = ["since", "of_merchant", "segments", "resume", "limit", "yes"])]
    pub(crate) merchant: Option<MerchantId>,
    /// armada or shipday
    pub(crate) provider: Option<Provider>,
    /// The provider's id of it
    pub(crate) order: Option<OrderId>,
    /// All orders whose status was received since then, like 2026-01-07T20:00:00Z
    #[arg(long, value_name = "RFC 3339", value_parser = moment::parse)]
    pub(crate) since: Option<EpochMillis>,
    /// Of those orders only the ones of this merchant
    #[arg(
        id = "of_merchant",
        long = "merchant",
        value_name = "MERCHANT",
        requires = "since"
    )]
    pub(crate) of_merchant: Option<MerchantId>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Really do it, for --since
    #[arg(long, requires = "since")]
    pub(crate) yes: bool,
}

/// `hookctl dlq`.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// Show what is in the dead-letter queue
    #[command(after_long_help = format!("{DEAD_LETTERS}\n\n{}", examples::DEAD_SHOWN))]
    Show(ShowDeadLetters),
    /// Send what is in the dead-letter queue to the events queue again
    #[command(after_long_help = format!("{REDRIVES}\n\n{}", examples::REDRIVEN))]
    Redrive(Redrive),
    /// Delete messages that are not needed from the dead-letter queue
    #[command(after_long_help = DISCARDS)]
    Discard(Discard),
}

/// `hookctl dlq show`.
#[derive(Args, Debug)]
pub(crate) struct ShowDeadLetters {
    /// Stop after so many
    #[arg(long, value_name = "NUMBER", default_value = "100")]
    pub(crate) limit: NonZeroU64,
}

/// `hookctl dlq redrive`.
#[derive(Args, Debug)]
pub(crate) struct Redrive {
    /// Really do it
    #[arg(long)]
    pub(crate) yes: bool,
    /// Stop after so many
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<NonZeroU64>,
}

/// `hookctl dlq discard`.
#[derive(Args, Debug)]
pub(crate) struct Discard {
    /// The messages, by the ids that `dlq show` tells
    #[arg(value_name = "MESSAGE_ID", required = true)]
    pub(crate) message_ids: Vec<String>,
    /// Why they are not needed, for whoever reads what this says: one line, nothing personal
    #[arg(long)]
    pub(crate) reason: DismissalReason,
    /// Also what may be the only copy of a webhook, which is then lost
    #[arg(long)]
    pub(crate) force: bool,
    /// Really do it
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `hookctl ledger`.
#[derive(Args, Debug)]
#[command(after_long_help = format!("{LEDGER}\n\n{}", examples::LEDGERS))]
pub(crate) struct Ledger {
    /// Only records received at this time or later, and the orders that they name, like 2026-01-31T00:00:00Z
    #[arg(long, value_name = "RFC 3339", value_parser = moment::parse)]
    pub(crate) since: Option<EpochMillis>,
    /// Only records received before this time
    #[arg(long, value_name = "RFC 3339", value_parser = moment::parse)]
    pub(crate) until: Option<EpochMillis>,
    /// Only those of this merchant
    #[arg(long)]
    pub(crate) merchant: Option<MerchantId>,
    #[command(flatten)]
    pub(crate) whole: WholeReading,
}

impl Ledger {
    /// As filters of records.
    pub(crate) fn filters(&self) -> Filters {
        Filters {
            merchant: self.merchant.clone(),
            since: self.since,
            until: self.until,
            ..Filters::default()
        }
    }
}

/// `hookctl erase`.
#[derive(Args, Debug)]
#[command(after_long_help = format!("{ERASES}\n\n{}", examples::ERASED))]
pub(crate) struct Erase {
    /// Whose order it is
    pub(crate) merchant: MerchantId,
    /// armada or shipday
    pub(crate) provider: Provider,
    /// The provider's id of it: Armada's `code`, Shipday's `order.id`
    pub(crate) order: OrderId,
    /// Also delete its state and its timeline in `orders`, with the driver's name and phone
    #[arg(long)]
    pub(crate) timeline: bool,
    /// Also delete its pending records, whose events may then be lost
    #[arg(long)]
    pub(crate) pending: bool,
    /// Really do it
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) whole: WholeReading,
}

impl Filters {
    /// What the table can be asked for.
    pub(crate) fn of_the_table(&self) -> WebhookFilter {
        WebhookFilter {
            states: self.state.clone(),
            merchant_id: self.merchant.clone(),
            provider: self.provider,
            since: self.since,
            until: self.until,
            ..WebhookFilter::default()
        }
    }

    /// As they would be typed, always in the same way.
    pub(crate) fn words(&self) -> String {
        let mut states: Vec<_> = self.state.iter().map(|state| state.as_str()).collect();
        states.sort_unstable();
        states.dedup();
        let states = (!states.is_empty()).then(|| states.join(","));
        let words = [
            ("state", states),
            ("merchant", self.merchant.as_ref().map(ToString::to_string)),
            ("provider", self.provider.map(|it| it.to_string())),
            ("since", self.since.map(moment::show)),
            ("until", self.until.map(moment::show)),
            ("digest", self.digest.clone()),
        ];
        let words = words
            .into_iter()
            .filter_map(|(name, value)| Some(format!(" --{name} {}", value?)));
        words.collect()
    }
}

pub(super) fn state(text: &str) -> Result<RecordState, String> {
    RecordState::parse(text).ok_or_else(|| {
        let known = RecordState::ALL.map(RecordState::as_str);
        format!("use one of {}", known.join(", "))
    })
}

fn short_digest(text: &str) -> Result<String, String> {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() == 16 && text.bytes().all(is_hex) {
        Ok(text.to_owned())
    } else {
        Err("give the 16 hexadecimal digits of a log line".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_have_the_same_words_however_they_were_typed() {
        let filters = Filters {
            state: vec![RecordState::Unmapped, RecordState::Parked],
            merchant: MerchantId::parse("shop-1").ok(),
            provider: Some(Provider::Armada),
            since: Some(EpochMillis::new(0)),
            until: Some(EpochMillis::new(1)),
            digest: Some("0123456789abcdef".to_owned()),
            order: None,
        };
        let other_order = Filters {
            state: vec![
                RecordState::Parked,
                RecordState::Unmapped,
                RecordState::Parked,
            ],
            ..filters.clone()
        };

        assert_eq!(
            filters.words(),
            " --state parked,unmapped --merchant shop-1 --provider armada --since 1970-01-01T00:00:00.000Z \
             --until 1970-01-01T00:00:00.001Z --digest 0123456789abcdef"
        );
        assert_eq!(other_order.words(), filters.words());
        assert_eq!(Filters::default().words(), "");
    }
}
