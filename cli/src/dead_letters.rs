//! `hookctl dlq`: what could not be applied, and a second chance for it.

mod discard;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws::{DeadLetter, SystemClock, UnreadableMessage, read_message};
use domain::{
    Clock as _, EpochMillis, Payload, PortError, QueueMessage, WebhookRecord, short_digest,
};
use futures_util::future::join_all;
use providers::adapter;
use serde::Serialize;

use crate::arguments::{DeadLetters, Discard, Redrive, ShowDeadLetters, StackChoice};
use crate::moment;
use crate::output::{Output, OutputError};
use crate::progress::Progress;
use crate::stack::{Queues, Stack, StackError};
use discard::Discarding;

/// Most messages that one request receives.
const BATCH: u64 = 10;
/// After so many requests in a row that brought nothing from before the start, nothing from before it is expected.
const FRUITLESS_REQUESTS: u32 = 3;
/// For how long a message that is looked at is hidden, should it not be given back.
const HIDDEN_WHILE_SHOWN: u16 = 30;
/// For how long a message that is sent again or discarded is hidden: that takes a second or two.
const HIDDEN_WHILE_SENT: u16 = 60;

/// Dead letters could not be shown, sent again or discarded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeadLetterError {
    /// Some were not sent again, or could not be deleted after that.
    #[error("{0} message(s) were not moved, for the reasons above: run it again")]
    NotMoved(u64),
    /// Some hold what is nowhere else, or perhaps so.
    #[error(
        "{0} message(s) were left, because a webhook could be lost with them: `dlq redrive` sends them again, --force discards them"
    )]
    WouldLose(u64),
    /// Some of those that were named were not met.
    #[error("not in the dead-letter queue, or hidden from this look: `{}`", .0.join("`, `"))]
    NotFound(Vec<String>),
    /// Somebody pressed Ctrl-C.
    #[error("interrupted: what was not moved comes back within {HIDDEN_WHILE_SENT} seconds")]
    Interrupted,
    /// Nothing would be told when somebody pressed Ctrl-C.
    #[error("Ctrl-C cannot be watched for")]
    Signal(#[source] std::io::Error),
    /// A queue did not answer.
    #[error(transparent)]
    Queue(#[from] PortError),
    /// The stack cannot be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The result could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Runs the command.
pub(crate) async fn run(
    command: DeadLetters,
    choice: &StackChoice,
    output: Output,
) -> Result<(), DeadLetterError> {
    let stack = Stack::open(choice).await?;
    let queues = stack.queues()?;
    match command {
        DeadLetters::Show(ShowDeadLetters { limit }) => {
            let plan = Plan::Show;
            go_through(&queues, plan, limit.get(), output).await
        }
        DeadLetters::Redrive(Redrive { yes, limit }) => {
            let plan = if yes { Plan::Redrive } else { Plan::DryRun };
            let limit = limit.map_or(u64::MAX, std::num::NonZero::get);
            go_through(&queues, plan, limit, output).await
        }
        DeadLetters::Discard(options) => {
            let webhooks = stack.tables()?.webhooks;
            let discarding = Discarding {
                options: &options,
                webhooks: &webhooks,
            };
            go_through(&queues, Plan::Discard(discarding), u64::MAX, output).await
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Plan<'a> {
    Show,
    DryRun,
    Redrive,
    Discard(Discarding<'a>),
}

impl Plan<'_> {
    /// Whether the plan is about this message.
    fn includes(&self, letter: &DeadLetter) -> bool {
        match self {
            Self::Show | Self::DryRun | Self::Redrive => true,
            Self::Discard(discarding) => discarding.names(&letter.message_id),
        }
    }

    /// For how long a message that is received is hidden.
    const fn hides_for_seconds(&self) -> u16 {
        match self {
            Self::Show | Self::DryRun => HIDDEN_WHILE_SHOWN,
            Self::Redrive | Self::Discard(_) => HIDDEN_WHILE_SENT,
        }
    }

    /// Why messages are discarded.
    fn reason(&self) -> Option<String> {
        match self {
            Self::Show | Self::DryRun | Self::Redrive => None,
            Self::Discard(discarding) => Some(discarding.options.reason.as_str().to_owned()),
        }
    }

    /// What is said in the end if nothing was changed because nobody said `--yes`.
    const fn unconfirmed(&self) -> Option<&'static str> {
        match self {
            Self::DryRun => Some("nothing was sent: add --yes to do it"),
            Self::Discard(Discarding {
                options: Discard { yes: false, .. },
                ..
            }) => Some("nothing was discarded: add --yes to do it"),
            Self::Show | Self::Redrive | Self::Discard(_) => None,
        }
    }
}

/// What becomes of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    Shown,
    WouldRedrive,
    Redriven,
    /// It would only come back.
    LeftUnreadable,
    /// It arrived after the start.
    LeftNew,
    /// The events queue did not take it.
    NotSent,
    /// The events queue took it; it is also still here.
    NotDeleted,
    WouldDiscard,
    Discarded,
    /// Nothing else holds its webhook.
    LeftOnlyCopy,
    /// Its webhook was not applied yet.
    LeftPending,
    /// What it holds is not known.
    LeftOtherVersion,
    /// Whether its webhook is safe could not be looked up.
    NotChecked,
    /// The queue did not delete it.
    NotDiscarded,
}

impl Fate {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::WouldRedrive => "would redrive",
            Self::Redriven => "redriven",
            Self::LeftUnreadable => "left: unreadable",
            Self::LeftNew => "left: new",
            Self::NotSent => "not sent",
            Self::NotDeleted => "sent, not deleted",
            Self::WouldDiscard => "would discard",
            Self::Discarded => "discarded",
            Self::LeftOnlyCopy => "left: only copy",
            Self::LeftPending => "left: pending",
            Self::LeftOtherVersion => "left: unreadable",
            Self::NotChecked => "not checked",
            Self::NotDiscarded => "not discarded",
        }
    }

    /// Whether it is still in the queue, hidden.
    const fn stays(self) -> bool {
        match self {
            Self::Redriven | Self::Discarded => false,
            Self::Shown
            | Self::WouldRedrive
            | Self::LeftUnreadable
            | Self::LeftNew
            | Self::NotSent
            | Self::NotDeleted
            | Self::WouldDiscard
            | Self::LeftOnlyCopy
            | Self::LeftPending
            | Self::LeftOtherVersion
            | Self::NotChecked
            | Self::NotDiscarded => true,
        }
    }
}

