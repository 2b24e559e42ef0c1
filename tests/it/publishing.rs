//! From a state that was saved to what subscribers are told.

use std::collections::{BTreeMap, BTreeSet};

use aws::{StateWrite, read_state_write};
use aws_lambda_events::sqs::SqsBatchResponse;
use domain::{
    ChangeId, Driver, EpochMillis, HeldMessage, Millis, OrderKey, OrderState, Orders as _,
    Provider, Status, StatusChange, StatusChanges as _,
};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use status_publisher::{Batch, Config, EventBus, NamelessFailure, Publisher, Stores};
use testkit::{Fault, NOW, World, sample, sqs_batch, stream_batch};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::clients::clients;
use crate::report::attributes;
use crate::strict_dynamodb::Database;
use crate::support::{Pipeline, order_key, shipday_event};

const HOLD_SECONDS: u64 = 10;
/// How often Lambda hands out what failed, before a test takes it for lost.
const MANY: usize = 50;

pub(crate) type AnyPublisher = Publisher<World, World, World, World>;

/// A publisher around a world.
pub(crate) fn publisher(world: &World, variables: &[(&str, &str)]) -> AnyPublisher {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let stores = Stores {
        bus: world.clone(),
        orders: world.clone(),
        held: world.clone(),
        clock: world.clone(),
    };
    Publisher::new(Config::from_lookup(lookup).unwrap(), stores)
}

fn holding(world: &World) -> AnyPublisher {
    publisher(world, &[("HOLD_SECONDS", "10")])
}

/// The next record of a stream that somebody has read up to here.
#[derive(Default)]
struct Reader {
    next: usize,
}

impl Reader {
    /// Hands over what the stream has, once, and goes on behind it or at the record that failed. `None`: the function died.
    async fn read(&mut self, world: &World, by: &AnyPublisher) -> Option<()> {
        let records = world.stream().split_off(self.next);
        let batch = stream_batch(&records, self.next);
        let answer = or_died(world, by.handle(batch_of(&batch))).await?;
        self.next = match answer.unwrap().batch_item_failures.first() {
            Some(failed) => failed.item_identifier.parse().unwrap(),
            None => self.next + records.len(),
        };
        Some(())
    }

    /// The same until nothing is left.
    async fn read_all(&mut self, world: &World, by: &AnyPublisher) {
        for _ in 0..MANY {
            if self.next == world.stream().len() {
                return;
            }
            self.read(world, by).await;
        }
        panic!("the stream is never read to its end");
    }
}

pub(crate) fn batch_of(event: &Value) -> Batch {
    serde_json::from_value(event.clone()).unwrap()
}

async fn or_died<T>(world: &World, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        let polled = work.as_mut().poll(context);
        if world.process_died() {
            return std::task::Poll::Ready(None);
        }
        polled.map(Some)
    })
    .await
}

/// Hands over the held messages that are due and deletes those that were dealt with.
async fn deliver_due(world: &World, by: &AnyPublisher) -> Option<()> {
    let due = world.due();
    if due.is_empty() {
        return Some(());
    }
    let answer = or_died(world, by.handle(batch_of(&sqs_batch(&due)))).await?;
    let failed = ids(&answer.unwrap());
    let done: Vec<String> = due
        .into_iter()
        .map(|message| message.message_id)
        .filter(|id| !failed.contains(id))
        .collect();
    world.delete_held(&done);
    Some(())
}

async fn deliver_all_due(world: &World, by: &AnyPublisher) {
    for _ in 0..MANY {
        if world.due().is_empty() {
            return;
        }
        deliver_due(world, by).await;
    }
    panic!("a held message is never dealt with");
}

fn ids(answer: &SqsBatchResponse) -> Vec<String> {
    answer
        .batch_item_failures
        .iter()
        .map(|item| item.item_identifier.clone())
        .collect()
}

fn pass(world: &World, seconds: u64) {
    world.set_now(domain::Clock::now_ms(world) + Millis::from_seconds(seconds));
}

fn order(number: usize) -> OrderKey {
    order_key(Provider::Shipday, &number.to_string())
}

fn state(status: Status, at: u64) -> OrderState {
    OrderState {
        status: Some(status),
        status_since_ms: Some(EpochMillis::new(at)),
        status_received_at_ms: Some(NOW),
        event_count: usize::try_from(at).unwrap(),
        ..OrderState::default()
    }
}

