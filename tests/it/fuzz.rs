//! Hostile input at every door, bounded and repeatable: both providers' whole ingest path, from the gateway's
//! event to the closed record, and the consumer's message.
//!
//! The inputs are the samples of `events/` and the files of `tests/corpus/`, as they are and changed at random.
//! The seed is fixed, so that `make test` fails for what was changed and never by chance. To look further:
//!
//! ```sh
//! PROPTEST_CASES=20000 PROPTEST_RNG_SEED=7 cargo test -p pipeline-tests --test it fuzz::
//! ```
//!
//! A failure prints the smallest input that still fails, and the same two variables bring it back. What it
//! found becomes a file in the corpus.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use aws::message_text;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::{
    CompanyId, CompressedBody, Interpretation, OrderEvent, Payload, Provider, QueueMessage,
    RecordState, Sha256Hex, TimelineEntry, WebhookKey,
};
use expect_test::expect_file;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use providers::adapter;
use serde_json::{Value, json};
use testkit::{
    Fault, Webhook, World, all_samples, http_api_event, rest_api_event, sample, sample_bytes,
    shipday_credential, sqs_batch,
};

use crate::limits::{LARGEST_ITEM, LARGEST_MESSAGE, record_size};
use crate::mutation::{Change, HeaderChange, changed, changes, header_changes};
use crate::support::{Answered, Pipeline, SENT_AT};

/// How many inputs each test tries for every case that `PROPTEST_CASES` asks for (256 without it).
const INPUTS_PER_CASE: u32 = 8;

/// The files of a folder of `tests/corpus`, by name.
fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

/// Runs `property` on many inputs, always the same ones unless the environment says otherwise.
fn check<T: std::fmt::Debug>(inputs: impl Strategy<Value = T>, property: impl Fn(T)) {
    let mut config = Config::default();
    config.cases *= INPUTS_PER_CASE;
    config.failure_persistence = None;
    config.max_shrink_iters = 500;
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0);
    }
    let seed = config.rng_seed;
    let outcome = TestRunner::new(config).run(&inputs, |input| {
        property(input);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("seed {seed:?}: {failure}");
    }
}

fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work)
}

/// How often something came out, so that the inputs cannot all end at the same door without anybody noticing.
#[derive(Default)]
struct Tally(RefCell<BTreeMap<String, u32>>);

impl Tally {
    fn count(&self, what: impl Into<String>) {
        *self.0.borrow_mut().entry(what.into()).or_default() += 1;
    }

    #[track_caller]
    fn has_all(&self, expected: &[&str]) {
        if Config::default().cases < 256 {
            return; // too few inputs to come everywhere
        }
        let counts = self.0.borrow();
        let missing: Vec<_> = expected
            .iter()
            .filter(|what| !counts.contains_key(**what))
            .collect();
        assert!(
            missing.is_empty(),
            "no input came to {missing:?}: {counts:#?}"
        );
    }
}

// ---------------------------------------------------------------- ingest

