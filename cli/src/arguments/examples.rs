//! The end of each command's `--help` that has no longer text elsewhere: what it changes, what it needs, and examples.

pub(super) const UP: &str = "\
It builds the functions, starts the emulated AWS services and `cargo lambda watch` on 127.0.0.1, deploys template.yaml to
them, registers the demo installations and sends two samples. It stays until Ctrl-C and shows what the functions log;
.dev/log/watch.log has the same lines whole, with the description of their metrics. Nothing outside .dev, target and
these ports is touched. It needs Linux, Rust and Python 3.11 or newer, but no AWS account and no containers; the first time
it installs 540 MB into .dev and compiles for minutes.

Examples:
  hookctl dev up
  hookctl dev up --port 4567 --watch-port 9001 --no-samples";

pub(super) const DOWN: &str = "\
It ends the processes of the local stack's record alone, in whatever terminal they were started. The tables are gone then.
If nothing runs, the exit code is 4.

Examples:
  hookctl dev down";

pub(super) const RESET: &str = "\
It empties the tables and queues of the local stack, and registers the demo installations anew. A deployed stack is
never touched.

Examples:
  hookctl dev reset
  hookctl dev reset --json";

pub(super) const TOOLS: &str = "\
It installs Python packages at pinned versions, about 540 MB, and cargo-lambda among them; it needs the network and
Python 3.11 or newer. What is there already is left as it is.

Examples:
  hookctl dev tools";

pub(super) const PACKS: &str = "\
It writes a zip for each function of template.yaml, and prints its size and the CodeSha256 that Lambda will show for it.
The bootstraps are read and not changed. Nothing is sent anywhere.

Examples:
  hookctl dev pack
  hookctl dev pack --bootstraps target/lambda --into target/packages --json";

pub(super) const ADDS_ARMADA: &str = "\
It writes one row to the installations table, with the SHA-256 of the credential and never the credential itself. A new
installation is believed within 5 seconds. One that is registered already is left as it is, and the exit code is 1. A
key in the URL is made up here and shown once.
With --stack-name it needs cloudformation:DescribeStacks, and dynamodb:PutItem on the installations table.

Examples:
  hookctl installation add armada --merchant shop-1 --app-id 65f1c2d3e4a5b6c7d8e9f0a1 --installation-id 3b241101-e2bb --url-key
  hookctl installation add armada --merchant shop-2 --key-id KEY_ID --existing-url-key KEY
  hookctl installation add armada --merchant shop-1 --key-id KEY_ID --not-after 2027-01-31T00:00:00Z";

pub(super) const ADDS_SHIPDAY: &str = "\
It writes one row to the installations table, with the SHA-256 of the token and never the token itself. The token is shown
once, with the URL: enter both in Shipday's dashboard. A new installation is believed within 5 seconds.
With --stack-name it needs cloudformation:DescribeStacks, and dynamodb:PutItem on the installations table.

Examples:
  hookctl installation add shipday --merchant shop-1 --label 'the shop at the corner'
  hookctl --stack-name delivery-webhooks-prod installation add shipday --merchant shop-1 --company-id 1234";

pub(super) const LISTS: &str = "\
It reads the installations table whole: half a read unit for each 4 KB of it. Credentials are shown as digests; nothing
is written. With --stack-name it needs cloudformation:DescribeStacks, and dynamodb:Scan on the installations table.

Examples:
  hookctl installation list
  hookctl --stack-name delivery-webhooks-prod installation list --json";

pub(super) const DISABLES: &str = "\
It changes the state of one row, and keeps the row. Functions believe it within 60 seconds; from then on the installation's
webhooks are answered 401 and nothing of them is kept. `installation enable` undoes it.
With --stack-name it needs cloudformation:DescribeStacks, and dynamodb:Scan and UpdateItem on the installations table.

Examples:
  hookctl installation disable shipday 0a1b2c
  hookctl --stack-name delivery-webhooks-prod installation disable armada 3f";

pub(super) const ENABLES: &str = "\
It changes the state of one row. Functions believe it within 60 seconds. What was answered 401 meanwhile was not kept.
With --stack-name it needs cloudformation:DescribeStacks, and dynamodb:Scan and UpdateItem on the installations table.

Examples:
  hookctl installation enable shipday 0a1b2c";

pub(super) const REFOLDED: &str = "\
With --stack-name it needs cloudformation:DescribeStacks, and on the orders table dynamodb:Query and UpdateItem, for --all
also Scan and DescribeTable.

Examples:
  hookctl order refold shop-1 shipday 48210377 --dry-run
  hookctl order refold --all --merchant shop-1
  hookctl order refold --all --yes --resume refold.json";

pub(super) const LISTED: &str = "\
`!` marks a state that needs a person. Times are UTC. Nothing is written.
With --stack-name it needs cloudformation:DescribeStacks, and on the webhooks table dynamodb:Scan and DescribeTable; with
--order GetItem, and Query on the orders table.

Examples:
  hookctl webhook list --state pending,unmapped,quarantined,parked
  hookctl webhook list --merchant shop-1 --provider armada --since 2026-01-31T00:00:00Z --limit 100
  hookctl webhook list --digest 0123456789abcdef --segments 16
  hookctl webhook list --order 'shop-1#armada#7F3A09C2D1' --json";