/// A world in which one order's state was saved with each of these statuses.
fn world_with(statuses: &[Status]) -> World {
    let world = World::new();
    save(&world, &order(1), statuses);
    world
}

fn save(world: &World, order: &OrderKey, statuses: &[Status]) {
    for status in statuses {
        let revision = world.state(order).map_or(0, |(_, revision)| revision);
        world.save_state(order, &state(*status, revision + 1));
    }
}

/// What was published, as texts: `revision: from > to`.
fn told(world: &World) -> Vec<String> {
    world.published().iter().map(in_words).collect()
}

fn in_words(change: &StatusChange) -> String {
    let from = change.from.map_or("-", Status::as_str);
    let corrected = if change.corrected { ", corrected" } else { "" };
    format!("{}: {from} > {}{corrected}", change.revision, change.to)
}

// ---------------------------------------------------------------- at once

#[tokio::test]
async fn the_sample_of_the_stream_is_an_order_as_it_is_saved_and_is_published() {
    let sample: Value = serde_json::from_str(&sample("stream/delivered.json")).unwrap();
    let world = World::new();

    let answer = publisher(&world, &[]).handle(batch_of(&sample)).await;

    assert_eq!(ids(&answer.unwrap()), Vec::<String>::new());
    assert_eq!(told(&world), ["5: in_transit > delivered"]);
    let change = &sample["Records"][0]["dynamodb"];
    let StateWrite::Saved(saved) = read_state_write(change.clone()).unwrap() else {
        panic!("a state was saved");
    };
    for (name, state) in [
        ("OldImage", saved.old.unwrap().state),
        ("NewImage", saved.new.state),
    ] {
        let database = Database::start().await;
        database.orders().save(&saved.order, &state).await.unwrap();
        let scan = database.client.scan().table_name("OrdersTable");
        let items = scan.send().await.unwrap().items.unwrap();
        let mut item = attributes(&items[0]);
        item["revision"] = change[name]["revision"].clone();
        assert_eq!(item, change[name]);
    }
}

#[tokio::test]
async fn only_changes_of_the_status_are_published_and_each_once() {
    let pipeline = Pipeline::new();
    let world = &pipeline.world;
    let at = |minute: u64| 1_767_816_000_000 + 60_000 * minute;
    for webhook in [
        shipday_event(7, "ORDER_ASSIGNED", "NOT_ACCEPTED", at(1)),
        shipday_event(7, "ORDER_PIKEDUP", "PICKED_UP", at(5)),
        // Late, again, and the same status from another event.
        shipday_event(7, "ORDER_ACCEPTED_AND_STARTED", "STARTED", at(2)),
        shipday_event(7, "ORDER_PIKEDUP", "PICKED_UP", at(5)),
        shipday_event(7, "ORDER_PIKEDUP", "PICKED_UP", at(6)),
        shipday_event(7, "ORDER_COMPLETED", "ALREADY_DELIVERED", at(9)),
    ] {
        pipeline.post(&webhook).await;
        pipeline.drain().await;
    }

    Reader::default()
        .read_all(world, &publisher(world, &[]))
        .await;

    let key = order_key(Provider::Shipday, "7");
    let (saved, revision) = world.state(&key).unwrap();
    assert_eq!(told(world).len(), 3, "{:?}", told(world));
    let last = world.published().pop().unwrap();
    assert_eq!(last.id, ChangeId::of(&key, revision));
    assert_eq!(
        (last.from, last.to),
        (Some(Status::PickedUp), Status::Delivered)
    );
    assert_eq!(Some(last.occurred_at_ms), saved.status_since_ms);
    assert_eq!(last.received_at_ms, Some(NOW));
    assert_eq!(
        (last.merchant_id, last.order_id),
        (key.merchant_id, key.order_id)
    );
}

#[tokio::test]
async fn what_unsays_an_end_is_a_correction() {
    use Status::{Delivered, Failed, Pending, PickedUp};
    let world = world_with(&[PickedUp, Failed, Pending, Delivered, Failed]);

    Reader::default()
        .read_all(&world, &publisher(&world, &[]))
        .await;

    assert_eq!(
        told(&world),
        [
            "1: - > picked_up",
            "2: picked_up > failed",
            "3: failed > pending, corrected",
            "4: pending > delivered",
            "5: delivered > failed, corrected",
        ]
    );
}

