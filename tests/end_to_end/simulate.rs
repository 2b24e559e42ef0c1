//! The provider simulator, on the deployed stack.

use domain::{OrderKey, OrderState, Orders as _, Provider, SaveOutcome, Status};
use serde_json::Value;

use crate::stack::{Merchant, Stack};
use crate::tests;

tests![
    simulated_orders_end_as_planned_whatever_happens_on_the_way,
    an_order_that_is_not_as_simulated_is_named_with_the_command_that_explains_it,
];

/// What a simulation said, and its exit code.
pub(crate) struct Simulated {
    pub(crate) code: i32,
    pub(crate) verdict: Value,
    pub(crate) stderr: String,
}

pub(crate) fn simulate(
    stack: &Stack,
    merchant: &Merchant<'_>,
    arguments: &[impl AsRef<std::ffi::OsStr>],
) -> Simulated {
    let output = stack
        .hookctl()
        .args(["simulate", "--json", "--installation-id", "installation"])
        .args(["--merchant", merchant.id.as_str()])
        .args(["--app-id", &format!("app-of-{}", merchant.id)])
        .args(["--token", &format!("token-of-{}", merchant.id)])
        .args(arguments)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let verdict = serde_json::from_slice(&output.stdout);
    Simulated {
        code: output.status.code().unwrap(),
        verdict: verdict.unwrap_or_else(|error| panic!("{error}: {stderr}")),
        stderr,
    }
}

fn simulated_orders_end_as_planned_whatever_happens_on_the_way(stack: &Stack) {
    let merchant = stack.merchant("simulated");
    let disturbed = [
        "--orders=24",
        "--rate=60",
        "--seed=7",
        "--duplicates=40",
        "--retries=30",
        "--reordered=50",
        "--late=20",
        "--corrupt=20",
        "--forged=20",
    ];
    let Simulated {
        code,
        verdict,
        stderr,
    } = simulate(stack, &merchant, &disturbed);

    assert_eq!(code, 0, "{verdict:#} {stderr}");
    assert_eq!(verdict["right"], true);
    assert_eq!(verdict["seed"], 7);
    assert_eq!(verdict["orders"]["right"], 24);
    for answer in [
        "accepted",
        "duplicate",
        "ignored",
        "unreadable_400",
        "refused_401",
    ] {
        assert!(
            verdict["answers"][answer].as_u64() > Some(0),
            "{answer}: {verdict:#}"
        );
    }
    assert_eq!(verdict["answers"]["unexpected"], 0);
    assert!(verdict["answer_latency_ms"]["p99"].as_f64() > Some(0.0));
    // The same run again finds everything done.
    let again = simulate(stack, &merchant, &disturbed);
    assert_eq!(again.code, 0, "{:#} {}", again.verdict, again.stderr);
    assert_eq!(again.verdict["answers"]["accepted"], 0);
}

fn an_order_that_is_not_as_simulated_is_named_with_the_command_that_explains_it(stack: &Stack) {
    let merchant = stack.merchant("simulated-wrong");
    // An order that another run has brought to an end with more events.
    let order = OrderKey {
        merchant_id: merchant.id.clone(),
        provider: Provider::Armada,
        order_id: "sim-11-0".parse().unwrap(),
    };
    let state = OrderState {
        status: Some(Status::AtDropoff),
        event_count: 400,
        ..OrderState::default()
    };
    let saved = stack.wait_for(stack.orders().save(&order, &state)).unwrap();
    assert_eq!(saved, SaveOutcome::Saved);

    let arguments = ["--orders=3", "--rate=60", "--seed=11", "--timeout=30"];
    let Simulated { code, verdict, .. } = simulate(stack, &merchant, &arguments);

    assert_eq!((code, &verdict["right"]), (1, &Value::Bool(false)));
    let orders = &verdict["orders"];
    assert_eq!((&orders["right"], &orders["wrong"]), (&2.into(), &1.into()));
    let wrong = &orders["discrepancies"][0];
    assert_eq!(wrong["found"]["status"], "at_dropoff");
    let explained = wrong["explained_by"].as_str().unwrap();
    assert!(
        explained.ends_with("order show simulated-wrong armada sim-11-0"),
        "{explained}"
    );
}
