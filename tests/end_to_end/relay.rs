//! What a crash left behind is applied.

use domain::{Provider, Status};

use crate::stack::{Stack, eventually};
use crate::tests;
use crate::webhooks::{armada, shipday, states};

tests![
    a_record_that_never_reached_the_queue_is_applied_after_a_run_of_the_relay,
    a_pending_record_that_today_s_mapping_cannot_read_ends_as_unmapped,
];

/// Not in [`TESTS`], because it waits for the schedule's minute.
pub(crate) const SCHEDULED: &[(&str, crate::Test)] = &[(
    "the_schedule_runs_the_relay_by_itself",
    the_schedule_runs_the_relay_by_itself,
)];

fn the_schedule_runs_the_relay_by_itself(stack: &Stack) {
    let _turn = stack.no_run_but_the_schedules();
    let merchant = stack.merchant("scheduled");
    merchant.record_without_sending(armada("S1", "dispatched", "wh_1"));

    let order = merchant.order_with(1, Provider::Armada, "S1");

    assert_eq!(order.state.unwrap().status, Some(Status::EnRouteToPickup));
    assert_eq!(states(stack, &merchant), ["applied"]);
}

fn a_record_that_never_reached_the_queue_is_applied_after_a_run_of_the_relay(stack: &Stack) {
    let merchant = stack.merchant("left-behind");
    merchant.record_without_sending(armada("L1", "dispatched", "wh_1"));
    merchant.record_without_sending(shipday(
        1,
        "ORDER_COMPLETED",
        "ALREADY_DELIVERED",
        1_767_816_000_000,
    ));

    let report = stack.run_relay();

    // The schedule's own run may have been quicker.
    assert!(report["sent"].is_number(), "{report}");
    let armada = merchant.order_with(1, Provider::Armada, "L1");
    let shipday = merchant.order_with(1, Provider::Shipday, "1");
    assert_eq!((armada.entries.len(), armada.revision), (1, 1));
    assert_eq!(shipday.state.unwrap().status, Some(Status::Delivered));
    for record in stack.records(&merchant.id) {
        assert_eq!(record["state"].as_s().unwrap(), "applied");
        assert_eq!(record["forward_attempts"].as_n().unwrap(), "1");
        assert!(record.contains_key("expires_at") && !record.contains_key("due_at_ms"));
    }
}

fn a_pending_record_that_today_s_mapping_cannot_read_ends_as_unmapped(stack: &Stack) {
    let merchant = stack.merchant("no-mapping");
    merchant.record_without_sending(armada("M1", "teleported", "wh_1"));

    stack.run_relay();

    eventually("the record is unmapped", || {
        (states(stack, &merchant) == ["unmapped"]).then_some(())
    });
    assert!(stack.pending(&merchant.id).is_empty());
    assert!(merchant.order(Provider::Armada, "M1").entries.is_empty());
}
