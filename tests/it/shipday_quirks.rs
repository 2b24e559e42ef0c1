//! Shipday's quirks, each with what it must come to. The samples are reconstructed as events/README.md says.

use domain::{EpochMillis, Provider, Status};
use testkit::sample_bytes;

use crate::support::{Pipeline, order_key};

/// The event that a sample is read as, seen where it ends up: in the order's timeline.
async fn event(name: &str) -> (Pipeline, domain::OrderKey, domain::TimelineEntry) {
    let pipeline = Pipeline::new();
    let answered = pipeline
        .post(&testkit::shipday(sample_bytes(&format!(
            "shipday/{name}.json"
        ))))
        .await;
    assert_eq!(answered.word(), "accepted", "{name}");
    pipeline.drain().await;
    let order = pipeline
        .world
        .orders()
        .pop()
        .unwrap_or_else(|| panic!("{name} is no event"));
    let entry = pipeline.world.timeline(&order).pop_first().unwrap().1;
    (pipeline, order, entry)
}

async fn details(name: &str) -> domain::Details {
    event(name).await.2.details
}

async fn status(name: &str) -> Option<Status> {
    let (pipeline, order, _) = event(name).await;
    pipeline.world.state(&order).unwrap().0.status
}

#[tokio::test]
async fn an_empty_eta_is_no_eta_and_digits_are_one() {
    assert_eq!(details("quirk-eta-empty-text").await.schedule.eta_ms, None);
    for name in ["quirk-eta-digits-as-text", "quirk-eta-number"] {
        assert!(details(name).await.schedule.eta_ms.is_some(), "{name}");
    }
}

#[tokio::test]
async fn order_items_may_be_a_text_or_a_list_and_never_matter() {
    assert_eq!(
        status("quirk-order-item-text").await,
        Some(Status::PickedUp)
    );
    assert_eq!(
        status("quirk-order-item-array").await,
        Some(Status::PickedUp)
    );
}

#[tokio::test]
async fn an_empty_proof_link_is_no_proof() {
    assert!(
        details("quirk-pod-urls-with-empty-text")
            .await
            .proof_of_delivery_urls
            .is_empty()
    );
    assert!(
        details("quirk-pod-urls-absent")
            .await
            .proof_of_delivery_urls
            .is_empty()
    );
    assert!(
        !details("ORDER_POD_UPLOAD")
            .await
            .proof_of_delivery_urls
            .is_empty()
    );
}

#[tokio::test]
async fn fractional_distances_do_no_harm() {
    assert_eq!(
        status("quirk-fractional-distance").await,
        Some(Status::PickedUp)
    );
}

#[tokio::test]
async fn seconds_and_milliseconds_are_told_apart_by_size() {
    let (_, _, entry) = event("quirk-timestamp-in-seconds").await;
    assert!(
        entry.occurred_at_ms > EpochMillis::new(1_500_000_000_000),
        "{}",
        entry.occurred_at_ms
    );

    let fleet = details("quirk-third-party-inserted-at-seconds")
        .await
        .third_party
        .unwrap();
    assert!(fleet.handed_over_at_ms.unwrap() > EpochMillis::new(1_500_000_000_000));
}

#[tokio::test]
async fn zero_and_minus_one_stand_for_none() {
    assert_eq!(details("quirk-parent-id-zero").await.parent_order_id, None);
    assert!(
        details("quirk-parent-id-set")
            .await
            .parent_order_id
            .is_some()
    );
    assert_eq!(
        status("quirk-current-order-minus-one").await,
        Some(Status::PickedUp)
    );
    let milestones = details("quirk-milestone-zero").await.reported_milestones;
    assert!(
        milestones.values().all(|at| at.as_millis() > 0),
        "{milestones:?}"
    );
}

#[tokio::test]
async fn nulls_missing_objects_and_quoted_numbers_cost_nothing() {
    for name in [
        "quirk-nulls",
        "quirk-missing-objects",
        "quirk-numbers-as-text",
        "quirk-optional-fields-absent",
    ] {
        assert_eq!(status(name).await, Some(Status::PickedUp), "{name}");
    }
}

#[tokio::test]
async fn placeholder_texts_are_nothing() {
    let told = details("quirk-placeholder-texts").await;
    let text = format!("{told:?}");

    assert!(
        !text.contains("NOT PROVIDED") && !text.contains("N/A"),
        "{text}"
    );
}