#[tokio::test]
async fn a_batch_that_comes_again_has_the_same_events_in_it() {
    let world = world_with(&[Status::Assigned, Status::PickedUp, Status::Delivered]);
    let publisher = publisher(&world, &[]);

    Reader::default().read_all(&world, &publisher).await;
    let first = world.published();
    Reader::default().read_all(&world, &publisher).await;

    let all = world.published();
    assert_eq!(all, [first.clone(), first.clone()].concat());
    let ids: BTreeSet<_> = first.iter().map(|change| &change.id).collect();
    assert_eq!(ids.len(), first.len());
}

#[tokio::test]
async fn an_erased_order_is_not_published() {
    let world = world_with(&[Status::Assigned]);
    for variables in [[("HOLD_SECONDS", "0")], [("HOLD_SECONDS", "10")]] {
        let publisher = publisher(&world, &variables);
        let mut reader = Reader::default();
        reader.read_all(&world, &publisher).await;
        let before = told(&world);

        world.erase_state(&order(1));
        reader.read_all(&world, &publisher).await;

        assert_eq!(told(&world), before);
        save(&world, &order(1), &[Status::Assigned]);
    }
}

#[tokio::test]
async fn the_driver_is_told_only_where_the_stack_is_set_to() {
    let world = World::new();
    let mut driven = state(Status::Assigned, 1);
    driven.details.driver = Some(Driver {
        name: Some("A driver".to_owned()),
        ..Driver::default()
    });
    driven.details.tracking_url = Some("https://example.com/1".to_owned());
    driven.details.proof_of_delivery_urls = vec!["https://example.com/proof".to_owned()];
    world.save_state(&order(1), &driven);

    for (value, tells) in [("false", false), ("true", true)] {
        let publisher = publisher(&world, &[("PUBLISH_DRIVER", value)]);
        Reader::default().read_all(&world, &publisher).await;

        let change = world.published().pop().unwrap();
        assert_eq!(change.driver.is_some(), tells);
        assert_eq!(change.tracking_url.is_some(), tells);
        let text = serde_json::to_string(&change).unwrap();
        assert!(!text.contains("proof"), "{text}");
    }
}

#[tokio::test]
async fn two_changes_of_one_order_are_never_in_one_request() {
    let world = World::new();
    for number in 0..25 {
        save(
            &world,
            &order(number),
            &[Status::Assigned, Status::PickedUp],
        );
    }

    Reader::default()
        .read_all(&world, &publisher(&world, &[]))
        .await;

    // The adapter cuts these into requests of ten.
    assert_eq!(world.requests_to_bus(), [25, 25]);
    let mut last: BTreeMap<OrderKey, u64> = BTreeMap::new();
    for change in world.published() {
        let before = last.insert(change.order_key(), change.revision);
        assert!(before < Some(change.revision), "in order for each order");
    }
}

#[tokio::test]
async fn a_refused_change_holds_up_its_order_and_no_other() {
    let world = World::new();
    save(&world, &order(1), &[Status::Assigned]);
    save(&world, &order(2), &[Status::Assigned, Status::PickedUp]);
    save(&world, &order(3), &[Status::Assigned]);
    world.refuse_changes(&order(2), true);
    let publisher = publisher(&world, &[]);
    let mut reader = Reader::default();

    reader.read(&world, &publisher).await;

    // The second record is the first that failed. What is behind it comes again.
    assert_eq!(reader.next, 1);
    let orders: Vec<_> = world
        .published()
        .iter()
        .map(StatusChange::order_key)
        .collect();
    assert_eq!(orders, [order(1), order(3)]);

    world.refuse_changes(&order(2), false);
    reader.read_all(&world, &publisher).await;

    let of_second: Vec<_> = world
        .published()
        .into_iter()
        .filter(|change| change.order_key() == order(2))
        .map(|change| change.revision)
        .collect();
    assert_eq!(of_second, [1, 2]);
    assert_eq!(world.published().len(), 5, "the third came twice");
}