pub(super) const SHOWN: &str = "\
The body is shown with --personal-data only. What a replay would do is said by the mapping in this hookctl: build it from
the deployed version. Nothing is written. It costs a read unit for each 4 KB of the record, and as much for its order.
With --stack-name it needs cloudformation:DescribeStacks, dynamodb:GetItem on the webhooks table and Query on the
orders table.

Examples:
  hookctl webhook show 'armada#shop-1#order.updated#wh_1'
  hookctl webhook show 'armada#shop-1#order.updated#wh_1' --personal-data --json";

pub(super) const REPLAYED: &str = "\
With --stack-name it needs cloudformation:DescribeStacks, on the webhooks table dynamodb:GetItem, Scan, DescribeTable and
UpdateItem, and Query on the orders table.

Examples:
  hookctl webhook replay 'armada#shop-1#order.updated#wh_1' --dry-run
  hookctl webhook replay --state unmapped --provider armada
  hookctl webhook replay --state parked --yes --resume replay.json
  hookctl webhook replay --order 'shop-1#armada#7F3A09C2D1' --force --yes";

pub(super) const CLOSED: &str = "\
With --stack-name it needs cloudformation:DescribeStacks, on the webhooks table dynamodb:GetItem, Scan, DescribeTable and
UpdateItem, and with --order Query on the orders table.

Examples:
  hookctl webhook close 'armada#shop-1#order.updated#wh_1' --reason 'a test of the provider'
  hookctl webhook close --state quarantined --until 2026-01-01T00:00:00Z --reason old --keep-days 15
  hookctl webhook close --state unmapped --merchant shop-1 --reason 'the shop is closed' --yes";

pub(super) const DEAD_SHOWN: &str = "\
With --stack-name it needs cloudformation:DescribeStacks, and sqs:ReceiveMessage, ChangeMessageVisibility and
GetQueueAttributes on the dead-letter queue.

Examples:
  hookctl dlq show
  hookctl dlq show --limit 10 --json";

pub(super) const REDRIVEN: &str = "\
With --stack-name it needs cloudformation:DescribeStacks, sqs:ReceiveMessage, ChangeMessageVisibility, DeleteMessage and
GetQueueAttributes on the dead-letter queue, and SendMessage on the events queue.

Examples:
  hookctl dlq redrive
  hookctl dlq redrive --yes --limit 100";

pub(super) const LEDGERS: &str = "\
With --stack-name it needs cloudformation:DescribeStacks, on the webhooks table dynamodb:Scan, GetItem and DescribeTable, on
the orders table Query, Scan and DescribeTable.

Examples:
  hookctl ledger
  hookctl ledger --since 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z --merchant shop-1
  hookctl --stack-name delivery-webhooks-prod ledger --segments 16 --resume ledger.json --json";

pub(super) const ERASED: &str = "\
With --stack-name it needs cloudformation:DescribeStacks, on the webhooks table dynamodb:Scan, GetItem, DescribeTable and
DeleteItem, on the orders table Query and DeleteItem.

Examples:
  hookctl erase shop-1 armada 7F3A09C2D1
  hookctl erase shop-1 shipday 48210377 --timeline --yes
  hookctl erase shop-1 armada 7F3A09C2D1 --timeline --pending --yes --resume erase.json";

pub(super) const SENDS_ARMADA: &str = "\
It sends one webhook and shows the answer: the exit code is 1 unless it is a 2xx. A sample is sent as it is, so that a
second one is another webhook about the same order; with the same --id it is a repeat. The default credential is the
demo installation's, which only the local stack knows.
With --stack-name it needs cloudformation:DescribeStacks, with --url nothing of AWS.

Examples:
  hookctl send armada dispatched
  hookctl send armada dispatched --id wh_1 --timestamp 2026-01-07T20:15:02Z
  hookctl send armada webhook.json --topic order.updated --app-id APP --installation-id INSTALLATION --url-key KEY
  hookctl send armada dispatched --key-id KEY_ID --url https://example.com/webhooks/armada";

pub(super) const SENDS_SHIPDAY: &str = "\
It sends one webhook and shows the answer: the exit code is 1 unless it is a 2xx. The same sample again is a repeat, because
Shipday names a webhook by its order, event and time. The default token is the demo installation's, which only the local
stack knows.
With --stack-name it needs cloudformation:DescribeStacks, with --url nothing of AWS.

Examples:
  hookctl send shipday ORDER_PIKEDUP
  hookctl send shipday webhook.json --token TOKEN --url https://example.com/webhooks/shipday";

pub(super) const SIMULATED: &str = "\
It writes what real webhooks write: to the local stack, or to the deployed one that is named, for which an installation's
credentials must be given. With --stack-name it needs cloudformation:DescribeStacks, and dynamodb:Query on the orders
table.

Examples:
  hookctl simulate
  hookctl simulate --orders 10000 --rate 500 --connections 64 --seed 7
  hookctl simulate --provider shipday --merchant shop-1 --token TOKEN --duplicates 0 --corrupt 0 --forged 0";

pub(super) const COMPLETES: &str = "\
The script goes to stdout. It completes commands and options, and not what is in the tables. Nothing is read or written.

Examples:
  hookctl completions bash
  hookctl completions zsh
  hookctl completions fish";