/// A request: a real webhook, what is changed in it, and the circumstances it meets.
#[derive(Clone, Debug)]
struct Attack {
    sample: Index,
    body: Vec<Change>,
    headers: Vec<HeaderChange>,
    query: String,
    rest_api: bool,
    base64: bool,
    company_registered: bool,
    fault: Option<(&'static str, Fault)>,
}

fn attacks() -> impl Strategy<Value = Attack> {
    let query = select(vec![
        "",
        "",
        "",
        "k=",
        "k=a&k=b",
        "token=a",
        "%",
        "%ff=%00",
        "a b",
        "{\"<>\\^`|}",
        "é\u{2028}",
        "#",
        "?&=",
    ]);
    let fault = (
        select(vec!["find", "put_if_absent", "put_if_absent", "send"]),
        select(vec![
            Fault::Before,
            Fault::After,
            Fault::HangBefore,
            Fault::HangAfter,
        ]),
    );
    (
        any::<Index>(),
        changes(),
        header_changes(),
        query,
        any::<bool>(),
        any::<bool>(),
        proptest::bool::weighted(0.1),
        proptest::option::weighted(0.2, fault),
    )
        .prop_map(
            |(sample, body, headers, query, rest_api, base64, company_registered, fault)| Attack {
                sample,
                body,
                headers,
                query: query.to_owned(),
                rest_api,
                base64,
                company_registered,
                fault,
            },
        )
}

/// Every sample and every file of the corpus as an authentic webhook.
fn webhooks(provider: Provider) -> Vec<(String, Webhook)> {
    let samples = all_samples(provider.as_str()).into_iter().map(|path| {
        let body = sample_bytes(&path);
        let topic = path.split('/').nth(1).unwrap().to_owned();
        (path, topic, body)
    });
    let corpus = corpus(provider.as_str())
        .into_iter()
        .map(|(name, body)| (name, "order.updated".to_owned(), body));
    samples
        .chain(corpus)
        .map(|(name, topic, body)| {
            let webhook = match provider {
                Provider::Armada => testkit::armada(&topic, "wh_1", SENT_AT, body),
                Provider::Shipday => testkit::shipday(body),
            };
            (name, webhook)
        })
        .collect()
}

impl Attack {
    /// The gateway's event.
    fn event(&self, webhook: &Webhook) -> Value {
        let mut webhook = webhook.clone();
        webhook.body = changed(&webhook.body, &self.body);
        webhook.query.clone_from(&self.query);
        self.headers
            .iter()
            .for_each(|change| change.apply(&mut webhook.headers));
        let mut event = if self.rest_api {
            rest_api_event(&webhook)
        } else {
            http_api_event(&webhook)
        };
        if self.rest_api && !self.query.is_empty() {
            event["queryStringParameters"] = json!({ "k": self.query });
            event["multiValueQueryStringParameters"] =
                json!({ "k": [self.query], &self.query: ["k"] });
        }
        if self.base64 {
            event["body"] = json!(BASE64.encode(&webhook.body));
            event["isBase64Encoded"] = json!(true);
        }
        event
    }

