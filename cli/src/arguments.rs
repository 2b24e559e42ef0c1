//! The command line.

mod board;
mod examples;
mod follow;
mod repair;
mod report;
mod simulate;
mod smoke;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use domain::{CompanyId, EpochMillis, MerchantId, OrderId, Provider, Topic, WebhookId};

use crate::moment;
use crate::stack::Place;

pub(crate) use board::Board;
pub(crate) use follow::{Tail, Watching};
pub(crate) use repair::Chosen as ChosenWebhooks;
pub(crate) use repair::{
    Close, DeadLetters, Discard, Erase, Filters, Ledger, List, Reading, Redrive, Refold, Replay,
    Republish, ShowDeadLetters, ShowWebhook, Webhook, WholeReading,
};
pub(crate) use report::Report;
pub(crate) use simulate::Simulate;
pub(crate) use smoke::Smoke;

/// Over the options that every command has.
const GLOBAL: &str = "Options of every command";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed, or found a difference, or left something undone
  2  the command line was wrong
  3  there is no such stack, installation, order, webhook, message or sample
  4  nothing is running, or it does not answer";

/// Runs the local stack, plays the providers, operates installations, and repairs webhooks and orders.
#[derive(Debug, Parser)]
#[command(name = "hookctl", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Write the result as one JSON object on stdout, a long list as one a line, and everything else to stderr
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) stack: StackChoice,
}

/// Which stack a command speaks to: a deployed one, or the local one when none is named.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StackChoice {
    /// The deployed CloudFormation stack to use, instead of the local one
    #[arg(long, global = true, value_name = "NAME", env = "HOOKCTL_STACK_NAME", help_heading = GLOBAL)]
    pub(crate) stack_name: Option<String>,
    /// Its region, instead of AWS_REGION or the profile's
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) region: Option<String>,
    /// The AWS profile to use, instead of AWS_PROFILE
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) profile: Option<String>,
    /// Instead of any of them; no option of the command line.
    #[arg(skip)]
    pub(crate) place: Option<Place>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The local stack: template.yaml on this machine, without an AWS account
    #[command(subcommand)]
    Dev(Dev),
    /// Show orders and webhooks as they come, and what waits for a person, on a page of this machine
    Board(Board),
    /// Who may send webhooks
    #[command(subcommand)]
    Installation(Installation),
    /// What became of an order
    #[command(subcommand)]
    Order(Order),
    /// What became of webhooks, and a second chance for them
    #[command(subcommand)]
    Webhook(Webhook),
    /// The dead-letter queue: messages that could not be applied
    #[command(subcommand)]
    Dlq(DeadLetters),
    /// Prove from the tables that no webhook was lost
    Ledger(Ledger),
    /// Tell what became of the orders of a time, in figures
    Report(Report),
    /// Remove the personal data of one order
    Erase(Erase),
    /// Send a sample, or a file, as a provider would
    #[command(subcommand)]
    Send(Send),
    /// Play both providers: whole orders, with what goes wrong on the way, and check what comes of them
    #[command(after_long_help = format!("{}\n\n{}", simulate::SIMULATES, examples::SIMULATED))]
    Simulate(Simulate),
    /// Check a stack after a deployment: a short order over each provider, and nothing left of it
    Smoke(Smoke),
    /// Write the script by which a shell completes this command line
    #[command(after_long_help = examples::COMPLETES)]
    Completions(Completions),
}

