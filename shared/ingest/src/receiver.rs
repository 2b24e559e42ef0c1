//! The use case: one webhook, from the request to the answer.

use std::time::Duration;

use domain::{
    Authenticated, Clock, EventQueue, Installations, Interpretation, PortError, QueueMessage,
    RawWebhook, Reading, RecordState, Recording, RecordingOutcome, RequestId, RequestIds,
    WebhookRecord, WebhookRecords, authenticate, loggable, record, short_digest,
};
use lambda_http::http::Response;
use lambda_http::{Body, Request};
use providers::ProviderAdapter;
use tokio::time::{Instant, timeout_at};

use crate::answer::Answer;
use crate::config::{Config, MAX_HEADER_BYTES};
use crate::registry::CachedRegistry;
use crate::request::{WebhookRequest, into_body};
use crate::source_address::SourceCheck;

/// How long one request may take; the function's own timeout is 8 s, the gateway's 9 s, and Armada waits 10 s.
const BUDGET: Duration = Duration::from_secs(5);
/// When the put must have answered, so that the webhook can still be sent to the queue instead.
const PUT_BUDGET: Duration = Duration::from_millis(3_500);

/// What a receiver needs from outside.
#[derive(Debug)]
pub struct Stores<I, R, Q, C, D> {
    /// Who may send.
    pub installations: I,
    /// Where webhooks are recorded.
    pub records: R,
    /// Where events go.
    pub queue: Q,
    /// The wall clock.
    pub clock: C,
    /// Where request ids come from.
    pub request_ids: D,
}

/// Receives one provider's webhooks.
pub struct Receiver<I, R, Q, C, D> {
    adapter: &'static dyn ProviderAdapter,
    config: Config,
    registry: CachedRegistry<I>,
    records: R,
    queue: Q,
    clock: C,
    request_ids: D,
}

impl<I, R, Q, C, D> std::fmt::Debug for Receiver<I, R, Q, C, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("provider", &self.adapter.provider())
            .finish_non_exhaustive()
    }
}

/// What is known of a handler call before its request is looked at.
#[derive(Debug)]
struct Call {
    started: Instant,
    request_id: RequestId,
    /// The id under which the gateway's access log has the request.
    gateway_request_id: Option<String>,
    trace_header: Option<String>,
    bytes: usize,
}

/// What is said about a webhook in its one log line. Nothing in it is personal, secret, or unbounded.
#[derive(Debug, Default)]
struct Story {
    reason: Option<&'static str>,
    merchant: Option<String>,
    order: Option<String>,
    webhook: Option<String>,
    status: Option<&'static str>,
    record_state: Option<RecordState>,
    source_listed: Option<bool>,
    id_reused: bool,
    forward: Option<&'static str>,
    error: Option<String>,
    registry_ms: Option<u64>,
    record_ms: Option<u64>,
    forward_ms: Option<u64>,
}