    fn pipeline(&self) -> Pipeline {
        let pipeline = Pipeline::new();
        if self.company_registered {
            pipeline
                .world
                .install(shipday_credential(), |installation| {
                    installation.company_id = Some(CompanyId::parse("14849").unwrap());
                });
        }
        if let Some((call, fault)) = self.fault {
            pipeline.world.fail_always(call, fault);
        }
        pipeline
    }
}

/// The word for an answer, if it is one of those in docs/architecture.md.
#[track_caller]
fn documented(answered: &Answered) -> String {
    let problem =
        |title: &str| json!({ "type": "about:blank", "title": title, "status": answered.status });
    let known = match answered.status {
        200 => ["accepted", "duplicate", "ignored"]
            .map(|word| json!({ "status": word }))
            .contains(&answered.body),
        400 => answered.body == problem("Bad Request"),
        401 => answered.body == problem("Unauthorized"),
        413 => answered.body == problem("Payload Too Large"),
        415 => answered.body == problem("Unsupported Media Type"),
        431 => answered.body == problem("Request Header Fields Too Large"),
        503 => answered.body == problem("Service Unavailable"),
        _ => false,
    };
    assert!(known, "no documented answer: {answered:?}");
    match answered.status {
        200 => answered.word().to_owned(),
        status => status.to_string(),
    }
}

/// What an answer promises about what is kept.
#[track_caller]
fn keeps_its_promise(answer: &str, world: &World, fault: Option<(&str, Fault)>) {
    let (records, queued) = (world.records(), world.queued());
    let tried_to_keep = world.count("put_if_absent") + world.count("send");
    match answer {
        "accepted" => assert!(
            !records.is_empty() || !queued.is_empty(),
            "accepted, and nothing is kept"
        ),
        "duplicate" => assert!(!records.is_empty(), "a duplicate of nothing"),
        "400" => assert!(
            records
                .values()
                .all(|stored| stored.state == RecordState::Quarantined)
                && !records.is_empty()
        ),
        "503" => assert!(fault.is_some(), "unavailable without a fault"),
        "ignored" | "401" | "413" | "415" | "431" => {
            assert_eq!(tried_to_keep, 0, "{answer}, and something is written")
        }
        other => panic!("{other} promises nothing yet"),
    }
}

/// What is kept can be read again, says the same, and fits where it is to go.
#[track_caller]
fn is_kept_well(world: &World, tally: &Tally) {
    for (key, stored) in world.records() {
        assert_eq!(WebhookKey::parse(key.as_str()).as_ref(), Ok(&key));
        let webhook = stored.record.webhook().unwrap();
        let reading = adapter(stored.record.provider).read(&webhook);
        assert!(
            key == reading.key || key == reading.key.for_other_body(&stored.record.body_sha256)
        );
        assert_eq!(reading.key, stored.record.webhook_pk);
        assert_eq!(reading.order, stored.order);
        assert_eq!(reading.interpretation.initial_state(), Some(stored.state));
        assert!(record_size(&key, &stored) <= LARGEST_ITEM);
        tally.count(match reading.interpretation {
            Interpretation::Event(_) => "event",
            Interpretation::Ignored(why) => why.as_str(),
            Interpretation::Unmapped(why) => why.as_str(),
            Interpretation::Quarantined(why) => why.as_str(),
        });
    }
    for queued in world.queued() {
        let message: QueueMessage = serde_json::from_str(&queued.body).unwrap();
        let text = message_text(&message).unwrap();
        assert!(text.len() <= LARGEST_MESSAGE);
        assert!(
            !text.contains(|c: char| c < '\t' || ['\u{fffe}', '\u{ffff}'].contains(&c)),
            "SQS refuses it"
        );
        assert_eq!(
            serde_json::from_str::<QueueMessage>(&text).unwrap(),
            message
        );
        tally.count(match message.payload {
            Payload::Event(_) => "event message",
            Payload::Record(_) => "record message",
        });
    }
}

/// After the queue is drained nothing waits, but for what was never sent.
#[track_caller]
fn is_closed(world: &World, fault: Option<(&str, Fault)>) {
    assert_eq!(world.dead_letters(), []);
    let never_sent = fault.is_some_and(|(call, _)| call == "send");
    for stored in world.records().into_values() {
        assert!(
            never_sent || stored.state != RecordState::Pending,
            "left behind: {stored:?}"
        );
    }
    every_order_is_folded(world);
}

#[track_caller]
fn every_order_is_folded(world: &World) {
    for order in world.orders() {
        let (state, _) = world.state(&order).expect("a timeline has a state");
        assert_eq!(state.event_count, world.timeline(&order).len());
    }
}

fn attack(provider: Provider, expected: &[&str]) {
    let webhooks = webhooks(provider);
    let tally = Tally::default();
    check(attacks(), |attack| {
        let event = attack.event(&attack.sample.get(&webhooks).1);
        now(async {
            let pipeline = attack.pipeline();
            for _ in 0..2 {
                let answer = documented(&pipeline.hand_over(provider, &event).await);
                keeps_its_promise(&answer, &pipeline.world, attack.fault);
                tally.count(answer);
            }
            is_kept_well(&pipeline.world, &tally);
            pipeline.world.heal();
            pipeline.drain().await;
            is_closed(&pipeline.world, attack.fault);
        });
    });
    tally.has_all(expected);
}

#[test]
fn no_request_to_armadas_door_breaks_a_promise() {
    attack(
        Provider::Armada,
        &[
            "accepted",
            "duplicate",
            "ignored",
            "400",
            "401",
            "415",
            "503",
            "event",
            "unknown_topic",
            "unknown_status",
            "missing_status",
            "missing_event_time",
            "unbelievable_event_time",
            "missing_header",
            "not_json",
            "missing_order_id",
            "event message",
            "record message",
        ],
    );
}

#[test]
fn no_request_to_shipdays_door_breaks_a_promise() {
    attack(
        Provider::Shipday,
        &[
            "accepted",
            "duplicate",
            "ignored",
            "400",
            "401",
            "415",
            "503",
            "event",
            "unknown_topic",
            "unknown_status",
            "missing_status",
            "missing_event_time",
            "unbelievable_event_time",
            "other_company",
            "not_json",
            "missing_order_id",
            "event message",
            "record message",
        ],
    );
}

// ---------------------------------------------------------------- the consumer

/// A message: a real one, what is changed in it, and in the body of the record that it may carry.
#[derive(Clone, Debug)]
struct Letter {
    sample: Index,
    text: Vec<Change>,
    body: Vec<Change>,
    envelope: Envelope,
}

/// What is odd about the envelope that SQS and Lambda put a message in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Envelope {
    Usual,
    NoId,
    EmptyId,
    NoBody,
    NoHandle,
    OddReceiveCount,
}