#[tokio::test]
async fn the_misspelt_pickup_and_its_corrections_are_one_event() {
    for name in [
        "ORDER_PIKEDUP",
        "quirk-picked-up-corrected-spelling",
        "quirk-picked-up-underscored-spelling",
    ] {
        assert_eq!(status(name).await, Some(Status::PickedUp), "{name}");
        let mut body: serde_json::Value =
            serde_json::from_slice(&sample_bytes(&format!("shipday/{name}.json"))).unwrap();
        body.as_object_mut().unwrap().remove("order_status");
        let pipeline = Pipeline::new();
        pipeline.post(&testkit::shipday(body.to_string())).await;
        pipeline.drain().await;
        let order = pipeline.world.orders().pop().unwrap();

        assert_eq!(
            pipeline
                .state(Provider::Shipday, order.order_id.as_str())
                .status,
            Some(Status::PickedUp),
            "{name}"
        );
    }
}

#[tokio::test]
async fn other_statuses_in_the_body_never_decide() {
    for name in [
        "quirk-carrier-offline",
        "quirk-auto-assignment-not-assigned",
        "quirk-third-party-lags",
    ] {
        let (pipeline, order, entry) = event(name).await;
        let word = entry.word.status.clone().unwrap();

        let expected = match word.as_str() {
            "PICKED_UP" => Status::PickedUp,
            "NOT_ACCEPTED" => Status::Assigned,
            other => panic!("{name} has order_status {other}: extend this table"),
        };
        assert_eq!(
            pipeline.world.state(&order).unwrap().0.status,
            Some(expected),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_outside_fleets_driver_stands_in_for_an_empty_carrier() {
    let driver = details("quirk-third-party-empty-carrier")
        .await
        .driver
        .unwrap();

    assert!(driver.name.is_some());
    assert_eq!(driver.id, None);
}

#[tokio::test]
async fn money_keeps_three_decimal_places() {
    let told = details("quirk-money-three-decimals").await;

    assert_eq!(told.delivery_fee.unwrap().scale(), 3);
}

#[tokio::test]
async fn phones_stay_text_and_unknown_fields_are_passed_over() {
    assert!(
        details("quirk-phone-odd")
            .await
            .driver
            .unwrap()
            .phone
            .is_some()
    );
    assert_eq!(status("quirk-unknown-fields").await, Some(Status::PickedUp));
    assert_eq!(
        status("quirk-event-lower-case").await,
        Some(Status::PickedUp)
    );
    assert_eq!(
        status("quirk-order-sequence-zero").await,
        Some(Status::PickedUp)
    );
}

#[tokio::test]
async fn objects_nested_in_the_order_are_found_as_well() {
    let (nested, beside) = (
        details("quirk-nested-objects").await,
        details("ORDER_PIKEDUP").await,
    );

    assert!(nested.driver.is_some() && beside.driver.is_some());
    assert!(nested.currency.is_some() && beside.currency.is_some());
}

#[tokio::test]
async fn orders_are_told_apart_by_id_and_not_by_number() {
    let (_, order, entry) = event("quirk-order-number-not-unique").await;
    let (_, other, other_entry) = event("ORDER_PIKEDUP").await;

    assert_ne!(order, other);
    assert_eq!(entry.details.order_number, other_entry.details.order_number);
}

#[tokio::test]
async fn the_event_decides_without_a_status_and_the_status_without_an_event() {
    for name in [
        "missing-status",
        "unknown-status",
        "missing-event",
        "unknown-event",
    ] {
        assert!(status(name).await.is_some(), "{name}");
    }
}

/// The whole life of the sample order, delivered in any order, ends as its last word says: delivered, and
/// the deletion a day later is history.
#[tokio::test]
async fn the_sample_life_ends_delivered_in_whatever_order_it_arrives() {
    let life = [
        "ORDER_INSERTED",
        "ORDER_ASSIGNED",
        "ORDER_UNASSIGNED",
        "ORDER_ACCEPTED_AND_STARTED",
        "ORDER_PIKEDUP",
        "ORDER_PIKEDUP_REMOVED",
        "ORDER_ONTHEWAY",
        "ORDER_ONTHEWAY_REMOVED",
        "ORDER_POD_UPLOAD",
        "ORDER_FAILED",
        "ORDER_INCOMPLETE",
        "ORDER_COMPLETED",
        "ORDER_DELETE",
    ];
    let mut states = Vec::new();
    for rotation in 0..life.len() {
        let pipeline = Pipeline::new();
        pipeline.world.set_now(EpochMillis::new(4_000_000_000_000));
        let mut arrival = life;
        arrival.rotate_left(rotation);
        arrival.reverse();
        for name in arrival {
            pipeline
                .post(&testkit::shipday(sample_bytes(&format!(
                    "shipday/{name}.json"
                ))))
                .await;
            pipeline.drain().await;
        }
        states.push(
            pipeline
                .world
                .state(&order_key(Provider::Shipday, "48210377"))
                .unwrap()
                .0,
        );
    }

    states.dedup();
    assert_eq!(states.len(), 1, "the order of arrival must not matter");
    assert_eq!(states[0].status, Some(Status::Delivered));
    assert!(states[0].corrected, "failed, then delivered after all");
    assert_eq!(states[0].event_count, life.len());
}