impl<I: Installations, R: WebhookRecords, Q: EventQueue, C: Clock, D: RequestIds>
    Receiver<I, R, Q, C, D>
{
    /// A receiver for the webhooks of one provider.
    pub fn new(
        adapter: &'static dyn ProviderAdapter,
        config: Config,
        stores: Stores<I, R, Q, C, D>,
    ) -> Self {
        let Stores {
            installations,
            records,
            queue,
            clock,
            request_ids,
        } = stores;
        let registry = CachedRegistry::new(installations);
        Self {
            adapter,
            config,
            registry,
            records,
            queue,
            clock,
            request_ids,
        }
    }

    /// Answers one request, and writes one log line about it.
    pub async fn handle(&self, request: Request) -> Response<Body> {
        let call = Call {
            started: Instant::now(),
            request_id: self.request_ids.draw(),
            gateway_request_id: request.gateway_request_id(),
            trace_header: request.trace_header().map(str::to_owned),
            bytes: request.body_bytes().len(),
        };
        let mut story = Story::default();
        let answer = self.receive(request, &call, &mut story).await;
        self.log(answer, &story, &call);
        answer.response(&call.request_id)
    }

    async fn receive(&self, request: Request, call: &Call, story: &mut Story) -> Answer {
        if let Some(answer) = self.refuse_unread(&request, story) {
            return answer;
        }
        let webhook = match self.authenticate(request, call, story).await {
            Ok(webhook) => webhook,
            Err(answer) => return answer,
        };
        let reading = self.adapter.read(&webhook);
        story.tell(&webhook, &reading);
        self.keep(&webhook, reading, call, story).await
    }

    /// What is decided before anything is read or anybody is asked, cheapest first.
    fn refuse_unread(&self, request: &Request, story: &mut Story) -> Option<Answer> {
        if !request.is_post() {
            return Some(Answer::MethodNotAllowed);
        }
        let body = request.body_bytes();
        if body.len() > self.config.max_body_bytes {
            return Some(Answer::TooLarge);
        }
        if request.header_bytes() > MAX_HEADER_BYTES {
            return Some(Answer::HeadersTooLarge);
        }
        if self.adapter.is_url_check(body) {
            story.reason = Some("url_check");
            return Some(Answer::Ignored);
        }
        if !request.is_plain_json() {
            return Some(Answer::UnsupportedMediaType);
        }
        match self
            .config
            .source_addresses
            .check(request.source_ip().as_deref())
        {
            SourceCheck::Skipped => None,
            SourceCheck::Listed => {
                story.source_listed = Some(true);
                None
            }
            SourceCheck::Reported => {
                story.source_listed = Some(false);
                None
            }
            SourceCheck::Refused => {
                story.source_listed = Some(false);
                Some(Answer::Forbidden)
            }
        }
    }

    async fn authenticate(
        &self,
        request: Request,
        call: &Call,
        story: &mut Story,
    ) -> Result<Authenticated, Answer> {
        let headers = request.pick(self.adapter.credential_headers());
        let credential = self.adapter.credential(&headers).map_err(|refusal| {
            story.reason = Some(refusal.as_str());
            Answer::Unauthorized
        })?;
        let asked = Instant::now();
        let digest = credential.digest(self.adapter.provider());
        let found = in_time(
            call.started + PUT_BUDGET,
            "registry read",
            self.registry.find(&digest),
        )
        .await;
        story.registry_ms = Some(elapsed_ms(asked));
        let installation = found.map_err(|error| {
            story.reason = Some("registry_unavailable");
            story.error = Some(error.with_causes());
            Answer::Unavailable
        })?;
        let raw = RawWebhook {
            provider: self.adapter.provider(),
            headers: request.retain(self.adapter.retained_headers()),
            url_key: request.url_key(),
            received_at_ms: self.clock.now_ms(),
            body: into_body(request),
        };
        authenticate(raw, installation.as_ref()).map_err(|refusal| {
            story.reason = Some(refusal.as_str());
            Answer::Unauthorized
        })
    }

    /// Makes the webhook safe. The answer follows from the put, not from the send.
    async fn keep(
        &self,
        webhook: &Authenticated,
        reading: Reading,
        call: &Call,
        story: &mut Story,
    ) -> Answer {
        let Some(state) = reading.interpretation.initial_state() else {
            return Answer::Ignored;
        };
        let new = WebhookRecord::new(webhook, &reading, call.request_id.clone());
        let asked = Instant::now();
        let put = record(&self.records, &new, state, reading.order.as_ref());
        let put = in_time(call.started + PUT_BUDGET, "webhook put", put).await;
        story.record_ms = Some(elapsed_ms(asked));
        match put {
            Ok(recording) => {
                self.follow_up(recording, reading.interpretation, new, call, story)
                    .await
            }
            Err(error) => {
                story.error = Some(error.with_causes());
                self.fall_back(reading.interpretation, new, call, story)
                    .await
            }
        }
    }

    /// The webhook is recorded: send its event, unless somebody else looks after it.
    async fn follow_up(
        &self,
        recording: Recording,
        interpretation: Interpretation,
        new: WebhookRecord,
        call: &Call,
        story: &mut Story,
    ) -> Answer {
        story.id_reused = recording.id_reused;
        match (interpretation, recording.outcome) {
            (Interpretation::Quarantined(_), _) => Answer::BadRequest,
            (Interpretation::Ignored(_), _) => Answer::Ignored,
            (
                Interpretation::Event(_) | Interpretation::Unmapped(_),
                RecordingOutcome::Duplicate,
            ) => Answer::Duplicate,
            (Interpretation::Unmapped(_), RecordingOutcome::New | RecordingOutcome::Mine) => {
                Answer::Accepted
            }
            (Interpretation::Event(event), RecordingOutcome::New | RecordingOutcome::Mine) => {
                let message = QueueMessage::event(recording.key, new.body_sha256, *event);
                // A refused send is no refused webhook: the record stays pending, and the relay sends it.
                let sent = self.send(&message, call, story).await;
                story.forward = Some(if sent { "sent" } else { "failed" });
                Answer::Accepted
            }
        }
    }

    /// The table did not answer: the queue takes the whole record instead, for the consumer to write.
    async fn fall_back(
        &self,
        interpretation: Interpretation,
        new: WebhookRecord,
        call: &Call,
        story: &mut Story,
    ) -> Answer {
        match interpretation {
            // Its answer would be 400, and nobody would send it again: better to be asked again later.
            Interpretation::Quarantined(_) => return Answer::Unavailable,
            Interpretation::Ignored(_) => return Answer::Ignored,
            Interpretation::Event(_) | Interpretation::Unmapped(_) => {}
        }
        let sent = self.send(&QueueMessage::record(new), call, story).await;
        story.forward = Some(if sent { "fallback" } else { "failed" });
        if sent {
            Answer::Accepted
        } else {
            Answer::Unavailable
        }
    }

    async fn send(&self, message: &QueueMessage, call: &Call, story: &mut Story) -> bool {
        let asked = Instant::now();
        let sent = in_time(
            call.started + BUDGET,
            "queue send",
            self.queue.send(message, call.trace_header.as_deref()),
        )
        .await;
        story.forward_ms = Some(elapsed_ms(asked));
        sent.map_err(|error| story.error = Some(error.with_causes()))
            .is_ok()
    }

    fn log(&self, answer: Answer, story: &Story, call: &Call) {
        let Story {
            reason,
            merchant,
            order,
            webhook,
            status,
            record_state,
            source_listed,
            id_reused,
            forward,
            error,
            registry_ms,
            record_ms,
            forward_ms,
        } = story;
        // Of a refused webhook nothing is known to be kept.
        let kept_as = record_state.filter(|_| answer != Answer::Unavailable);
        let degraded = !answer.status().is_success()
            || error.is_some()
            || *id_reused
            || *record_state == Some(RecordState::Unmapped)
            || *source_listed == Some(false);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id = call.request_id.as_str(),
                    gateway_request_id = call.gateway_request_id.as_deref(),
                    provider = self.adapter.provider().as_str(),
                    merchant = merchant.as_deref(),
                    order = order.as_deref(),
                    webhook = webhook.as_deref(),
                    outcome = answer.as_str(),
                    http_status = answer.status().as_u16(),
                    reason,
                    status,
                    record_state = kept_as.map(RecordState::as_str),
                    forward,
                    id_reused = id_reused.then_some(true),
                    source_listed,
                    error = error.as_deref(),
                    bytes = call.bytes,
                    duration_ms = elapsed_ms(call.started),
                    registry_ms,
                    forward_ms,
                    Accepted = counted(answer == Answer::Accepted),
                    Duplicate = counted(answer == Answer::Duplicate),
                    Ignored = counted(answer == Answer::Ignored),
                    Refused = counted(answer.status().is_client_error()),
                    VerificationFailed =
                        counted(matches!(answer, Answer::Unauthorized | Answer::Forbidden)),
                    Malformed = counted(kept_as == Some(RecordState::Quarantined)),
                    SourceAddressUnlisted = counted(*source_listed == Some(false)),
                    Unavailable = counted(answer == Answer::Unavailable),
                    Unmapped = counted(kept_as == Some(RecordState::Unmapped)),
                    RecordMs = record_ms,
                    ForwardFailed =
                        counted(answer.status().is_success() && *forward == Some("failed")),
                    Fallback = counted(*forward == Some("fallback")),
                    trace_id = call.trace_header.as_deref(),
                    "webhook {}",
                    answer.as_str(),
                )
            };
        }
        if answer == Answer::Unavailable {
            line!(error);
        } else if degraded {
            line!(warn);
        } else {
            line!(info);
        }
    }
}