fn letters() -> impl Strategy<Value = Vec<Letter>> {
    use Envelope::{EmptyId, NoBody, NoHandle, NoId, OddReceiveCount, Usual};
    let envelope = prop_oneof![9 => Just(Usual), 1 => select(vec![NoId, EmptyId, NoBody, NoHandle, OddReceiveCount])];
    let letter = (any::<Index>(), changes(), changes(), envelope).prop_map(
        |(sample, text, body, envelope)| Letter {
            sample,
            text,
            body,
            envelope,
        },
    );
    proptest::collection::vec(letter, 1..4)
}

/// The messages that our own samples become, in both forms, and the corpus.
fn messages() -> Vec<(String, String)> {
    let mut messages: Vec<(String, String)> =
        ["queue/message-event.json", "queue/message-record.json"]
            .map(|path| (path.to_owned(), sample(path)))
            .to_vec();
    messages.extend(
        corpus("message")
            .into_iter()
            .map(|(name, text)| (name, String::from_utf8(text).unwrap())),
    );
    for provider in Provider::ALL {
        for (name, webhook) in webhooks(provider) {
            for table_down in [false, true] {
                let pipeline = Pipeline::new();
                if table_down {
                    pipeline.world.fail_always("put_if_absent", Fault::Before);
                }
                now(pipeline.post(&webhook));
                messages.extend(
                    pipeline
                        .world
                        .queued()
                        .into_iter()
                        .map(|queued| (name.clone(), queued.body)),
                );
            }
        }
    }
    messages
}

impl Letter {
    /// Its text. A queue carries text alone, so that bytes that are none do not arrive.
    fn text(&self, messages: &[(String, String)]) -> String {
        let mut text = self.sample.get(messages).1.clone();
        if let Ok(mut message) = serde_json::from_str::<Value>(&text)
            && let Some(record) = message.get_mut("record")
            && let Ok(stored) = serde_json::from_value::<CompressedBody>(record["body"].clone())
            && let Ok(body) = stored.inflate()
            && !self.body.is_empty()
        {
            let body = changed(&body, &self.body);
            record["body"] = json!(CompressedBody::deflate(&body));
            record["body_sha256"] = json!(Sha256Hex::of(&body));
            text = message.to_string();
        }
        String::from_utf8_lossy(&changed(text.as_bytes(), &self.text)).into_owned()
    }

    fn seal(&self, record: &mut Value) {
        match self.envelope {
            Envelope::Usual => {}
            Envelope::NoId => record["messageId"] = Value::Null,
            Envelope::EmptyId => record["messageId"] = json!(""),
            Envelope::NoBody => record["body"] = Value::Null,
            Envelope::NoHandle => record["receiptHandle"] = Value::Null,
            Envelope::OddReceiveCount => {
                record["attributes"]["ApproximateReceiveCount"] = json!("-1e9")
            }
        }
    }
}

fn applied(world: &World, event: OrderEvent, webhook_pk: WebhookKey) -> bool {
    let order = event.order_key();
    let entry = TimelineEntry::new(event, webhook_pk);
    world
        .timeline(&order)
        .contains_key(&entry.sort_key(order.provider))
}

/// Whether what a message carries is where it belongs, so that the message may be forgotten; and as what.
fn is_safe(world: &World, text: &str) -> Option<&'static str> {
    let record = match serde_json::from_str::<QueueMessage>(text).ok()?.payload {
        Payload::Event(forwarded) => {
            return applied(world, forwarded.event, forwarded.webhook_pk).then_some("applied");
        }
        Payload::Record(record) => record,
    };
    let reading = adapter(record.provider).read(&record.webhook().ok()?);
    let Some(state) = reading.interpretation.initial_state() else {
        return Some("ignored");
    };
    let records = world.records();
    let key = [
        record.webhook_pk.clone(),
        record.webhook_pk.for_other_body(&record.body_sha256),
    ]
    .into_iter()
    .find(|key| {
        records
            .get(key)
            .is_some_and(|stored| stored.record.body_sha256 == record.body_sha256)
    })?;
    if records[&key].state == RecordState::Pending {
        return None;
    }
    match reading.interpretation {
        Interpretation::Event(event) => {
            applied(world, *event, key).then_some("recorded and applied")
        }
        Interpretation::Ignored(_)
        | Interpretation::Unmapped(_)
        | Interpretation::Quarantined(_) => Some(state.as_str()),
    }
}