/// What is shown of a dead letter: nothing of its text.
#[derive(Debug, Serialize)]
struct Letter {
    message_id: String,
    fate: Fate,
    kind: Kind,
    /// The message group.
    merchant: Option<String>,
    sent_at: Option<String>,
    #[serde(skip)]
    age: Option<String>,
    receive_count: u32,
    /// What log lines call the webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// A normalized event; its record is in the table.
    Event,
    /// A whole record: perhaps its only copy.
    Record,
    /// It was written by another version.
    OtherVersion,
    /// Nothing of this system.
    NotOurs,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Record => "record",
            Self::OtherVersion => "other version",
            Self::NotOurs => "not ours",
        }
    }
}

impl Letter {
    fn new(letter: &DeadLetter, now: EpochMillis, fate: Fate) -> Self {
        let read = read_message(&letter.body);
        let (kind, webhook, order) = match &read {
            Ok(QueueMessage {
                payload: Payload::Event(forwarded),
                ..
            }) => (
                Kind::Event,
                Some(short_digest(forwarded.webhook_pk.as_str())),
                Some(forwarded.event.order_key().to_string()),
            ),
            Ok(QueueMessage {
                payload: Payload::Record(record),
                ..
            }) => (
                Kind::Record,
                Some(short_digest(record.webhook_pk.as_str())),
                order_of(record),
            ),
            Err(UnreadableMessage::UnknownVersion(_)) => (Kind::OtherVersion, None, None),
            Err(UnreadableMessage::NotOurs) => (Kind::NotOurs, None, None),
        };
        Self {
            message_id: letter.message_id.clone(),
            fate,
            kind,
            merchant: letter.group.clone(),
            sent_at: letter.sent_at.map(moment::show),
            age: letter.sent_at.map(|sent| moment::age(now, sent)),
            receive_count: letter.receive_count,
            webhook,
            order,
        }
    }
}

fn order_of(record: &WebhookRecord) -> Option<String> {
    let webhook = record.webhook().ok()?;
    let order = adapter(record.provider).read(&webhook).order;
    order.map(|order| order.to_string())
}