async fn answer(world: &World, event: &Value) -> Result<Vec<String>, NamelessFailure> {
    let answer = publisher(world, &[]).handle(batch_of(event)).await;
    answer.map(|answer| ids(&answer))
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named_and_the_others_are_published() {
    for spoil in [
        |record: &mut Value| record["dynamodb"]["NewImage"]["revision"] = json!({ "S": "x" }),
        |record: &mut Value| {
            record["dynamodb"]["NewImage"]["status"] = json!({ "S": "teleported" })
        },
        |record: &mut Value| record["dynamodb"]["Keys"]["pk"] = json!({ "S": "nobody" }),
        |record: &mut Value| record["dynamodb"]["Keys"] = json!(null),
    ] {
        let world = World::new();
        for number in 0..3 {
            save(&world, &order(number), &[Status::Assigned]);
        }
        let mut event = stream_batch(&world.stream(), 70);
        spoil(&mut event["Records"][1]);

        assert_eq!(
            answer(&world, &event).await.unwrap(),
            [format!("{:021}", 71)]
        );
        assert_eq!(world.published().len(), 2);

        event["Records"][1]["dynamodb"]["SequenceNumber"] = json!("");
        answer(&world, &event).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_timelines_entries_and_an_empty_batch_are_nothing() {
    let world = world_with(&[Status::Assigned]);
    let mut event = stream_batch(&world.stream(), 1);
    event["Records"][0]["dynamodb"]["Keys"]["sk"] = json!({ "S": "event#0000000000001#a#-" });

    assert_eq!(answer(&world, &event).await.unwrap(), [""; 0]);
    assert_eq!(
        answer(&world, &json!({ "Records": [] })).await.unwrap(),
        [""; 0]
    );
    assert_eq!(world.calls(), [""; 0]);
}

#[tokio::test]
async fn a_panic_is_the_failure_of_the_changes_it_met() {
    let world = world_with(&[Status::Assigned]);
    world.fail_next("publish", Fault::Panic);
    let mut reader = Reader::default();

    reader.read(&world, &publisher(&world, &[])).await;

    assert_eq!(reader.next, 0);
    reader.read_all(&world, &publisher(&world, &[])).await;
    assert_eq!(told(&world), ["1: - > assigned"]);
}

/// Answers one request with this body, and gives what it asked for.
async fn answer_once(listener: TcpListener, body: &str) -> Value {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    let asked = loop {
        assert!(client.read_buf(&mut received).await.unwrap() > 0);
        let text = String::from_utf8_lossy(&received);
        if let Some((_, asked)) = text.split_once("\r\n\r\n")
            && let Ok(asked) = serde_json::from_str(asked)
        {
            break asked;
        }
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    client
        .write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())
        .await
        .unwrap();
    asked
}

#[tokio::test]
async fn of_a_request_to_the_bus_each_event_is_looked_at() {
    let world = World::new();
    for number in 0..4 {
        save(&world, &order(number), &[Status::Assigned]);
    }
    Reader::default()
        .read_all(&world, &publisher(&world, &[]))
        .await;
    let changes = world.published();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let bus = EventBus::new(&clients(&endpoint).config_for_eventbridge(), "a-bus");
    // One refused, and of the last nothing is said.
    let said = r#"{"FailedEntryCount":1,"Entries":[{"EventId":"1"},{"ErrorCode":"ThrottlingException","ErrorMessage":"canary"},{"EventId":"3"}]}"#;

    let (asked, taken) = tokio::join!(answer_once(listener, said), bus.publish(&changes));

    let outcomes: Vec<String> = taken
        .into_iter()
        .map(|taken| taken.map_or_else(|error| error.with_causes(), |()| "taken".to_owned()))
        .collect();
    assert_eq!(
        outcomes,
        [
            "taken",
            "event put did not succeed: the service said ThrottlingException",
            "taken",
            "event put did not succeed: the service said nothing",
        ]
    );
    let entries = asked["Entries"].as_array().unwrap();
    assert_eq!(entries.len(), 4);
    for (entry, change) in entries.iter().zip(&changes) {
        let detail: StatusChange = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        assert_eq!(detail, *change);
        assert_eq!(entry["Source"], "delivery-webhooks");
        assert_eq!(entry["DetailType"], "OrderStatusChanged");
        assert_eq!(entry["EventBusName"], "a-bus");
    }
}

// ---------------------------------------------------------------- held back

#[tokio::test]
async fn a_delivered_order_is_told_after_the_hold_if_it_stands() {
    let world = world_with(&[Status::PickedUp, Status::Delivered]);
    let publisher = holding(&world);
    let mut reader = Reader::default();
    reader.read_all(&world, &publisher).await;
    assert_eq!(told(&world), ["1: - > picked_up"]);

    pass(&world, HOLD_SECONDS - 1);
    assert!(world.due().is_empty());
    // Something else is learned about the order meanwhile.
    save(&world, &order(1), &[Status::Delivered]);
    reader.read_all(&world, &publisher).await;
    pass(&world, 1);
    deliver_all_due(&world, &publisher).await;

    assert_eq!(told(&world)[1..], ["2: picked_up > delivered"]);
    assert!(world.held().is_empty());
}

#[tokio::test]
async fn a_status_that_is_taken_back_in_time_is_never_told() {
    use Status::{Delivered, Failed, PickedUp};
    for (statuses, expected) in [
        (&[Delivered, PickedUp][..], &[][..]),
        (&[Delivered, Failed, PickedUp], &[]),
        (&[Failed, Delivered], &["3: picked_up > delivered"]),
        (
            &[Delivered, PickedUp, Delivered],
            &["4: picked_up > delivered"],
        ),
        (
            &[Delivered, Failed, Delivered],
            &["4: picked_up > delivered"],
        ),
        (
            &[Delivered, Status::InTransit],
            &["3: picked_up > in_transit"],
        ),
        (
            &[Delivered, Status::InTransit, Delivered],
            &["3: picked_up > in_transit", "4: in_transit > delivered"],
        ),
    ] {
        // The stream may tell at once, or only when the first change is due already.
        for lags in [false, true] {
            let world = world_with(&[PickedUp]);
            let publisher = holding(&world);
            let mut reader = Reader::default();
            reader.read_all(&world, &publisher).await;
            for status in statuses {
                save(&world, &order(1), &[*status]);
                if !lags {
                    reader.read_all(&world, &publisher).await;
                }
            }
            for _ in 0..3 {
                reader.read_all(&world, &publisher).await;
                pass(&world, HOLD_SECONDS);
                deliver_all_due(&world, &publisher).await;
            }

            assert_eq!(told(&world)[1..], *expected, "{statuses:?}, lags: {lags}");
        }
    }
}

#[tokio::test]
async fn an_order_that_is_erased_while_a_change_is_held_is_not_told() {
    let world = world_with(&[Status::PickedUp, Status::Delivered]);
    let publisher = holding(&world);
    let mut reader = Reader::default();
    reader.read_all(&world, &publisher).await;

    world.erase_state(&order(1));
    reader.read_all(&world, &publisher).await;
    pass(&world, HOLD_SECONDS);
    deliver_all_due(&world, &publisher).await;

    assert_eq!(told(&world), ["1: - > picked_up"]);
    assert_eq!(world.progress(&order(1)), None);
}

#[tokio::test]
async fn what_is_held_when_the_hold_is_switched_off_is_still_told() {
    let world = world_with(&[Status::PickedUp, Status::Delivered]);
    let mut reader = Reader::default();
    reader.read_all(&world, &holding(&world)).await;

    pass(&world, HOLD_SECONDS);
    deliver_all_due(&world, &publisher(&world, &[])).await;

    assert_eq!(told(&world)[1..], ["2: picked_up > delivered"]);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_fails_alone() {
    let world = world_with(&[Status::PickedUp, Status::Delivered]);
    let publisher = holding(&world);
    Reader::default().read_all(&world, &publisher).await;
    for body in ["poison", "{}", r#"{"republish":"no order"}"#] {
        world.enqueue_held(body);
    }
    pass(&world, HOLD_SECONDS);

    deliver_due(&world, &publisher).await;

    assert_eq!(world.held().len(), 3);
    assert_eq!(told(&world).len(), 2);
}

#[tokio::test]
async fn an_operator_may_have_an_order_told_again() {
    let world = world_with(&[Status::PickedUp, Status::Delivered]);
    for key in [order(1), order(2)] {
        let message = HeldMessage::Republish(key.to_string());
        world.enqueue_held(&serde_json::to_string(&message).unwrap());
    }

    deliver_all_due(&world, &publisher(&world, &[])).await;

    let change = world.published().pop().unwrap();
    assert_eq!(told(&world), ["2: - > delivered"]);
    assert!(change.republished);
    assert_eq!(change.id, ChangeId::of(&order(1), 2));
}

/// Every call that the publisher makes while a change is held, taken back and made again.
const CALLS: [&str; 4] = ["publish", "standing", "keep", "hold"];

#[tokio::test]
async fn no_single_fault_makes_a_change_be_lost_or_told_of_what_did_not_stand() {
    use Status::{Delivered, Failed, InTransit, PickedUp};
    let lives: [&[Status]; 4] = [
        &[PickedUp, Delivered],
        &[PickedUp, Delivered, InTransit, Delivered],
        &[PickedUp, Delivered, PickedUp, Failed],
        &[PickedUp, Failed, Delivered],
    ];
    let faults = [
        Fault::Before,
        Fault::After,
        Fault::Repeated,
        Fault::Panic,
        Fault::DiesBefore,
        Fault::DiesAfter,
    ];
    let mut met = 0;
    for life in lives {
        for call in CALLS {
            for fault in faults {
                for number in 0..8 {
                    for at_once in [false, true] {
                        met += usize::from(tell_with(life, call, fault, number, at_once).await);
                    }
                }
            }
        }
    }
    assert!(met > 500, "{met} faults were met");
}

/// Tells of an order's life with a fault at one call, and checks what subscribers make of it. Whether the fault was met.
async fn tell_with(
    life: &[Status],
    call: &'static str,
    fault: Fault,
    number: usize,
    at_once: bool,
) -> bool {
    let case = format!("{life:?}, {fault:?} at {call} number {number}, at once: {at_once}");
    let world = World::new();
    let mut calls = 0;
    world.set_weather(move |name| {
        calls += usize::from(name == call);
        (name == call && calls == number + 1).then_some(fault)
    });
    let publisher = holding(&world);
    let mut reader = Reader::default();
    for status in life {
        save(&world, &order(1), &[*status]);
        if !at_once {
            reader.read_all(&world, &publisher).await;
        }
    }
    for _ in 0..4 {
        reader.read_all(&world, &publisher).await;
        pass(&world, HOLD_SECONDS);
        deliver_all_due(&world, &publisher).await;
    }

    let mut told: BTreeMap<u64, StatusChange> = BTreeMap::new();
    for change in world.published() {
        let again = told.insert(change.revision, change.clone());
        // The same id says the same.
        assert!(again.is_none_or(|before| before == change), "{case}");
    }
    let known: Vec<Status> = told.values().map(|change| change.to).collect();
    assert_eq!(known.last(), life.last(), "{case}: {known:?}");
    let mut before = None;
    for change in told.values() {
        assert_eq!(change.from, before, "{case}: {told:?}");
        before = Some(change.to);
    }
    assert!(
        !known.contains(&Status::Failed) || life.ends_with(&[Status::Failed]),
        "{case}"
    );
    world.fault_count() > 0
}

/// Runs two pieces of work, now the one for a step and now the other, as the seed has it.
async fn in_turns(seed: u64, one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut work = [Some(one.boxed_local()), Some(other.boxed_local())];
    std::future::poll_fn(|context| {
        let slot = &mut work[usize::from(random.bool())];
        if slot
            .as_mut()
            .is_some_and(|it| it.poll_unpin(context).is_ready())
        {
            *slot = None;
        }
        if work.iter().all(Option::is_none) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[tokio::test]
async fn a_change_that_comes_due_while_another_is_read_leaves_subscribers_with_the_last() {
    use Status::{Delivered, InTransit, PickedUp};
    for then in [PickedUp, InTransit] {
        for seed in 0..500 {
            let world = World::interleaved(seed);
            save(&world, &order(1), &[PickedUp, Delivered]);
            let publisher = holding(&world);
            let mut reader = Reader::default();
            reader.read_all(&world, &publisher).await;
            pass(&world, HOLD_SECONDS);

            let saved_and_read = async {
                save(&world, &order(1), &[then]);
                reader.read_all(&world, &publisher).await;
            };
            let due = deliver_all_due(&world, &publisher);
            in_turns(seed, saved_and_read, due).await;

            let last = world
                .published()
                .into_iter()
                .max_by_key(|change| change.revision)
                .unwrap();
            assert_eq!(last.to, then, "{seed}: {:?}", told(&world));
        }
    }
}

#[test]
fn a_read_of_the_stream_that_is_never_answered_is_ended_by_lambda() {
    let world = world_with(&[Status::Assigned]);
    world.fail_next("publish", Fault::HangAfter);
    let publisher = publisher(&world, &[]);
    let event = stream_batch(&world.stream(), 0);

    let pending = publisher.handle(batch_of(&event)).now_or_never();

    assert!(pending.is_none());
    assert_eq!(
        told(&world).len(),
        1,
        "it may have been published all the same"
    );
}
