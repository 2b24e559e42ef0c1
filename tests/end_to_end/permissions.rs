//! Every function has exactly the permissions that it needs: with all of them nothing is denied, and without any one
//! statement of its role something is. What is given back in time loses nothing.

use std::collections::BTreeSet;

use domain::Provider;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::proxy::{Calls, CarriedOut, Fault};
use crate::stack::{BINARIES, Merchant, Stack, eventually};
use crate::tests;
use crate::webhooks::{armada, shipday};

tests![with_its_permissions_a_function_does_all_its_work_and_without_one_of_them_it_does_not,];

/// Statements that Lambda itself needs in the function's name. The emulator neither writes logs and traces nor takes
/// messages and records, or sets them aside, in it.
const FOR_LAMBDA: [&str; 4] = [
    "WriteOwnLogs",
    "WriteTraces",
    "ReadTheStream",
    "SetAsideWhatFailed",
];
/// Actions of other statements that only Lambda uses.
const BY_LAMBDA: [(&str, &str); 6] = [
    ("order-consumer", "sqs:ReceiveMessage"),
    ("order-consumer", "sqs:DeleteMessage"),
    ("order-consumer", "sqs:GetQueueAttributes"),
    ("status-publisher", "sqs:ReceiveMessage"),
    ("status-publisher", "sqs:DeleteMessage"),
    ("status-publisher", "sqs:GetQueueAttributes"),
];
/// What the local stack's policies have for MiniStack alone.
const FOR_THE_EMULATOR: &str = "sqs:SendMessageBatch";

/// How often the SDK tries a call.
const ATTEMPTS: usize = 3;

fn with_its_permissions_a_function_does_all_its_work_and_without_one_of_them_it_does_not(
    stack: &Stack,
) {
    let roles = BINARIES.map(|binary| Role::of(stack, binary));

    let work = Work::begin(stack, "with-all");
    work.end();
    for role in &roles {
        // The publisher tells of an order a moment after it is settled.
        eventually(&format!("{} does all its work", role.binary), || {
            let called = called(&stack.proxy().carried_out(), role.binary);
            (called == role.actions()).then_some(())
        });
    }
    assert_eq!(denied(stack), None);

    for role in &roles {
        for statement in role.statements() {
            role.put(&role.without(&statement));
            let work = Work::begin(
                stack,
                &format!("{}-without-{}", role.binary, statement.to_lowercase()),
            );
            let call = eventually(
                &format!("{} is denied without {statement}", role.binary),
                || denied(stack),
            );
            role.put(&role.policy);
            assert_eq!(call.by, role.binary, "{call:?} without {statement}");
            work.end();
        }
    }
}

/// A call that a role did not allow.
fn denied(stack: &Stack) -> Option<CarriedOut> {
    let calls = stack.proxy().carried_out();
    calls.into_iter().find(|call| call.is_denied)
}

/// Everything that the functions do, for a merchant of its own.
struct Work<'a> {
    stack: &'a Stack,
    merchant: Merchant<'a>,
}

impl<'a> Work<'a> {
    /// Has every function make all its calls, as far as it may.
    fn begin(stack: &'a Stack, name: &str) -> Self {
        let merchant = stack.merchant(name);
        stack.proxy().forget_carried_out();
        // A record that only the queue takes is written by the consumer.
        let puts = Calls::by("armada-webhook")
            .to(&["PutItem"])
            .about("wh_fallback");
        let refused = stack.proxy().all(puts, Fault::DOWN);
        merchant.send(armada("1", "dispatched", "wh_fallback"));
        drop(refused);
        // An event that fails once is put off by the consumer.
        let queries = Calls::by("order-consumer")
            .to(&["Query"])
            .about(format!("{name}#shipday#"));
        let failing = stack.proxy().next(ATTEMPTS, queries, Fault::FAILED);
        merchant.send(armada("1", "completed", "wh_1"));
        merchant.send(shipday(
            1,
            "ORDER_ASSIGNED",
            "NOT_ACCEPTED",
            1_767_816_000_000,
        ));
        eventually("an event is put off, or could not be tried", || {
            let calls = stack.proxy().carried_out();
            let is_put_off = |call: &CarriedOut| call.operation == "ChangeMessageVisibility";
            (calls.iter().any(is_put_off) || denied(stack).is_some()).then_some(())
        });
        drop(failing);
        stack.enqueue(&["no message"]);
        merchant.record_without_sending(armada("2", "dispatched", "wh_2"));
        stack.run_relay();
        Self { stack, merchant }
    }