impl Story {
    fn tell(&mut self, webhook: &Authenticated, reading: &Reading) {
        self.merchant = Some(webhook.merchant_id().as_str().to_owned());
        self.order = reading
            .order
            .as_ref()
            .map(|order| loggable(order.order_id.as_str()).into_owned());
        self.webhook = Some(short_digest(reading.key.as_str()));
        self.record_state = reading.interpretation.initial_state();
        match &reading.interpretation {
            Interpretation::Event(event) => self.status = event.status.map(domain::Status::as_str),
            Interpretation::Ignored(why) => self.reason = Some(why.as_str()),
            Interpretation::Unmapped(why) => self.reason = Some(why.as_str()),
            Interpretation::Quarantined(why) => self.reason = Some(why.as_str()),
        }
    }
}

/// One, if it happened: a metric's field is only there when it has something to say.
fn counted(happened: bool) -> Option<u64> {
    happened.then_some(1)
}

/// Waits for a call until a deadline of this request.
async fn in_time<T>(
    deadline: Instant,
    call: &'static str,
    work: impl Future<Output = Result<T, PortError>>,
) -> Result<T, PortError> {
    match timeout_at(deadline, work).await {
        Ok(result) => result,
        Err(elapsed) => Err(PortError {
            call,
            source: Box::new(elapsed),
        }),
    }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