/// A line about a dead letter.
#[derive(Serialize)]
struct Line {
    message: Letter,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Letter {
            message_id,
            fate,
            kind,
            merchant,
            age,
            receive_count,
            webhook,
            order,
            ..
        } = &self.message;
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        write!(
            f,
            "{:<17}  {message_id}  {:<13}  {:>6}  received {receive_count}x  {}",
            fate.as_str(),
            kind.as_str(),
            or_dash(age),
            or_dash(merchant),
        )?;
        for more in [webhook, order].into_iter().flatten() {
            write!(f, "  {more}")?;
        }
        Ok(())
    }
}

/// The end of the list.
#[derive(Debug, Default, Serialize)]
struct Total {
    summary: Sum,
}

#[derive(Debug, Default, Serialize)]
struct Sum {
    messages: u64,
    fates: BTreeMap<Fate, u64>,
    /// Whether `--limit` ended it, so that there may be more.
    at_limit: bool,
    /// Why they are discarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Total {
    fn count(&mut self, fate: Fate) {
        self.summary.messages += 1;
        *self.summary.fates.entry(fate).or_default() += 1;
    }

    /// How many had one of these fates.
    fn of(&self, fates: &[Fate]) -> u64 {
        let count = |fate| self.summary.fates.get(fate).copied().unwrap_or_default();
        fates.iter().map(count).sum()
    }

    fn failures(&self) -> u64 {
        self.of(&[
            Fate::NotSent,
            Fate::NotDeleted,
            Fate::NotChecked,
            Fate::NotDiscarded,
        ])
    }

    /// How many were left because a webhook could be lost with them.
    fn objections(&self) -> u64 {
        self.of(&[
            Fate::LeftOnlyCopy,
            Fate::LeftPending,
            Fate::LeftOtherVersion,
        ])
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} message(s)", self.summary.messages)?;
        for (n, (fate, count)) in self.summary.fates.iter().enumerate() {
            let separator = if n == 0 { ": " } else { ", " };
            write!(f, "{separator}{count} {}", fate.as_str())?;
        }
        let end = if self.summary.at_limit {
            ", and perhaps more"
        } else {
            ""
        };
        f.write_str(end)?;
        match &self.summary.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// Meets every dead letter once, and gives back what stays.
async fn go_through(
    queues: &Queues,
    plan: Plan<'_>,
    limit: u64,
    output: Output,
) -> Result<(), DeadLetterError> {
    let about = queues.dead_letters.waiting().await?.min(limit);
    let progress = Progress::new(output, about);
    let mut run = Run {
        queues,
        plan,
        started: SystemClock.now_ms(),
        progress: &progress,
        total: Total {
            summary: Sum {
                reason: plan.reason(),
                ..Sum::default()
            },
        },
        met: BTreeSet::new(),
        hidden: BTreeMap::new(),
    };
    let result = tokio::select! {
        result = run.go_on(limit) => result,
        signal = tokio::signal::ctrl_c() => Err(match signal {
            Ok(()) => DeadLetterError::Interrupted,
            Err(error) => DeadLetterError::Signal(error),
        }),
    };
    progress.end();
    let missing = run.missing();
    let Run { total, hidden, .. } = run;
    let handles: Vec<&str> = hidden.values().map(String::as_str).collect();
    let given_back = queues.dead_letters.give_back(&handles).await;
    output.result(&total)?;
    result?;
    given_back?;
    if let Some(said) = plan.unconfirmed() {
        output.message(said);
    }
    match (total.failures(), total.objections()) {
        (0, 0) if missing.is_empty() => Ok(()),
        (0, 0) => Err(DeadLetterError::NotFound(missing)),
        (0, objections) => Err(DeadLetterError::WouldLose(objections)),
        (failures, _) => Err(DeadLetterError::NotMoved(failures)),
    }
}

struct Run<'a> {
    queues: &'a Queues,
    plan: Plan<'a>,
    started: EpochMillis,
    progress: &'a Progress,
    total: Total,
    /// The ids of the messages that were met.
    met: BTreeSet<String>,
    /// What stays, by id, with the newest receipt handle.
    hidden: BTreeMap<String, String>,
}