/// `hookctl completions`.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// For which shell
    pub(crate) shell: Shell,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dev {
    /// Install what is missing, start the stack, send two samples, reload the functions on every change
    #[command(after_long_help = examples::UP)]
    Up(Up),
    /// End what `dev up` started, wherever it runs
    #[command(after_long_help = examples::DOWN)]
    Down,
    /// Empty the running stack: no webhooks, no orders, only the demo installations
    #[command(after_long_help = examples::RESET)]
    Reset,
    /// Have every change of the running stack posted to an HTTP endpoint, as merchant-endpoint.yaml has it
    #[command(after_long_help = TELLS_ENDPOINT)]
    Endpoint(Endpoint),
    /// Let DynamoDB refuse the functions' calls about one table of the running stack, as if it had no capacity left
    #[command(after_long_help = THROTTLES)]
    Throttle(Throttle),
    /// Only install what the local stack and the tests need, into .dev
    #[command(after_long_help = examples::TOOLS)]
    Tools,
    /// Pack functions that were built into the zips that Lambda takes: the same zip for the same bootstrap
    #[command(after_long_help = examples::PACKS)]
    Pack(Pack),
}

#[derive(Args, Debug)]
pub(crate) struct Up {
    /// The port of the AWS services on 127.0.0.1
    #[arg(long, default_value_t = 4566)]
    pub(crate) port: u16,
    /// The port of `cargo lambda watch` on 127.0.0.1
    #[arg(long, default_value_t = 9000)]
    pub(crate) watch_port: u16,
    /// The port of `hookctl board` on 127.0.0.1
    #[arg(long, default_value_t = board::DEFAULT_PORT)]
    pub(crate) board_port: u16,
    /// Do not send the two sample webhooks
    #[arg(long)]
    pub(crate) no_samples: bool,
}

const TELLS_ENDPOINT: &str = "\
One endpoint at a time: another URL takes the place of the one before, and `dev reset` ends it. The local stack does not send
again what the endpoint did not take, and keeps to no rate.

Examples:
  hookctl dev endpoint http://127.0.0.1:8000/orders
  hookctl dev endpoint http://127.0.0.1:8000/orders --key a-key-to-try
  hookctl dev endpoint --off";

#[derive(Args, Debug)]
pub(crate) struct Endpoint {
    /// Where changes are posted to
    #[arg(required_unless_present = "off", conflicts_with = "off", value_parser = web_address)]
    pub(crate) url: Option<String>,
    /// What the header x-api-key says; no real key
    #[arg(long, default_value = "local-key", conflicts_with = "off")]
    pub(crate) key: String,
    /// Post nothing any more
    #[arg(long)]
    pub(crate) off: bool,
    /// Where the services are, for a stack that `dev up` did not start
    #[arg(long, value_name = "URL")]
    pub(crate) service_endpoint: Option<String>,
}

fn web_address(text: &str) -> Result<String, &'static str> {
    let host = ["http://", "https://"]
        .into_iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(text.to_owned()),
        Some(_) | None => Err("give a URL like http://127.0.0.1:8000/orders"),
    }
}

const THROTTLES: &str = "\
Only what the functions call is refused, as DynamoDB does it: 400 ProvisionedThroughputExceededException. What hookctl itself
asks is answered. `dev reset` ends it too.

Examples:
  hookctl dev throttle webhooks
  hookctl dev throttle orders --seconds 60
  hookctl dev throttle --off";

#[derive(Args, Debug)]
pub(crate) struct Throttle {
    /// Which table
    #[arg(required_unless_present = "off", conflicts_with = "off")]
    pub(crate) table: Option<ThrottledTable>,
    /// For how long at most
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 600,
        conflicts_with = "off"
    )]
    pub(crate) seconds: u32,
    /// Refuse nothing any more
    #[arg(long)]
    pub(crate) off: bool,
    /// Where the functions call the services, for a stack that `dev up` did not start
    #[arg(long, value_name = "URL", env = "HOOKCTL_FUNCTION_ENDPOINT")]
    pub(crate) function_endpoint: Option<String>,
}

/// A table that can be told to refuse.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ThrottledTable {
    Webhooks,
    Orders,
    Installations,
}

