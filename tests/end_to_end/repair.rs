//! The operator's commands: the real `hookctl`, on the deployed stack.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use domain::{
    CompressedBody, EpochMillis, MerchantId, OrderId, OrderKey, Orders as _, Provider, RecordState,
    RequestId, Sha256Hex, Status, WebhookKey, WebhookRecord, WebhookRecords as _,
};
use serde_json::{Value, json};

use crate::stack::{Merchant, Stack, eventually};
use crate::tests;

tests![
    dead_letters_are_sent_again_and_what_nobody_can_read_stays,
    a_record_that_an_older_mapping_did_not_understand_is_replayed_and_becomes_an_event,
    a_replay_of_what_was_applied_changes_nothing,
    a_replay_that_cannot_help_is_not_made_unless_it_is_forced,
    a_damaged_record_is_shown_and_never_replayed,
    records_are_closed_with_a_reason_and_can_still_be_replayed,
    a_list_goes_on_where_its_limit_ended_it,
    the_webhooks_of_an_order_are_found_through_its_timeline,
    wrong_states_are_refolded_and_right_ones_left_alone,
    what_is_not_there_is_said_with_its_own_exit_code,
];

const HOOKCTL: &str = "hookctl";

/// Whether this binary was started as the command itself.
pub(crate) fn is_hookctl() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|name| name == HOOKCTL)
}

/// The command, knowing nothing of this machine.
pub(crate) fn hookctl() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg0(HOOKCTL);
    knowing_nothing(command)
}

/// A program that has the keys of a local stack, and knows nothing of this machine.
pub(crate) fn knowing_nothing(mut command: Command) -> Command {
    command
        .env_clear()
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

/// What a command said with `--json`, line by line.
struct Said {
    code: i32,
    lines: Vec<Value>,
    stderr: String,
}

impl Said {
    /// The parts of the lines that have this name.
    fn all(&self, name: &str) -> Vec<&Value> {
        self.lines
            .iter()
            .filter_map(|line| line.get(name))
            .collect()
    }

    /// The lines about webhooks.
    fn webhooks(&self) -> Vec<&Value> {
        let about = |line: &&Value| line.get("webhook").is_some();
        self.lines.iter().filter(about).collect()
    }

    fn summary(&self) -> &Value {
        self.all("summary")[0]
    }

    #[track_caller]
    fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }
}