impl Run<'_> {
    async fn go_on(&mut self, limit: u64) -> Result<(), DeadLetterError> {
        let hidden_seconds = self.plan.hides_for_seconds();
        let mut fruitless = 0;
        while fruitless < FRUITLESS_REQUESTS && !self.is_done() {
            let room = limit.saturating_sub(self.total.summary.messages).min(BATCH);
            if room == 0 {
                self.total.summary.at_limit = true;
                return Ok(());
            }
            let most = u8::try_from(room).unwrap_or(1);
            let letters = self
                .queues
                .dead_letters
                .receive(most, hidden_seconds)
                .await?;
            if letters.is_empty() {
                return Ok(());
            }
            let (first, again): (Vec<_>, Vec<_>) = letters
                .into_iter()
                .partition(|letter| self.met.insert(letter.message_id.clone()));
            for letter in again {
                self.hidden.insert(letter.message_id, letter.receipt_handle);
            }
            // Others may arrive faster than they are met, without end.
            fruitless = if first.iter().all(|letter| self.is_new(letter)) {
                fruitless + 1
            } else {
                0
            };
            self.handle(first).await?;
        }
        Ok(())
    }

    /// The ids of the messages that were named and not met.
    fn missing(&self) -> Vec<String> {
        let named = match self.plan {
            Plan::Show | Plan::DryRun | Plan::Redrive => &[][..],
            Plan::Discard(discarding) => &discarding.options.message_ids,
        };
        let missing = named.iter().filter(|id| !self.met.contains(*id));
        missing.cloned().collect()
    }

    /// Whether all that were named have been met.
    fn is_done(&self) -> bool {
        matches!(self.plan, Plan::Discard(_)) && self.missing().is_empty()
    }

    fn is_new(&self, letter: &DeadLetter) -> bool {
        letter.sent_at.is_some_and(|sent| sent > self.started)
    }

    async fn handle(&mut self, letters: Vec<DeadLetter>) -> Result<(), DeadLetterError> {
        // Until it is known what becomes of them they are ours to give back.
        for letter in &letters {
            self.hidden
                .insert(letter.message_id.clone(), letter.receipt_handle.clone());
        }
        let letters: Vec<_> = letters
            .into_iter()
            .filter(|letter| self.plan.includes(letter))
            .collect();
        let fates = join_all(letters.iter().map(|letter| self.fate(letter))).await;
        let now = SystemClock.now_ms();
        for (letter, fate) in letters.iter().zip(fates) {
            if !fate.stays() {
                self.hidden.remove(&letter.message_id);
            }
            self.total.count(fate);
            self.progress.advance(1);
            let message = Letter::new(letter, now, fate);
            self.progress.result(&Line { message })?;
        }
        Ok(())
    }

    async fn fate(&self, letter: &DeadLetter) -> Fate {
        let yes = match self.plan {
            Plan::Show => return Fate::Shown,
            Plan::Discard(discarding) => return self.discard(letter, discarding).await,
            Plan::DryRun => false,
            Plan::Redrive => true,
        };
        let Ok(message) = read_message(&letter.body) else {
            return Fate::LeftUnreadable;
        };
        if self.is_new(letter) {
            return Fate::LeftNew;
        }
        if yes {
            self.redrive(letter, &message).await
        } else {
            Fate::WouldRedrive
        }
    }

    async fn discard(&self, letter: &DeadLetter, discarding: Discarding<'_>) -> Fate {
        match discarding.objection(&letter.body).await {
            Ok(Some(objection)) => return objection,
            Ok(None) if !discarding.options.yes => return Fate::WouldDiscard,
            Ok(None) => {}
            Err(error) => {
                self.say(letter, &error);
                return Fate::NotChecked;
            }
        }
        let handle = &letter.receipt_handle;
        match self.queues.dead_letters.delete(handle).await {
            Ok(()) => Fate::Discarded,
            Err(error) => {
                self.say(letter, &error);
                Fate::NotDiscarded
            }
        }
    }

    /// First sent, then deleted: in between it is in both queues, and never in none.
    async fn redrive(&self, letter: &DeadLetter, message: &QueueMessage) -> Fate {
        let own = message.merchant_id().as_str();
        let group = letter.group.as_deref().unwrap_or(own);
        if let Err(error) = self.queues.events.send_text(&letter.body, group).await {
            self.say(letter, &error);
            return Fate::NotSent;
        }
        match self
            .queues
            .dead_letters
            .delete(&letter.receipt_handle)
            .await
        {
            Ok(()) => Fate::Redriven,
            Err(error) => {
                self.say(letter, &error);
                Fate::NotDeleted
            }
        }
    }

    fn say(&self, letter: &DeadLetter, error: &PortError) {
        let id = &letter.message_id;
        self.progress
            .message(format_args!("{id}: {}", error.with_causes()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws::{DeadLetterQueue, EventsQueue, WebhooksTable};
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;
    use domain::{
        Details, EpochMillis, MerchantId, OrderEvent, OrderId, Provider, ProviderWord, Sha256Hex,
        WebhookKey,
    };
    use expect_test::expect;
    use serde_json::{Value, json};

    use super::*;
    use crate::sdk;

    fn event() -> String {
        let event = OrderEvent {
            merchant_id: MerchantId::parse("shop-1").unwrap(),
            provider: Provider::Armada,
            order_id: OrderId::parse("A1").unwrap(),
            occurred_at_ms: EpochMillis::new(1_767_816_000_000),
            received_at_ms: EpochMillis::new(1_767_816_000_120),
            word: ProviderWord {
                event: None,
                status: Some("completed".to_owned()),
            },
            status: Some(domain::Status::Delivered),
            status_reason: None,
            provider_event_id: None,
            details: Details {
                tracking_url: Some("https://example.com/amina".to_owned()),
                ..Details::default()
            },
        };
        let key = WebhookKey::parse("armada#shop-1#order.updated#wh_1").unwrap();
        serde_json::to_string(&QueueMessage::event(key, Sha256Hex::of(b""), event)).unwrap()
    }

    fn letter(body: &str, group: Option<&str>) -> DeadLetter {
        DeadLetter {
            message_id: "0b9c".to_owned(),
            receipt_handle: "handle".to_owned(),
            body: body.to_owned(),
            group: group.map(str::to_owned),
            sent_at: Some(EpochMillis::new(1_767_816_000_000)),
            receive_count: 51,
        }
    }

    fn line(letter: &DeadLetter, fate: Fate) -> Line {
        let now = EpochMillis::new(1_767_816_000_000 + 7_300_000);
        Line {
            message: Letter::new(letter, now, fate),
        }
    }

    /// Two queues in memory, as far as this command asks them: SQS's JSON protocol.
    #[derive(Debug, Default)]
    struct Sqs {
        dead: Vec<Message>,
        /// Message groups and texts in the events queue.
        events: Vec<(String, String)>,
        /// What is put into the dead-letter queue whenever something is received from it.
        inflow: Option<&'static str>,
        /// Whether the consumer buries everything again at once.
        comes_back: bool,
        /// What is in the table of webhooks.
        records: Vec<Record>,
        /// Calls that fail.
        refused: Vec<&'static str>,
        receives: usize,
    }

    /// Its key, state and body.
    type Record = (String, &'static str, &'static [u8]);

    #[derive(Clone, Debug)]
    struct Message {
        id: String,
        body: String,
        sent_at: EpochMillis,
        hidden: bool,
    }

    const LONG_AGO: EpochMillis = EpochMillis::new(1_767_816_000_000);
    const TOMORROW: EpochMillis = EpochMillis::new(32_503_680_000_000);

    impl Sqs {
        fn bury(&mut self, body: &str, sent_at: EpochMillis) {
            self.dead.push(Message {
                id: format!("message-{}", self.dead.len() + self.events.len()),
                body: body.to_owned(),
                sent_at,
                hidden: false,
            });
        }

        fn answer(&mut self, call: &str, asked: &Value) -> Option<Value> {
            let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
            if self.refused.contains(&call) {
                return None;
            }
            Some(match call {
                "GetQueueAttributes" => {
                    json!({ "Attributes": { "ApproximateNumberOfMessages": "3" } })
                }
                "ReceiveMessage" => self.receive(&asked["MaxNumberOfMessages"]),
                "SendMessage" => {
                    let body = text("MessageBody");
                    self.events.push((text("MessageGroupId"), body.clone()));
                    if self.comes_back {
                        self.bury(&body, TOMORROW);
                    }
                    json!({ "MessageId": "sent", "MD5OfMessageBody": "" })
                }
                "DeleteMessage" => {
                    let handle = text("ReceiptHandle");
                    self.dead.retain(|message| message.id != handle);
                    json!({})
                }
                "ChangeMessageVisibilityBatch" => {
                    for entry in asked["Entries"].as_array().unwrap() {
                        for message in &mut self.dead {
                            message.hidden &= entry["ReceiptHandle"] != message.id.as_str();
                        }
                    }
                    json!({ "Successful": [], "Failed": [] })
                }
                "GetItem" => self.record(asked["Key"]["pk"]["S"].as_str().unwrap()),
                other => panic!("{other} is not needed"),
            })
        }

        fn record(&self, key: &str) -> Value {
            let record = self.records.iter().find(|(pk, ..)| pk == key);
            record.map_or(json!({}), |(pk, state, body)| {
                let digest = Sha256Hex::of(body).to_string();
                json!({ "Item": {
                    "pk": { "S": pk }, "state": { "S": state }, "body_sha256": { "S": digest }
                } })
            })
        }

        fn receive(&mut self, most: &Value) -> Value {
            self.receives += 1;
            assert!(self.receives < 1_000, "it goes on without end");
            if let Some(body) = self.inflow {
                self.bury(body, TOMORROW);
            }
            let most = usize::try_from(most.as_u64().unwrap()).unwrap();
            let visible = self.dead.iter_mut().filter(|message| !message.hidden);
            let received = visible.take(most).map(|message| {
                message.hidden = true;
                json!({
                    "MessageId": message.id,
                    "ReceiptHandle": message.id,
                    "Body": message.body,
                    "Attributes": {
                        "SentTimestamp": message.sent_at.to_string(),
                        "ApproximateReceiveCount": "1",
                    },
                })
            });
            json!({ "Messages": received.collect::<Vec<_>>() })
        }
    }

    /// The queues instead of a network.
    #[derive(Clone, Debug)]
    struct Connector(Arc<Mutex<Sqs>>);

    impl HttpConnector for Connector {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let target = request.headers().get("x-amz-target").unwrap();
            let (_, call) = target.split_once('.').unwrap();
            let asked = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let (status, answer) = match self.0.lock().unwrap().answer(call, &asked) {
                Some(answer) => (200, answer),
                None => (403, json!({ "__type": "AccessDeniedException" })),
            };
            let body = SdkBody::from(answer.to_string());
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), body)))
        }
    }

    fn services(sqs: &Arc<Mutex<Sqs>>) -> (Queues, WebhooksTable) {
        let connector = SharedHttpConnector::new(Connector(Arc::clone(sqs)));
        let http = http_client_fn(move |_, _| connector.clone());
        let config = sdk::local("http://127.0.0.1:1")
            .into_builder()
            .http_client(http)
            .build();
        let client = aws_sdk_sqs::Client::new(&config);
        let queues = Queues {
            events: EventsQueue::new(client.clone(), "http://127.0.0.1:1/events"),
            dead_letters: DeadLetterQueue::new(client, "http://127.0.0.1:1/dead"),
        };
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        (queues, WebhooksTable::new(dynamodb, "webhooks"))
    }

    /// Goes through the queue; gives what came out, what is left, and what became of the messages.
    async fn gone_through(
        plan: Plan<'_>,
        limit: u64,
        prepare: impl FnOnce(&mut Sqs),
    ) -> (Result<(), DeadLetterError>, Sqs) {
        let sqs = Arc::new(Mutex::new(Sqs::default()));
        prepare(&mut sqs.lock().unwrap());
        let (queues, _) = services(&sqs);
        let result = go_through(&queues, plan, limit, Output::discarded()).await;
        drop(queues);
        let mut left = sqs.lock().unwrap();
        (result, std::mem::take(&mut left))
    }

    /// Discards messages by their ids; gives what came out and what is left.
    async fn discarded(
        options: &Discard,
        prepare: impl FnOnce(&mut Sqs),
    ) -> (Result<(), DeadLetterError>, Sqs) {
        let sqs = Arc::new(Mutex::new(Sqs::default()));
        prepare(&mut sqs.lock().unwrap());
        let (queues, webhooks) = services(&sqs);
        let plan = Plan::Discard(Discarding {
            options,
            webhooks: &webhooks,
        });
        let result = go_through(&queues, plan, u64::MAX, Output::discarded()).await;
        drop((queues, webhooks));
        let mut left = sqs.lock().unwrap();
        (result, std::mem::take(&mut left))
    }

    fn named(message_ids: &[&str]) -> Discard {
        Discard {
            message_ids: message_ids.iter().map(|&id| id.to_owned()).collect(),
            reason: domain::DismissalReason::parse("a rehearsal").unwrap(),
            force: false,
            yes: true,
        }
    }

    fn texts(messages: &[Message]) -> Vec<&str> {
        messages.iter().map(|it| it.body.as_str()).collect()
    }

    #[tokio::test]
    async fn a_redrive_sends_as_it_is_what_can_be_read_and_gives_back_the_rest() {
        let (result, sqs) = gone_through(Plan::Redrive, u64::MAX, |sqs| {
            for body in [&event(), "poison", r#"{"schema_version":2}"#] {
                sqs.bury(body, LONG_AGO);
            }
        })
        .await;

        result.unwrap();
        assert_eq!(
            sqs.events,
            [("shop-1".to_owned(), event())],
            "in the merchant's group although the dead letter had none"
        );
        assert_eq!(texts(&sqs.dead), ["poison", r#"{"schema_version":2}"#]);
        assert!(sqs.dead.iter().all(|message| !message.hidden));
    }

    #[tokio::test]
    async fn looking_moves_nothing_and_hides_nothing_for_longer_than_the_look() {
        for plan in [Plan::Show, Plan::DryRun] {
            let (result, sqs) = gone_through(plan, u64::MAX, |sqs| {
                (0..25).for_each(|_| sqs.bury(&event(), LONG_AGO));
            })
            .await;

            result.unwrap();
            assert_eq!((sqs.dead.len(), sqs.events.len()), (25, 0));
            assert!(sqs.dead.iter().all(|message| !message.hidden), "{plan:?}");
        }
    }

    #[tokio::test]
    async fn a_limit_is_kept() {
        let (result, sqs) = gone_through(Plan::Redrive, 13, |sqs| {
            (0..25).for_each(|_| sqs.bury(&event(), LONG_AGO));
        })
        .await;

        result.unwrap();
        assert_eq!((sqs.dead.len(), sqs.events.len()), (12, 13));
        assert!(sqs.dead.iter().all(|message| !message.hidden));
    }

    #[tokio::test]
    async fn a_message_that_comes_back_at_once_is_sent_once() {
        let (result, sqs) = gone_through(Plan::Redrive, u64::MAX, |sqs| {
            (0..25).for_each(|_| sqs.bury(&event(), LONG_AGO));
            sqs.comes_back = true;
        })
        .await;

        result.unwrap();
        assert_eq!((sqs.dead.len(), sqs.events.len()), (25, 25));
    }

    #[tokio::test]
    async fn an_inflow_without_end_does_not_keep_a_command_busy_without_end() {
        for plan in [Plan::Show, Plan::DryRun, Plan::Redrive] {
            let (result, sqs) = gone_through(plan, u64::MAX, |sqs| {
                sqs.bury(&event(), LONG_AGO);
                sqs.inflow = Some("poison");
            })
            .await;

            result.unwrap();
            let redrives = matches!(plan, Plan::Redrive);
            assert_eq!(sqs.events.len(), usize::from(redrives));
        }
    }

    #[tokio::test]
    async fn what_was_not_sent_stays_and_what_was_not_deleted_is_told() {
        for (refused, sent) in [("SendMessage", 0), ("DeleteMessage", 2)] {
            let (result, sqs) = gone_through(Plan::Redrive, u64::MAX, |sqs| {
                (0..2).for_each(|_| sqs.bury(&event(), LONG_AGO));
                sqs.refused = vec![refused];
            })
            .await;

            assert!(
                matches!(result, Err(DeadLetterError::NotMoved(2))),
                "{refused}"
            );
            assert_eq!((sqs.dead.len(), sqs.events.len()), (2, sent), "{refused}");
            assert!(sqs.dead.iter().all(|message| !message.hidden), "{refused}");
        }
    }

    #[tokio::test]
    async fn what_nobody_can_read_is_discarded_by_its_id_and_nothing_else() {
        let (result, sqs) = discarded(&named(&["message-1"]), |sqs| {
            for body in ["first", "second", "third"] {
                sqs.bury(body, LONG_AGO);
            }
        })
        .await;

        result.unwrap();
        assert_eq!(texts(&sqs.dead), ["first", "third"]);
        assert!(sqs.dead.iter().all(|message| !message.hidden));
    }

    #[tokio::test]
    async fn without_a_yes_nothing_is_discarded() {
        let options = Discard {
            yes: false,
            ..named(&["message-0"])
        };

        let (result, sqs) = discarded(&options, |sqs| sqs.bury("poison", LONG_AGO)).await;

        result.unwrap();
        assert_eq!(texts(&sqs.dead), ["poison"]);
        assert!(!sqs.dead[0].hidden);
    }

    #[tokio::test]
    async fn an_event_is_discarded_once_its_record_is_closed_and_kept_while_a_webhook_could_be_lost()
     {
        const KEY: &str = "armada#shop-1#order.updated#wh_1";
        let of_other_body = || format!("{KEY}#{}", Sha256Hex::of(b""));
        let cases: [(&str, Vec<Record>, bool); 6] = [
            ("no record", vec![], false),
            ("pending", vec![(KEY.to_owned(), "pending", b"")], false),
            ("applied", vec![(KEY.to_owned(), "applied", b"")], true),
            ("parked", vec![(KEY.to_owned(), "parked", b"")], true),
            (
                "another body",
                vec![(KEY.to_owned(), "applied", b"other")],
                false,
            ),
            (
                "under the key of its own body",
                vec![
                    (KEY.to_owned(), "pending", b"other"),
                    (of_other_body(), "dismissed", b""),
                ],
                true,
            ),
        ];
        for (why, records, goes) in cases {
            for (force, goes) in [(false, goes), (true, true)] {
                let options = Discard {
                    force,
                    ..named(&["message-0"])
                };
                let (result, sqs) = discarded(&options, |sqs| {
                    sqs.bury(&event(), LONG_AGO);
                    sqs.records.clone_from(&records);
                })
                .await;

                assert_eq!(sqs.dead.is_empty(), goes, "{why}");
                match result {
                    Ok(()) => assert!(goes, "{why}"),
                    Err(DeadLetterError::WouldLose(1)) => assert!(!goes, "{why}"),
                    Err(error) => panic!("{why}: {error}"),
                }
            }
        }
    }

    #[tokio::test]
    async fn a_message_of_another_version_is_not_discarded_unread() {
        let (result, sqs) = discarded(&named(&["message-0"]), |sqs| {
            sqs.bury(r#"{"schema_version":2}"#, LONG_AGO);
        })
        .await;

        assert!(matches!(result, Err(DeadLetterError::WouldLose(1))));
        assert_eq!(sqs.dead.len(), 1);
    }

    #[tokio::test]
    async fn a_message_that_is_not_there_is_named_and_a_table_that_is_silent_discards_nothing() {
        let (result, sqs) = discarded(&named(&["message-0", "gone"]), |sqs| {
            sqs.bury("poison", LONG_AGO);
        })
        .await;
        let Err(DeadLetterError::NotFound(missing)) = result else {
            panic!("{result:?}");
        };
        assert_eq!((missing, sqs.dead.len()), (vec!["gone".to_owned()], 0));

        let (result, sqs) = discarded(&named(&["message-0"]), |sqs| {
            sqs.bury(&event(), LONG_AGO);
            sqs.refused = vec!["GetItem"];
        })
        .await;
        assert!(matches!(result, Err(DeadLetterError::NotMoved(1))));
        assert_eq!(sqs.dead.len(), 1);
        assert!(!sqs.dead[0].hidden);
    }

    #[test]
    fn a_dead_letter_is_shown_without_its_text() {
        let lines = [
            line(&letter(&event(), Some("shop-1")), Fate::Shown),
            line(
                &letter(r#"{"schema_version":2}"#, None),
                Fate::LeftUnreadable,
            ),
            line(&letter("amina", Some("shop-1")), Fate::Shown),
        ];
        let shown: Vec<_> = lines.iter().map(ToString::to_string).collect();

        expect![[r#"
            shown              0b9c  event             2 h  received 51x  shop-1  2f97ecd3ff7f5b61  shop-1#armada#A1
            left: unreadable   0b9c  other version     2 h  received 51x  -
            shown              0b9c  not ours          2 h  received 51x  shop-1"#]].assert_eq(&shown.join("\n"));
        expect![[r#"{"message":{"message_id":"0b9c","fate":"shown","kind":"event","merchant":"shop-1","sent_at":"2026-01-07T20:00:00.000Z","receive_count":51,"webhook":"2f97ecd3ff7f5b61","order":"shop-1#armada#A1"}}"#]].assert_eq(&serde_json::to_string(&lines[0]).unwrap());
        for line in &lines {
            let both = format!("{line}{}", serde_json::to_string(line).unwrap());
            assert!(!both.contains("amina"));
        }
    }

    #[test]
    fn only_what_was_not_moved_is_a_failure() {
        let mut total = Total::default();
        for fate in [
            Fate::Redriven,
            Fate::Redriven,
            Fate::LeftUnreadable,
            Fate::LeftNew,
            Fate::NotSent,
            Fate::NotDeleted,
        ] {
            total.count(fate);
        }

        assert_eq!(total.failures(), 2);
        assert_eq!(
            total.to_string(),
            "6 message(s): 2 redriven, 1 left: unreadable, 1 left: new, 1 not sent, 1 sent, not deleted"
        );
    }
}