fn consumer_faults() -> impl Strategy<Value = Vec<(&'static str, Fault)>> {
    let one = prop_oneof![
        4 => (
            select(vec!["put_if_absent", "put_entry", "read", "save", "close"]),
            select(vec![Fault::Before, Fault::After, Fault::Panic]),
        ),
        1 => (select(vec!["bury", "postpone"]), select(vec![Fault::Before, Fault::After])),
    ];
    proptest::collection::vec(one, 0..3)
}

#[test]
fn no_message_is_forgotten_before_it_is_safe() {
    let messages = messages();
    let tally = Tally::default();
    check((letters(), consumer_faults()), |(letters, faults)| {
        now(async {
            let pipeline = Pipeline::new();
            let texts: Vec<String> = letters
                .iter()
                .map(|letter| letter.text(&messages))
                .collect();
            texts
                .iter()
                .for_each(|text| pipeline.world.enqueue_text(text));
            for (call, fault) in faults {
                pipeline.world.fail_next(call, fault);
            }
            let mut batch = sqs_batch(&pipeline.world.receive(letters.len()));
            for (index, letter) in letters.iter().enumerate() {
                letter.seal(&mut batch["Records"][index]);
            }

            let Ok(response) = pipeline.consume_event(&batch).await else {
                tally.count("the whole batch comes again");
                assert!(
                    letters.iter().any(|letter| matches!(
                        letter.envelope,
                        Envelope::NoId | Envelope::EmptyId
                    ))
                );
                return;
            };
            let failed: Vec<_> = response
                .batch_item_failures
                .into_iter()
                .map(|failed| failed.item_identifier)
                .collect();
            tally.count(if failed.is_empty() {
                "none comes again"
            } else {
                "one comes again"
            });
            assert!(
                failed
                    .iter()
                    .all(|id| batch.to_string().contains(&format!("\"{id}\"")))
            );
            let dealt_with = |index: usize| !failed.contains(&format!("message-{}", index + 1));
            for (index, text) in texts
                .iter()
                .enumerate()
                .filter(|(index, _)| dealt_with(*index))
            {
                let text = if letters[index].envelope == Envelope::NoBody {
                    ""
                } else {
                    text
                };
                let buried = pipeline
                    .world
                    .dead_letters()
                    .iter()
                    .any(|buried| buried.body == text);
                let safe = is_safe(&pipeline.world, text);
                assert!(buried || safe.is_some(), "lost: {text}");
                tally.count(safe.unwrap_or("buried"));
            }

            pipeline.world.heal();
            pipeline.drain().await;
            every_order_is_folded(&pipeline.world);
        });
    });
    tally.has_all(&[
        "applied",
        "recorded and applied",
        "unmapped",
        "quarantined",
        "ignored",
        "buried",
        "one comes again",
        "none comes again",
        "the whole batch comes again",
    ]);
}

// ---------------------------------------------------------------- the corpus as it is

#[test]
fn every_file_of_the_corpus_comes_to_what_is_written_down() {
    let mut text = String::new();
    for provider in Provider::ALL {
        for (name, body) in corpus(provider.as_str()) {
            let webhook = match provider {
                Provider::Armada => testkit::armada("order.updated", "wh_1", SENT_AT, body),
                Provider::Shipday => testkit::shipday(body),
            };
            let pipeline = Pipeline::new();
            let answer = documented(&now(pipeline.post(&webhook)));
            let kept = pipeline
                .world
                .records()
                .into_values()
                .next()
                .map_or("nothing", |stored| stored.state.as_str());
            writeln!(text, "{provider}/{name}: {answer}, keeps {kept}").unwrap();
        }
    }
    for (name, message) in corpus("message") {
        let pipeline = Pipeline::new();
        let message = String::from_utf8(message).unwrap();
        pipeline.world.enqueue_text(&message);
        now(pipeline.drain());
        let buried = !pipeline.world.dead_letters().is_empty();
        let safe = if buried {
            "a dead letter"
        } else {
            is_safe(&pipeline.world, &message).unwrap()
        };
        writeln!(text, "message/{name}: {safe}").unwrap();
    }

    expect_file!["../corpus/outcomes.txt"].assert_eq(&text);
}