#[derive(Args, Debug)]
pub(crate) struct Pack {
    /// The folder with a `<function>/bootstrap` of each: what `cargo lambda build --release` makes
    #[arg(long, value_name = "FOLDER", default_value = "target/lambda")]
    pub(crate) bootstraps: PathBuf,
    /// The folder that gets a `<function>.zip` of each
    #[arg(long, value_name = "FOLDER", default_value = "target/packages")]
    pub(crate) into: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Installation {
    /// Register a merchant's connection to a provider
    #[command(subcommand)]
    Add(Add),
    /// List all installations
    #[command(after_long_help = examples::LISTS)]
    List,
    /// Refuse an installation's webhooks from now on
    #[command(after_long_help = examples::DISABLES)]
    Disable(Chosen),
    /// Take an installation's webhooks again
    #[command(after_long_help = examples::ENABLES)]
    Enable(Chosen),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Add {
    /// Armada knows a sender by app id and installation id (v1) or by key id (v2)
    #[command(after_long_help = examples::ADDS_ARMADA)]
    Armada(AddArmada),
    /// Shipday sends a token that is made up here and shown once
    #[command(after_long_help = examples::ADDS_SHIPDAY)]
    Shipday(AddShipday),
}

#[derive(Args, Debug)]
pub(crate) struct AddArmada {
    #[command(flatten)]
    pub(crate) shared: AddShared,
    /// Armada's id of the application
    #[arg(long, requires = "installation_id", required_unless_present = "key_id")]
    pub(crate) app_id: Option<String>,
    /// Armada's id of the merchant's installation
    #[arg(long, requires = "app_id")]
    pub(crate) installation_id: Option<String>,
    /// The id of the merchant's API key, for v2
    #[arg(long, conflicts_with_all = ["app_id", "installation_id"])]
    pub(crate) key_id: Option<String>,
    /// Make up a key that must be in the registered URL, because Armada's ids are no secrets
    #[arg(long)]
    pub(crate) url_key: bool,
    /// The key that the app's URL has already, for a further merchant of the same app
    #[arg(
        long,
        value_name = "KEY",
        env = "HOOKCTL_URL_KEY",
        hide_env_values = true,
        conflicts_with = "url_key"
    )]
    pub(crate) existing_url_key: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct AddShipday {
    #[command(flatten)]
    pub(crate) shared: AddShared,
    /// Shipday's id of the company that the webhooks must speak of; an Armada webhook names none
    #[arg(long)]
    pub(crate) company_id: Option<CompanyId>,
}

#[derive(Args, Debug)]
pub(crate) struct AddShared {
    /// Whose orders arrive over it; your own id of the merchant
    #[arg(long)]
    pub(crate) merchant: MerchantId,
    /// A name for people
    #[arg(long, default_value = "")]
    pub(crate) label: String,
    /// From when on its credential is no longer taken, like 2027-01-31T00:00:00Z
    #[arg(long, value_name = "RFC 3339", value_parser = moment::parse)]
    pub(crate) not_after: Option<EpochMillis>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Chosen {
    /// armada or shipday
    pub(crate) provider: Provider,
    /// Its digest as `installation list` shows it, or a beginning that fits no other
    pub(crate) digest: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    /// Show where an order stands, and why
    #[command(after_long_help = follow::SHOWS_ORDER)]
    Show(Show),
    /// Fold timelines anew and save the states that differ
    Refold(Refold),
    /// Have subscribers told again where orders stand
    Republish(Republish),
}

#[derive(Args, Debug)]
pub(crate) struct Show {
    /// Whose order it is
    pub(crate) merchant: MerchantId,
    /// armada or shipday
    pub(crate) provider: Provider,
    /// The provider's id of it: Armada's `code`, Shipday's `order.id`
    pub(crate) order: OrderId,
    /// Show the driver's name and phone number in full
    #[arg(long)]
    pub(crate) personal_data: bool,
    #[command(flatten)]
    pub(crate) watching: Watching,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Send {
    /// Send it as Armada would
    #[command(after_long_help = examples::SENDS_ARMADA)]
    Armada(SendArmada),
    /// Send it as Shipday would
    #[command(after_long_help = examples::SENDS_SHIPDAY)]
    Shipday(SendShipday),
}

#[derive(Args, Debug)]
pub(crate) struct SendArmada {
    #[command(flatten)]
    pub(crate) shared: SendShared,
    /// The topic, instead of the name of the sample's folder
    #[arg(long)]
    pub(crate) topic: Option<Topic>,
    /// The id of the webhook, instead of a new one: the same again is a retry
    #[arg(long, value_name = "WEBHOOK_ID")]
    pub(crate) id: Option<WebhookId>,
    /// When it was sent, instead of now, like 2026-01-07T20:15:02Z
    #[arg(long, value_name = "RFC 3339", value_parser = moment::parse)]
    pub(crate) timestamp: Option<EpochMillis>,
    /// The app id, instead of the demo installation's
    #[arg(long, requires = "installation_id")]
    pub(crate) app_id: Option<String>,
    /// The installation id, instead of the demo installation's
    #[arg(long, requires = "app_id")]
    pub(crate) installation_id: Option<String>,
    /// The key id of v2, instead of the two ids of v1
    #[arg(long, conflicts_with_all = ["app_id", "installation_id"])]
    pub(crate) key_id: Option<String>,
    /// The key in the registered URL
    #[arg(long)]
    pub(crate) url_key: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct SendShipday {
    #[command(flatten)]
    pub(crate) shared: SendShared,
    /// The token, instead of the demo installation's
    #[arg(long)]
    pub(crate) token: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct SendShared {
    /// A sample of events/ by its name, like `dispatched` or `ORDER_PIKEDUP`, or the path of a file
    pub(crate) sample: PathBuf,
    /// Where to, instead of the stack's own URL
    #[arg(long)]
    pub(crate) url: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// A command's path and itself, and those of all commands below it that have none themselves.
    fn leaves(path: &str, command: &clap::Command) -> Vec<(String, clap::Command)> {
        let path = format!("{path}{} ", command.get_name());
        let mut below = command.get_subcommands().peekable();
        if below.peek().is_none() {
            return vec![(path, command.clone())];
        }
        below.flat_map(|command| leaves(&path, command)).collect()
    }

    /// What a shell makes of a line: every second part stands in quotes.
    fn words(line: &str) -> Vec<&str> {
        let parts = line.split('\'').enumerate();
        let words = parts.flat_map(|(n, part)| match n % 2 {
            0 => part.split_whitespace().collect(),
            _ => vec![part],
        });
        words.collect()
    }

    #[test]
    fn every_command_has_examples_that_are_understood_and_are_its_own() {
        let leaves = leaves("", &Arguments::command());
        assert!(leaves.len() > 20, "{}", leaves.len());
        for (path, command) in leaves {
            let help = command.get_after_long_help();
            let help = help.map(ToString::to_string).unwrap_or_default();
            let (_, examples) = help
                .split_once("Examples:\n")
                .unwrap_or_else(|| panic!("`{path}--help` has no section `Examples:`"));
            let lines = examples
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty());
            let lines: Vec<_> = lines.collect();

            assert!(!lines.is_empty(), "{path}");
            for line in lines {
                let parsed = Arguments::try_parse_from(words(line));
                assert!(parsed.is_ok(), "{path}: {line}: {parsed:?}");
                let own = path.trim_start_matches("hookctl ").trim_end();
                assert!(line.contains(own), "{path}: {line}");
            }
        }
    }

    #[test]
    fn what_the_documentation_shows_is_understood() {
        for line in [
            "hookctl dev up --port 4567 --watch-port 9001 --board-port 0 --no-samples",
            "hookctl dev reset --json",
            "hookctl dev throttle orders --seconds 60",
            "hookctl dev throttle --off",
            "hookctl installation add armada --merchant m --app-id a --installation-id i --label l --url-key",
            "hookctl installation add armada --merchant m --key-id k",
            "hookctl installation add armada --merchant m --key-id k --existing-url-key e",
            "hookctl installation add shipday --merchant m --company-id 7 --not-after 2027-01-31T00:00:00Z",
            "hookctl --stack-name prod installation list",
            "hookctl installation disable shipday 0a1b",
            "hookctl order show m armada EAA6CAC9D5 --personal-data",
            "hookctl order refold m shipday 7 --dry-run",
            "hookctl order refold --all --merchant m --yes --resume r.json",
            "hookctl webhook list",
            "hookctl webhook list --state unmapped,quarantined --merchant m --since 2026-01-01T00:00:00Z --json",
            "hookctl webhook list --order m#armada#EAA6CAC9D5 --limit 3",
            "hookctl webhook list --digest 0123456789abcdef --segments 16",
            "hookctl webhook show armada#m#order.updated#wh_1 --personal-data",
            "hookctl webhook replay armada#m#order.updated#wh_1 armada#m#order.updated#wh_2 --dry-run",
            "hookctl webhook replay --state unmapped --provider armada --yes --resume r.json --limit 10",
            "hookctl webhook replay --order m#armada#EAA6CAC9D5 --state parked --force",
            "hookctl webhook close armada#m#order.updated#wh_1 --reason test",
            "hookctl webhook close --state quarantined --until 2026-01-01T00:00:00Z --reason old --keep-days 15",
            "hookctl dlq show --limit 5",
            "hookctl dlq redrive --yes --limit 5",
            "hookctl dlq discard 0b9c 7f3a --reason poison --force --yes",
            "hookctl ledger",
            "hookctl ledger --since 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z --merchant m --json",
            "hookctl ledger --segments 16 --resume r.json",
            "hookctl report",
            "hookctl report --since 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z --merchant m --merchant n --json",
            "hookctl report --csv r.csv --html r.html --personal-data --segments 16",
            "hookctl erase m armada EAA6CAC9D5",
            "hookctl erase m shipday 7 --timeline --pending --yes --segments 16 --resume r.json --json",
            "hookctl board",
            "hookctl --stack-name prod board --port 0 --merchant m --hours 2 --interval 30 --read-units 100 --personal-data",
            "hookctl send armada dispatched --topic order.updated --id wh_1",
            "hookctl send shipday ORDER_PIKEDUP --token t --url https://example.com/webhooks/shipday",
            "hookctl simulate",
            "hookctl simulate --orders 10000 --rate 500 --connections 64 --seed 7 --provider armada --timeout 5",
            "hookctl simulate --merchant m --app-id a --installation-id i --url-key k --token t --json",
            "hookctl smoke",
            "hookctl --stack-name prod smoke --timeout 120 --json",
            "hookctl simulate --duplicates 0 --retries 1 --reordered 100 --late 2 --corrupt 3 --forged 4 --window 60",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line));
        }
    }