    /// Waits until all of it is done: nothing that was answered 200 is lost.
    fn end(self) {
        let Self { stack, merchant } = self;
        // What was answered 503 meanwhile is sent again, as a provider does.
        for webhook in [
            armada("1", "dispatched", "wh_fallback"),
            armada("1", "completed", "wh_1"),
        ] {
            assert_eq!(merchant.send(webhook).status, 200);
        }
        let assigned = shipday(1, "ORDER_ASSIGNED", "NOT_ACCEPTED", 1_767_816_000_000);
        assert_eq!(merchant.send(assigned).status, 200);
        stack.relay_until_closed(&merchant.id);
        merchant.order_with(2, Provider::Armada, "1");
        merchant.order_with(1, Provider::Shipday, "1");
        merchant.order_with(1, Provider::Armada, "2");
        stack.queue_is_empty();
        eventually("the message that says nothing is dead", || {
            (!stack.dead_letters().is_empty()).then_some(())
        });
        stack.forget_dead_letters();
    }
}

/// The actions that calls of a function ask for.
fn called(calls: &BTreeSet<CarriedOut>, binary: &str) -> BTreeSet<String> {
    calls
        .iter()
        .filter(|call| call.by == binary)
        .map(|call| match call.operation.as_str() {
            queue @ ("SendMessage" | "GetQueueAttributes" | "ChangeMessageVisibility") => {
                format!("sqs:{queue}")
            }
            "SendMessageBatch" => "sqs:SendMessage".to_owned(),
            "PutEvents" => "events:PutEvents".to_owned(),
            table => format!("dynamodb:{table}"),
        })
        .collect()
}

/// A function's role, as it is deployed.
struct Role<'a> {
    stack: &'a Stack,
    binary: &'static str,
    name: String,
    policy: Value,
}

impl<'a> Role<'a> {
    fn of(stack: &'a Stack, binary: &'static str) -> Self {
        let name = role_names(stack)
            .into_iter()
            .find(|name| {
                name.to_lowercase()
                    .contains(&format!("{}role", binary.replace('-', "")))
            })
            .expect("a role for each function");
        let answer = iam(
            stack,
            &[
                ("Action", "GetRolePolicy"),
                ("RoleName", &name),
                ("PolicyName", binary),
            ],
        );
        let document = between(&answer, "PolicyDocument").next().unwrap();
        let document = percent_decode_str(document).decode_utf8().unwrap();
        Self {
            stack,
            binary,
            policy: serde_json::from_str(&document).unwrap(),
            name,
        }
    }

    /// The names of the statements that its function needs.
    fn statements(&self) -> Vec<String> {
        let statements = self.policy["Statement"].as_array().unwrap();
        statements
            .iter()
            .map(|statement| statement["Sid"].as_str().unwrap().to_owned())
            .filter(|name| !FOR_LAMBDA.contains(&name.as_str()))
            .collect()
    }

    /// The actions that its function has to ask for.
    fn actions(&self) -> BTreeSet<String> {
        let statements = self.policy["Statement"].as_array().unwrap().iter();
        statements
            .filter(|statement| !FOR_LAMBDA.contains(&statement["Sid"].as_str().unwrap()))
            .flat_map(|statement| match &statement["Action"] {
                Value::Array(all) => all.clone(),
                one => vec![one.clone()],
            })
            .map(|action| action.as_str().unwrap().to_owned())
            .filter(|action| {
                action != FOR_THE_EMULATOR && !BY_LAMBDA.contains(&(self.binary, action.as_str()))
            })
            .collect()
    }

    fn without(&self, statement: &str) -> Value {
        let mut policy = self.policy.clone();
        let statements = policy["Statement"].as_array_mut().unwrap();
        statements.retain(|each| each["Sid"] != statement);
        policy
    }

    fn put(&self, policy: &Value) {
        iam(
            self.stack,
            &[
                ("Action", "PutRolePolicy"),
                ("RoleName", &self.name),
                ("PolicyName", self.binary),
                ("PolicyDocument", &policy.to_string()),
            ],
        );
    }
}

fn role_names(stack: &Stack) -> Vec<String> {
    let answer = iam(stack, &[("Action", "ListRoles")]);
    between(&answer, "RoleName").map(str::to_owned).collect()
}

fn iam(stack: &Stack, fields: &[(&str, &str)]) -> String {
    stack.query("iam", "2010-05-08", fields)
}

/// The texts of all elements of a name.
fn between<'t>(xml: &'t str, element: &str) -> impl Iterator<Item = &'t str> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    xml.split(&open as &str)
        .skip(1)
        .map(|rest| rest.split(&close as &str).next().unwrap())
        .collect::<Vec<_>>()
        .into_iter()
}