fn run(stack: &Stack, arguments: &[&str]) -> Said {
    let output = stack
        .hookctl()
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    Said {
        code: output.status.code().unwrap(),
        lines: stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn order_key(merchant: &Merchant<'_>, order: &str) -> OrderKey {
    OrderKey {
        merchant_id: merchant.id.clone(),
        provider: Provider::Armada,
        order_id: OrderId::parse(order).unwrap(),
    }
}

/// The key of the record that [`plant`] writes.
fn key_of(merchant: &MerchantId, order: &str) -> String {
    format!("armada#{merchant}#order.updated#{order}")
}

/// Writes a record as if an older version had, and gives its key.
fn plant(
    stack: &Stack,
    merchant: &Merchant<'_>,
    order: &str,
    status: &str,
    state: RecordState,
) -> String {
    let key = key_of(&merchant.id, order);
    let body =
        json!({ "code": order, "status": status, "customer_name": "Amina Example" }).to_string();
    let headers = [
        ("x-armada-webhook-topic", "order.updated"),
        ("x-armada-webhook-id", order),
        ("x-armada-timestamp", "2026-01-07T20:15:01.000Z"),
        ("x-armada-api-version", "v1"),
    ];
    let record = WebhookRecord {
        webhook_pk: WebhookKey::parse(&key).unwrap(),
        provider: Provider::Armada,
        merchant_id: merchant.id.clone(),
        company_id: None,
        received_at_ms: EpochMillis::new(1_767_816_902_000),
        headers: BTreeMap::from(headers.map(|(name, value)| (name.to_owned(), value.to_owned()))),
        body: CompressedBody::deflate(body.as_bytes()),
        body_sha256: Sha256Hex::of(body.as_bytes()),
        request_id: RequestId::parse("older-version").unwrap(),
    };
    let order = order_key(merchant, order);
    stack
        .wait_for(
            stack
                .webhooks()
                .put_if_absent(&record.webhook_pk, &record, state, Some(&order)),
        )
        .unwrap();
    key
}

fn state_of(stack: &Stack, key: &str) -> Option<RecordState> {
    let stored = stack.wait_for(stack.webhooks().get(key)).unwrap();
    stored.unwrap().state
}

/// A resume file of one test.
fn resume_file(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.json"));
    let _ = std::fs::remove_file(&path);
    path
}

fn dead_letters_are_sent_again_and_what_nobody_can_read_stays(stack: &Stack) {
    let merchant = stack.merchant("redriven");
    let event = json!({
        "schema_version": 1,
        "event": {
            "webhook_pk": "armada#redriven#order.updated#wh_1",
            "body_sha256": "0".repeat(64),
            "merchant_id": "redriven",
            "provider": "armada",
            "order_id": "D1",
            "occurred_at_ms": 1_767_816_902_120_u64,
            "received_at_ms": 1_767_816_902_431_u64,
            "provider_status": "dispatched",
            "details": { "schedule": {}, "driver": { "name": "Amina Example" } },
        }
    });
    let poison = "poison of the redrive test";
    stack.bury(&event.to_string(), "redriven");
    stack.bury(poison, "redriven");
    let of_this_test = |said: &Said| -> BTreeMap<String, Value> {
        let mine = said
            .all("message")
            .into_iter()
            .filter(|it| it["merchant"] == "redriven");
        mine.map(|it| (it["kind"].as_str().unwrap().to_owned(), it.clone()))
            .collect()
    };
    let fates = |said: &Said| -> Vec<String> {
        let mine = of_this_test(said).into_values();
        mine.map(|it| it["fate"].as_str().unwrap().to_owned())
            .collect()
    };

    let shown = run(stack, &["dlq", "show", "--limit", "1000"]).done();
    let messages = of_this_test(&shown);
    assert_eq!(messages["event"]["order"], "redriven#armada#D1");
    assert_eq!(
        messages["event"]["webhook"],
        domain::short_digest("armada#redriven#order.updated#wh_1")
    );
    assert!(messages["event"]["receive_count"].as_u64() >= Some(1));
    assert_eq!(messages["not_ours"]["fate"], "shown");
    let all = format!("{:?}{}", shown.lines, shown.stderr);
    assert!(!all.contains("Amina") && !all.contains("poison"), "{all}");

    let planned = run(stack, &["dlq", "redrive"]).done();
    assert_eq!(fates(&planned), ["would_redrive", "left_unreadable"]);
    assert!(
        planned.stderr.contains("nothing was sent"),
        "{}",
        planned.stderr
    );
    assert!(merchant.order(Provider::Armada, "D1").entries.is_empty());

    let redriven = run(stack, &["dlq", "redrive", "--yes"]).done();
    assert_eq!(fates(&redriven), ["redriven", "left_unreadable"]);
    merchant.order_with(1, Provider::Armada, "D1");
    let left = run(stack, &["dlq", "show", "--limit", "1000"]).done();
    assert_eq!(
        fates(&left),
        ["shown"],
        "given back at once, and not sent in circles"
    );
    eventually(poison, || {
        stack.dead_letters().into_iter().find(|body| body == poison)
    });
}

fn a_record_that_an_older_mapping_did_not_understand_is_replayed_and_becomes_an_event(
    stack: &Stack,
) {
    let merchant = stack.merchant("mapping-fixed");
    let unmapped = plant(stack, &merchant, "M1", "completed", RecordState::Unmapped);
    let quarantined = plant(
        stack,
        &merchant,
        "M2",
        "completed",
        RecordState::Quarantined,
    );
    let chosen = [
        "--state",
        "unmapped,quarantined",
        "--merchant",
        "mapping-fixed",
    ];
    let replay = |more: &[&str]| {
        let command = [&["webhook", "replay"], &chosen[..], more].concat();
        run(stack, &command).done()
    };

    let shown = run(stack, &["webhook", "show", &unmapped]).done();
    assert_eq!(shown.lines[0]["reading"]["status"], "delivered");
    assert_eq!(shown.lines[0]["replay"]["status_after"], "delivered");
    assert!(!shown.lines[0].to_string().contains("Amina"));
    let personal = run(stack, &["webhook", "show", &unmapped, "--personal-data"]).done();
    assert!(
        personal.lines[0]["body"]
            .as_str()
            .unwrap()
            .contains("Amina")
    );

    let planned = replay(&[]);
    assert_eq!(planned.summary()["outcomes"], json!({ "would_replay": 2 }));
    for line in planned.webhooks() {
        assert_eq!(line["replay"]["in_timeline"], false);
        assert_eq!(line["replay"]["status_after"], "delivered");
    }
    assert_eq!(state_of(stack, &unmapped), Some(RecordState::Unmapped));
    assert!(stack.pending(&merchant.id).is_empty());

    let replayed = replay(&["--yes"]);
    assert_eq!(replayed.summary()["outcomes"], json!({ "replayed": 2 }));
    stack.relay_until_closed(&merchant.id);
    for order in ["M1", "M2"] {
        let order = merchant.order_with(1, Provider::Armada, order);
        assert_eq!(order.state.unwrap().status, Some(Status::Delivered));
    }
    for key in [&unmapped, &quarantined] {
        assert_eq!(state_of(stack, key), Some(RecordState::Applied));
    }
    assert_eq!(replay(&["--yes"]).summary()["records"], 0);
}

fn a_replay_of_what_was_applied_changes_nothing(stack: &Stack) {
    let merchant = stack.merchant("replayed-twice");
    let key = plant(stack, &merchant, "T1", "completed", RecordState::Unmapped);
    run(stack, &["webhook", "replay", &key]).done();
    stack.relay_until_closed(&merchant.id);
    let before = merchant.order_with(1, Provider::Armada, "T1");
    let planned = run(stack, &["webhook", "replay", &key, "--dry-run"]).done();
    let effect = &planned.webhooks()[0]["replay"];
    assert_eq!(
        (&effect["in_timeline"], &effect["state_changes"]),
        (&json!(true), &json!(false))
    );

    let replayed = run(stack, &["webhook", "replay", &key]).done();

    assert_eq!(replayed.summary()["outcomes"], json!({ "replayed": 1 }));
    stack.relay_until_closed(&merchant.id);
    assert_eq!(merchant.order_with(1, Provider::Armada, "T1"), before);
    assert_eq!(state_of(stack, &key), Some(RecordState::Applied));
}

fn a_replay_that_cannot_help_is_not_made_unless_it_is_forced(stack: &Stack) {
    let merchant = stack.merchant("still-unknown");
    let key = plant(stack, &merchant, "U1", "teleported", RecordState::Unmapped);

    let by_key = run(stack, &["webhook", "replay", &key]);
    assert_eq!(by_key.code, 1, "{}", by_key.stderr);
    let line = by_key.webhooks()[0];
    assert_eq!(
        (&line["outcome"], &line["reading"]["why"]),
        (&json!("no_event"), &json!("unknown_status"))
    );
    let digest = domain::short_digest(&key);
    let in_bulk = run(stack, &["webhook", "replay", "--digest", &digest, "--yes"]).done();
    assert_eq!(in_bulk.summary()["outcomes"], json!({ "no_event": 1 }));
    assert_eq!(state_of(stack, &key), Some(RecordState::Unmapped));

    let forced = run(stack, &["webhook", "replay", &key, "--force"]).done();
    assert_eq!(forced.summary()["outcomes"], json!({ "replayed": 1 }));
}

fn a_damaged_record_is_shown_and_never_replayed(stack: &Stack) {
    let merchant = stack.merchant("damaged");
    let key = plant(
        stack,
        &merchant,
        "X1",
        "completed",
        RecordState::Quarantined,
    );
    stack.damage_body(&key);

    let shown = run(stack, &["webhook", "show", &key]).done();
    assert_eq!(shown.lines[0]["reading"]["as"], "damaged");
    for more in [&[][..], &["--force"]] {
        let replayed = run(stack, &[&["webhook", "replay", &key], more].concat());
        assert_eq!(
            (replayed.code, &replayed.webhooks()[0]["outcome"]),
            (1, &json!("damaged"))
        );
    }
    assert_eq!(state_of(stack, &key), Some(RecordState::Quarantined));

    let close = ["webhook", "close", &key, "--reason", "its body is damaged"];
    run(stack, &close).done();
    assert_eq!(state_of(stack, &key), Some(RecordState::Dismissed));
}

fn records_are_closed_with_a_reason_and_can_still_be_replayed(stack: &Stack) {
    let merchant = stack.merchant("closed");
    let first = plant(stack, &merchant, "C1", "teleported", RecordState::Unmapped);
    let second = plant(stack, &merchant, "C2", "completed", RecordState::Unmapped);
    let chosen = [
        "--state",
        "unmapped",
        "--merchant",
        "closed",
        "--reason",
        "a rehearsal",
    ];
    let close = |more: &[&str]| {
        let command = [&["webhook", "close"], &chosen[..], more].concat();
        run(stack, &command).done()
    };

    assert_eq!(
        close(&[]).summary()["outcomes"],
        json!({ "would_close": 2 })
    );
    assert_eq!(state_of(stack, &first), Some(RecordState::Unmapped));
    assert_eq!(
        close(&["--yes"]).summary()["outcomes"],
        json!({ "closed": 2 })
    );
    let list = [
        "webhook",
        "list",
        "--state",
        "dismissed",
        "--merchant",
        "closed",
    ];
    let listed = run(stack, &list).done();
    assert_eq!(listed.webhooks().len(), 2);
    for line in listed.webhooks() {
        assert_eq!(line["webhook"]["close_reason"], "a rehearsal");
        assert!(line["webhook"]["expires_at"].is_string());
    }
    let again = run(stack, &["webhook", "close", &first, "--reason", "again"]).done();
    assert_eq!(again.summary()["outcomes"], json!({ "nothing_to_do": 1 }));

    run(stack, &["webhook", "replay", &second]).done();
    stack.relay_until_closed(&merchant.id);
    merchant.order_with(1, Provider::Armada, "C2");
    let shown = run(stack, &["webhook", "show", &second]).done();
    assert_eq!(shown.lines[0]["webhook"]["state"], "applied");
    assert!(shown.lines[0]["webhook"].get("close_reason").is_none());
}

fn a_list_goes_on_where_its_limit_ended_it(stack: &Stack) {
    let merchant = stack.merchant("listed");
    let mut planted: Vec<String> = (0..10)
        .map(|n| {
            plant(
                stack,
                &merchant,
                &format!("L{n}"),
                "teleported",
                RecordState::Unmapped,
            )
        })
        .collect();
    let file = resume_file("listed");
    let list = |merchant: &str| {
        let command = [
            "webhook",
            "list",
            "--merchant",
            merchant,
            "--limit",
            "4",
            "--resume",
        ];
        run(stack, &[&command[..], &[file.to_str().unwrap()]].concat())
    };

    let mut listed = Vec::new();
    for expected in [4, 4, 2] {
        let said = list("listed").done();
        assert_eq!(said.webhooks().len(), expected);
        assert_eq!(said.summary()["at_limit"], json!(expected == 4));
        assert_eq!(file.exists(), expected == 4);
        let refused = if file.exists() {
            list("another").code
        } else {
            1
        };
        assert_eq!(refused, 1, "the file of other work");
        let keys = said
            .webhooks()
            .into_iter()
            .map(|it| it["webhook"]["key"].clone());
        listed.extend(keys.map(|key| key.as_str().unwrap().to_owned()));
    }

    listed.sort_unstable();
    planted.sort_unstable();
    assert_eq!(listed, planted);
}

fn the_webhooks_of_an_order_are_found_through_its_timeline(stack: &Stack) {
    let merchant = stack.merchant("found");
    for (id, status) in [("wh_1", "dispatched"), ("wh_2", "completed")] {
        let body = json!({ "code": "F1", "status": status }).to_string();
        let sent_at = format!("2026-01-07T20:15:0{}Z", &id[3..]);
        let answer = merchant.send(testkit::armada("order.updated", id, &sent_at, body));
        assert_eq!(answer.status, 200);
    }
    merchant.order_with(2, Provider::Armada, "F1");

    let listed = run(stack, &["webhook", "list", "--order", "found#armada#F1"]).done();

    let keys: Vec<_> = listed
        .webhooks()
        .into_iter()
        .map(|it| &it["webhook"]["key"])
        .collect();
    assert_eq!(
        keys,
        [
            "armada#found#order.updated#wh_1",
            "armada#found#order.updated#wh_2"
        ]
    );
    let planned = run(stack, &["webhook", "replay", "--order", "found#armada#F1"]).done();
    assert_eq!(planned.summary()["outcomes"], json!({ "would_replay": 2 }));
}

fn wrong_states_are_refolded_and_right_ones_left_alone(stack: &Stack) {
    let merchant = stack.merchant("refolded");
    for order in ["R1", "R2", "R3"] {
        let body = json!({ "code": order, "status": "completed" }).to_string();
        let sent = testkit::armada("order.updated", order, "2026-01-07T20:15:01Z", body);
        assert_eq!(merchant.send(sent).status, 200);
    }
    let spoil = |order: &str| {
        let mut wrong = merchant
            .order_with(1, Provider::Armada, order)
            .state
            .unwrap();
        wrong.status = Some(Status::Failed);
        let saved = stack.orders();
        stack
            .wait_for(saved.save(&order_key(&merchant, order), &wrong))
            .unwrap();
    };
    spoil("R1");
    spoil("R2");
    let right = merchant.order_with(1, Provider::Armada, "R3");
    let refold = |more: &[&str]| run(stack, &[&["order", "refold"], more].concat()).done();

    let planned = refold(&["refolded", "armada", "R1", "--dry-run"]);
    assert_eq!(planned.lines[0]["fate"], "would_repair");
    assert_eq!(planned.lines[0]["differs_in"], json!(["status"]));
    assert_eq!(
        refold(&["refolded", "armada", "R1"]).lines[0]["fate"],
        "repaired"
    );
    assert_eq!(
        refold(&["refolded", "armada", "R1"]).lines[0]["fate"],
        "right"
    );

    let all = ["--all", "--merchant", "refolded"];
    let fates = |said: &Said| said.summary()["fates"].clone();
    assert_eq!(
        fates(&refold(&all)),
        json!({ "right": 2, "would_repair": 1 })
    );
    let repaired = refold(&[&all[..], &["--yes"]].concat());
    assert_eq!(repaired.all("order")[0]["order"], "refolded#armada#R2");
    assert_eq!(fates(&repaired), json!({ "right": 2, "repaired": 1 }));
    for order in ["R1", "R2", "R3"] {
        let state = merchant.order(Provider::Armada, order).state.unwrap();
        assert_eq!(state.status, Some(Status::Delivered), "{order}");
    }
    assert_eq!(
        merchant.order(Provider::Armada, "R3"),
        right,
        "revision included"
    );
}

fn what_is_not_there_is_said_with_its_own_exit_code(stack: &Stack) {
    let nobody = "armada#nobody#order.updated#wh_1";
    for (arguments, code) in [
        (&["webhook", "show", nobody][..], 3),
        (&["webhook", "replay", nobody], 3),
        (&["webhook", "close", nobody, "--reason", "r"], 3),
        (&["webhook", "list", "--order", "nobody#armada#1"], 3),
        (&["order", "refold", "nobody", "armada", "1"], 3),
        (&["webhook", "replay", "--merchant", "nobody"], 2),
        (&["webhook", "list", "--merchant", "nobody"], 0),
    ] {
        let said = run(stack, arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}", said.stderr);
    }
}