    #[test]
    fn a_key_that_a_shell_lost_is_refused() {
        for command in ["show", "replay", "close"] {
            let parsed = Arguments::try_parse_from(["hookctl", "webhook", command, ""]);
            let why = parsed.unwrap_err().kind();
            assert_eq!(why, clap::error::ErrorKind::InvalidValue, "{command}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, why) in [
            (
                "hookctl installation add armada --merchant m",
                "no credential",
            ),
            (
                "hookctl installation add armada --merchant m --app-id a",
                "half a credential",
            ),
            (
                "hookctl installation add armada --merchant m --app-id a --installation-id i --key-id k",
                "two credentials",
            ),
            (
                "hookctl installation add shipday --merchant a#b",
                "a merchant that cannot be in a key",
            ),
            (
                "hookctl installation add shipday --merchant m --not-after tomorrow",
                "no point in time",
            ),
            ("hookctl dev endpoint", "nowhere"),
            ("hookctl dev endpoint 127.0.0.1:8000", "no URL"),
            ("hookctl dev endpoint http:///orders", "no host"),
            ("hookctl dev endpoint http://localhost/ --off", "both"),
            ("hookctl dev throttle", "no table"),
            ("hookctl dev throttle orders --off", "both"),
            ("hookctl order show m glovo 1", "no such provider"),
            ("hookctl order refold m armada", "half an order"),
            ("hookctl order refold", "no order"),
            ("hookctl order refold m armada 1 --all", "one and all"),
            ("hookctl order refold m armada 1 --yes", "one needs no yes"),
            ("hookctl order refold m armada 1 --limit 1", "one is one"),
            ("hookctl order refold --all --yes --dry-run", "both"),
            (
                "hookctl order refold m armada 1 --merchant n",
                "two merchants",
            ),
            ("hookctl webhook list --state lost", "no such state"),
            ("hookctl webhook list --digest 0123", "half a digest"),
            ("hookctl webhook list --order m#armada", "half an order"),
            (
                "hookctl webhook list --order m#armada#1 --merchant n",
                "two merchants",
            ),
            ("hookctl webhook list --segments 0", "nothing to read"),
            ("hookctl webhook replay", "all there is"),
            (
                "hookctl webhook replay --merchant m --yes",
                "in every state",
            ),
            ("hookctl webhook replay k --state parked", "two selections"),
            ("hookctl webhook replay k --yes", "a key needs no yes"),
            (
                "hookctl webhook replay --state parked --yes --dry-run",
                "both",
            ),
            ("hookctl webhook close k", "no reason"),
            (
                "hookctl webhook close k --reason r --keep-days 14",
                "less than providers may take to send it again",
            ),
            ("hookctl dlq redrive --limit 0", "nothing to do"),
            ("hookctl dlq discard --reason r", "all there is"),
            ("hookctl dlq discard 0b9c --yes", "no reason"),
            ("hookctl ledger --since yesterday", "no point in time"),
            ("hookctl ledger --limit 5", "half a ledger proves nothing"),
            ("hookctl ledger --merchant a#b", "no merchant"),
            ("hookctl ledger --segments 0", "nothing to read"),
            ("hookctl report --since yesterday", "no point in time"),
            ("hookctl report --merchant a#b", "no merchant"),
            ("hookctl report --segments 0", "nothing to read"),
            (
                "hookctl report --resume r.json",
                "half a report is not kept",
            ),
            ("hookctl erase m armada", "half an order"),
            ("hookctl erase m glovo 1", "no such provider"),
            ("hookctl erase", "everybody"),
            ("hookctl erase m armada 1 --limit 5", "half an erasure"),
            ("hookctl board --hours 0", "nothing to show"),
            ("hookctl board --interval 0", "without a pause"),
            ("hookctl board --read-units 0", "it would never read"),
            (
                "hookctl send armada dispatched --app-id a",
                "half a credential",
            ),
            (
                "hookctl send shipday ORDER_PIKEDUP --topic t",
                "Shipday has no topics",
            ),
            ("hookctl webhook tail --interval 0", "without a pause"),
            ("hookctl webhook tail --interval NaN", "no number"),
            ("hookctl webhook tail --interval 1e300", "for ever"),
            (
                "hookctl webhook tail --read-units 0",
                "it would never begin",
            ),
            (
                "hookctl webhook tail --order m#armada#1 --merchant n",
                "two merchants",
            ),
            (
                "hookctl order show m armada 1 --until delivered",
                "it is only looked at once",
            ),
            (
                "hookctl order show m armada 1 --watch --until lost",
                "no such status",
            ),
            ("hookctl completions cmd", "no such shell"),
            ("hookctl simulate --orders 0", "nothing to do"),
            (
                "hookctl simulate --orders 10000000",
                "more than Shipday ids have room for",
            ),
            ("hookctl simulate --rate 0", "it would never end"),
            ("hookctl simulate --duplicates 101", "more than all"),
            ("hookctl simulate --seed x", "a seed is a number"),
            ("hookctl simulate --app-id a", "half a credential"),
            ("hookctl smoke --timeout 0", "no order comes at once"),
            (
                "hookctl smoke --timeout 1801",
                "longer than a temporary installation may live",
            ),
            ("hookctl smoke --merchant m", "never a real merchant's"),
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{why}");
        }
    }
}
