//! A history as it happens: requests, batches and runs of the relay take turns, one outside call at a time,
//! under a clock that only this file moves.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use aws_lambda_events::sqs::SqsEvent;
use domain::{
    Clock as _, EpochMillis, FIRST_RELAY_DELAY, MAX_FORWARD_ATTEMPTS, Millis, Provider, RecordState,
};
use lambda_http::Request;
use testkit::{Fault, Flaw, NOW, Queued, World, http_api_event, sqs_batch};

use crate::deployment::{AnyReceiver, Deployment, on_the_wire};
use crate::plan::{Faults, Hook, Outage, Part, Plan, Retries, Schedule, pick, seconds};

/// How long Lambda lets a function run.
const REQUEST_TIMEOUT: Millis = seconds(8);
const BATCH_TIMEOUT: Millis = seconds(30);
const RUN_TIMEOUT: Millis = seconds(60);
/// How long a received message is hidden.
const VISIBILITY: Millis = seconds(180);
/// How often a message is received before it is a dead letter.
const MAX_RECEIVES: u32 = 50;
/// A history that takes more turns does not end by itself.
const MOST_TURNS: u32 = 400_000;
/// After this time no new fault begins.
const CALM_AFTER: Millis = seconds(3 * 3_600);

/// What happened.
#[derive(Debug)]
pub(crate) struct Happened {
    pub(crate) world: World,
    pub(crate) begin: EpochMillis,
    /// The webhooks that were answered 200.
    pub(crate) accepted: Vec<Hook>,
    /// Promises that were broken on the way.
    pub(crate) broken: Vec<String>,
    /// How many calls were made, numbered as [`Faults::At`] does.
    pub(crate) numbered_calls: usize,
    pub(crate) faults: usize,
    pub(crate) deaths: usize,
    pub(crate) trace: Vec<String>,
}

enum Done {
    Answered(u16),
    /// The ids of the messages that failed.
    Consumed(Vec<String>),
    Relayed,
}

enum Work {
    Request {
        hook: Hook,
        attempt: u32,
    },
    Batch {
        messages: Vec<Queued>,
        faults_before: usize,
    },
    Run,
}

impl Work {
    const fn timeout(&self) -> Millis {
        match self {
            Self::Request { .. } => REQUEST_TIMEOUT,
            Self::Batch { .. } => BATCH_TIMEOUT,
            Self::Run => RUN_TIMEOUT,
        }
    }
}

/// What became of a turn.
enum Turn {
    Taken,
    /// Something could be done, and nobody does it for a while.
    Idle,
    /// There is nothing to do now.
    Nothing,
}

struct Process {
    work: Work,
    ends_at: EpochMillis,
    woken: Arc<Woken>,
    future: Pin<Box<dyn Future<Output = Done>>>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is going to happen at a time.
#[derive(Clone, Debug)]
enum Appointment {
    Send { hook: Hook, attempt: u32 },
    Remap,
    WearOut,
    ReplayApplied,
    Erase,
}

struct History<'a> {
    plan: &'a Plan,
    flaw: Option<Flaw>,
    random: fastrand::Rng,
    world: World,
    deployment: Deployment,
    receivers: BTreeMap<Provider, Arc<AnyReceiver>>,
    /// What the weather needs to know of the time.
    clock: Arc<AtomicU64>,
    calm: Arc<AtomicBool>,
    numbered: Arc<AtomicU64>,
    appointments: Vec<(EpochMillis, Appointment)>,
    processes: Vec<Process>,
    next_run: EpochMillis,
    accepted: Vec<Hook>,
    broken: Vec<String>,
    deaths: usize,
    trace: Option<Vec<String>>,
}

/// Lets a plan happen. Must be called in a Tokio runtime whose clock is paused.
pub(crate) async fn happen(plan: &Plan, flaw: Option<Flaw>, traced: bool) -> Happened {
    let mut history = History::new(plan, flaw, traced);
    history.begin();
    history.run_until_settled().await;
    if plan.remapped.is_some() || history.has(RecordState::Parked) {
        history.say(|| "the operator replays what is unmapped, quarantined or parked".to_owned());
        history.replay(&[
            RecordState::Unmapped,
            RecordState::Quarantined,
            RecordState::Parked,
        ]);
        history.run_until_settled().await;
    }
    Happened {
        begin: NOW,
        accepted: history.accepted,
        broken: history.broken,
        numbered_calls: usize::try_from(history.numbered.load(Ordering::Relaxed))
            .unwrap_or(usize::MAX),
        faults: history.world.fault_count(),
        deaths: history.deaths,
        trace: history.trace.unwrap_or_default(),
        world: history.world,
    }
}

impl<'a> History<'a> {
    fn new(plan: &'a Plan, flaw: Option<Flaw>, traced: bool) -> Self {
        let world = World::interleaved(plan.seed);
        let remapped_at = NOW + plan.remapped.unwrap_or(Millis::new(0));
        let deployment = Deployment::new(&world, flaw, remapped_at);
        Self {
            plan,
            flaw,
            random: fastrand::Rng::with_seed(plan.seed ^ 0x5eed),
            deployment,
            receivers: BTreeMap::new(),
            clock: Arc::new(AtomicU64::new(NOW.as_millis())),
            calm: Arc::default(),
            numbered: Arc::default(),
            appointments: Vec::new(),
            processes: Vec::new(),
            next_run: NOW,
            accepted: Vec::new(),
            broken: Vec::new(),
            deaths: 0,
            trace: traced.then(Vec::new),
            world,
        }
    }

    fn begin(&mut self) {
        let plan = self.plan;
        for hook in &plan.hooks {
            let send = Appointment::Send {
                hook: hook.clone(),
                attempt: 1,
            };
            self.appointments.push((NOW + hook.sent, send));
        }
        if let Some(remapped) = plan.remapped {
            self.appointments.push((NOW + remapped, Appointment::Remap));
        }
        if plan.worn_out {
            self.appointments
                .push((NOW + seconds(100), Appointment::WearOut));
        }
        for _ in 0..plan.needless_replays {
            let at = NOW + seconds(pick(&mut self.random, &[1, 20, 200, 2_000]));
            self.appointments.push((at, Appointment::ReplayApplied));
        }
        for _ in 0..plan.erasures {
            let at = NOW + seconds(pick(&mut self.random, &[1, 20, 200]));
            self.appointments.push((at, Appointment::Erase));
        }
        for number in 0..plan.poison {
            self.world.enqueue_text(&format!("poison {number}"));
        }
        if plan.backlog {
            self.world.set_backlog(5_000);
        }
        self.world.set_weather(weather(
            plan,
            self.clock.clone(),
            self.calm.clone(),
            self.numbered.clone(),
        ));
    }

    async fn run_until_settled(&mut self) {
        for _ in 0..MOST_TURNS {
            self.keep_appointments();
            if self.is_settled() {
                return;
            }
            match self.take_a_turn() {
                Turn::Taken => {}
                Turn::Nothing => self.let_time_pass(None).await,
                Turn::Idle => self.let_time_pass(Some(seconds(2))).await,
            }
        }
        let waiting = self
            .world
            .records()
            .into_iter()
            .filter_map(|(key, stored)| {
                (stored.state == RecordState::Pending).then(|| key.to_string())
            });
        let waiting: Vec<_> = waiting.collect();
        self.broken
            .push(format!("it does not come to an end: pending {waiting:?}"));
    }

    fn is_settled(&self) -> bool {
        self.processes.is_empty()
            && self.appointments.is_empty()
            && self.world.queued().is_empty()
            && !self.world.has_late_effects()
            && self.world.next_due().is_none()
    }

    /// Does one thing that can be done now, if there is one.
    fn take_a_turn(&mut self) -> Turn {
        let ready: Vec<usize> = (0..self.processes.len())
            .filter(|index| self.processes[*index].woken.0.load(Ordering::Relaxed))
            .collect();
        let visible = if self.may_receive() {
            self.world.visible()
        } else {
            Vec::new()
        };
        match self.plan.schedule {
            Schedule::InOrder => {
                if let Some(first) = ready.first() {
                    self.poll(*first);
                } else if !visible.is_empty() {
                    self.receive(visible.get(..10).unwrap_or(&visible));
                } else {
                    return Turn::Nothing;
                }
            }
            Schedule::Random => {
                let receives = usize::from(!visible.is_empty());
                if ready.is_empty() && receives == 0 {
                    return Turn::Nothing;
                }
                if self.random.u32(..100) < 2 {
                    return Turn::Idle;
                }
                let choice = self.random.usize(..ready.len() * 4 + receives);
                if choice < ready.len() * 4 {
                    self.poll(ready[choice / 4]);
                } else {
                    let mut chosen = visible;
                    self.random.shuffle(&mut chosen);
                    chosen.truncate(pick(&mut self.random, &[1, 1, 2, 3, 10]));
                    self.receive(&chosen);
                }
            }
        }
        Turn::Taken
    }

    fn may_receive(&self) -> bool {
        let batches = self
            .processes
            .iter()
            .filter(|process| matches!(process.work, Work::Batch { .. }));
        batches.count() < self.plan.at_once
            && !self.is_down(Part::Consumer)
            && !self.is_down(Part::Queue)
    }

    fn is_down(&self, part: Part) -> bool {
        is_down(&self.plan.outages, part, self.world.now_ms())
    }

    // ------------------------------------------------------------------------------------------ processes

    fn start(&mut self, work: Work, future: impl Future<Output = Done> + 'static) {
        // Tokio would otherwise let a timer sleep on after so many polls within one task.
        let future = Box::pin(tokio::task::unconstrained(future));
        self.processes.push(Process {
            ends_at: self.world.now_ms() + work.timeout(),
            work,
            woken: Arc::new(Woken(AtomicBool::new(true))),
            future,
        });
    }

    fn send(&mut self, hook: Hook, attempt: u32) {
        let now = self.world.now_ms();
        let event = http_api_event(&on_the_wire(&hook, NOW, now));
        let event = serde_json::from_value(event).expect("it is a gateway event");
        let request: Request = ingest::readable(event).into();
        let deployment = &self.deployment;
        let receiver = self
            .receivers
            .entry(hook.provider)
            .or_insert_with(|| deployment.receiver(hook.provider))
            .clone();
        self.say(|| format!("request {attempt} of {hook:?}"));
        self.start(Work::Request { hook, attempt }, async move {
            Done::Answered(receiver.handle(request).await.status().as_u16())
        });
    }

    fn receive(&mut self, message_ids: &[String]) {
        let max_receives = if self.flaw == Some(Flaw::FiveReceives) {
            5
        } else {
            MAX_RECEIVES
        };
        // At least once: now and then a message that is being worked on is handed out again.
        let again = self.plan.schedule == Schedule::Random && self.random.u32(..100) < 5;
        let hidden = if again { Millis::new(0) } else { VISIBILITY };
        let messages = self.world.take(message_ids, hidden, max_receives);
        if messages.is_empty() {
            return;
        }
        let event: SqsEvent =
            serde_json::from_value(sqs_batch(&messages)).expect("it is an SQS event");
        self.say(|| format!("batch {message_ids:?}"));
        let consumer = self.deployment.consumer();
        let faults_before = self.world.fault_count();
        let work = Work::Batch {
            messages,
            faults_before,
        };
        self.start(work, async move {
            let response = consumer.handle(event).await.expect("all have message ids");
            let failures = response.batch_item_failures.into_iter();
            Done::Consumed(failures.map(|failure| failure.item_identifier).collect())
        });
    }

    fn start_run(&mut self) {
        let relay = self.deployment.relay();
        self.say(|| "run of the relay".to_owned());
        self.start(Work::Run, async move {
            // A run that failed says so in its log; the next one goes on.
            let _ = relay.run().await;
            Done::Relayed
        });
    }

    fn poll(&mut self, index: usize) {
        let process = &mut self.processes[index];
        process.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(process.woken.clone());
        let mut context = Context::from_waker(&waker);
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| {
            process.future.as_mut().poll(&mut context)
        }));
        // A panic that nobody caught is an error of the invocation, and for its caller the same as a death.
        let Ok(polled) = polled else {
            return self.bury(index);
        };
        if self.world.process_died() {
            return self.bury(index);
        }
        if let Poll::Ready(done) = polled {
            let process = self.processes.remove(index);
            self.finish(process.work, done);
        }
    }

    /// A process ends without a word.
    fn bury(&mut self, index: usize) {
        let process = self.processes.remove(index);
        self.deaths += 1;
        self.say(|| "a process dies".to_owned());
        match process.work {
            Work::Request { hook, attempt } => {
                self.receivers.remove(&hook.provider);
                self.try_again(&hook, attempt);
            }
            Work::Batch { .. } | Work::Run => {}
        }
    }

    fn finish(&mut self, work: Work, done: Done) {
        match (work, done) {
            (Work::Request { hook, attempt }, Done::Answered(status)) => {
                self.say(|| format!("answer {status}"));
                match status {
                    200 => {
                        // The answer may be lost on its way; then the provider does what it does without one.
                        let lost =
                            self.plan.schedule == Schedule::Random && self.random.u32(..100) < 2;
                        if lost {
                            self.try_again(&hook, attempt);
                        }
                        self.accepted.push(hook);
                    }
                    400 => {}
                    503 => self.try_again(&hook, attempt),
                    other => self
                        .broken
                        .push(format!("an authentic webhook got {other}")),
                }
            }
            (
                Work::Batch {
                    messages,
                    faults_before,
                },
                Done::Consumed(mut failed),
            ) => {
                match self.flaw {
                    Some(Flaw::FailureSwallowed) => failed.clear(),
                    Some(Flaw::WholeBatchFails) if !failed.is_empty() => {
                        failed = messages.iter().map(|it| it.message_id.clone()).collect();
                    }
                    _ => {}
                }
                self.say(|| format!("batch done, failed {failed:?}"));
                self.check_failures(&messages, &failed, faults_before);
                let done: Vec<_> = messages
                    .into_iter()
                    .map(|message| message.message_id)
                    .filter(|id| !failed.contains(id))
                    .collect();
                self.world.delete(&done);
            }
            (Work::Run, Done::Relayed) => {}
            (Work::Request { .. } | Work::Batch { .. } | Work::Run, _) => {
                unreachable!("a process does its own work")
            }
        }
    }

    fn try_again(&mut self, hook: &Hook, attempt: u32) {
        if attempt > 3 {
            return;
        }
        let id = match hook.retries {
            Retries::Never => return,
            Retries::Same => hook.id.clone(),
            Retries::NewId => {
                let first = hook.id.split('~').next().unwrap_or_default();
                format!("{first}~{attempt}")
            }
        };
        let wait = match self.plan.schedule {
            Schedule::Random => pick(&mut self.random, &[5, 30, 120]),
            Schedule::InOrder => 30,
        };
        let send = Appointment::Send {
            hook: Hook { id, ..hook.clone() },
            attempt: attempt + 1,
        };
        self.appointments
            .push((self.world.now_ms() + seconds(wait), send));
    }

    /// A message may come again for a failure of its own only.
    fn check_failures(&mut self, messages: &[Queued], failed: &[String], faults_before: usize) {
        if failed.is_empty() {
            return;
        }
        let seen = self.world.observations();
        let faulted = &seen.faulted[faults_before..];
        for message in messages {
            if failed.contains(&message.message_id) && !is_about(message, faulted) {
                self.broken.push(format!(
                    "{} comes again without a failure of its own: {faulted:?}",
                    message.message_id
                ));
            }
        }
    }

    // ------------------------------------------------------------------------------------------ time

    async fn let_time_pass(&mut self, at_most: Option<Millis>) {
        let now = self.world.now_ms();
        let mut moments: Vec<EpochMillis> = Vec::new();
        moments.extend(self.appointments.iter().map(|(at, _)| *at));
        moments.extend(self.world.next_change());
        moments.extend(self.processes.iter().map(|process| process.ends_at));
        if !self.processes.is_empty() {
            // A timer of a handler may fire.
            moments.push(now + Millis::new(250));
        }
        for outage in &self.plan.outages {
            moments.push(NOW + outage.until);
        }
        if let Some(due) = self.world.next_due() {
            moments.push(due.max(self.next_run));
        }
        let next = moments.into_iter().filter(|at| *at > now).min();
        let next = next.unwrap_or(now + seconds(60));
        let next = at_most.map_or(next, |at_most| next.min(now + at_most));
        tokio::time::advance(Duration::from_millis(next.since(now).as_millis())).await;
        self.clock.store(next.as_millis(), Ordering::Relaxed);
        self.world.set_now(next);
        if next.since(NOW) >= CALM_AFTER {
            self.calm.store(true, Ordering::Relaxed);
        }
        if next.since(NOW) >= seconds(15 * 24 * 3_600) {
            self.world.expire_records();
        }
        self.end_what_takes_too_long();
        self.call_the_relay();
    }

    fn end_what_takes_too_long(&mut self) {
        let now = self.world.now_ms();
        while let Some(index) = self
            .processes
            .iter()
            .position(|process| process.ends_at <= now)
        {
            self.bury(index);
        }
    }

    fn call_the_relay(&mut self) {
        let now = self.world.now_ms();
        let due = self.world.next_due().is_some_and(|due| due <= now);
        let needlessly = self.plan.schedule == Schedule::Random && self.random.u32(..100) < 1;
        if now < self.next_run || !(due || needlessly) {
            return;
        }
        let runs = if self.plan.schedule == Schedule::Random && self.random.u32(..100) < 20 {
            2
        } else {
            1
        };
        for _ in 0..runs {
            self.start_run();
        }
        self.next_run = now + seconds(60);
    }

    fn keep_appointments(&mut self) {
        let now = self.world.now_ms();
        let (due, later) = std::mem::take(&mut self.appointments)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.appointments = later;
        let due: Vec<(EpochMillis, Appointment)> = due;
        for (_, appointment) in due {
            match appointment {
                Appointment::Send { hook, attempt } => self.send(hook, attempt),
                Appointment::Remap => {
                    self.say(|| "today's mapping is deployed".to_owned());
                    self.receivers.clear();
                    self.replay(&[RecordState::Unmapped, RecordState::Quarantined]);
                }
                Appointment::WearOut => self.wear_out(),
                Appointment::ReplayApplied => self.replay(&[RecordState::Applied]),
                Appointment::Erase => self.erase_one(),
            }
        }
    }

    // ------------------------------------------------------------------------------------------ the operator

    fn has(&self, state: RecordState) -> bool {
        let mut records = self.world.records().into_values();
        records.any(|stored| stored.state == state)
    }

    fn replay(&mut self, states: &[RecordState]) {
        for (key, stored) in self.world.records() {
            if states.contains(&stored.state) {
                self.say(|| format!("replay of {key}"));
                self.world.replay(&key, stored.state);
            }
        }
    }

    fn wear_out(&mut self) {
        self.say(|| "every record has had its attempts".to_owned());
        for key in self.world.records().into_keys() {
            self.world.change_record(&key, |stored| {
                let delay_ms = FIRST_RELAY_DELAY.as_millis() << MAX_FORWARD_ATTEMPTS;
                stored.relay_delay = Some(Millis::new(delay_ms));
                stored.forward_attempts = MAX_FORWARD_ATTEMPTS;
            });
        }
    }

    fn erase_one(&mut self) {
        let applied = self
            .world
            .records()
            .into_iter()
            .find(|(_, stored)| stored.state == RecordState::Applied);
        if let Some((key, _)) = applied {
            self.say(|| format!("erasure of {key}"));
            self.world.erase(&key);
        }
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        let now = self.world.now_ms().since(NOW).as_millis();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:>9} ms  {}", what()));
        }
    }
}

/// Whether one of the calls that failed was about this message's record or order.
fn is_about(message: &Queued, faulted: &[(&'static str, String)]) -> bool {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let Ok(body) = serde_json::from_str::<serde_json::Value>(&message.body) else {
        return faulted.iter().any(|(call, _)| *call == "bury");
    };
    let event = &body["event"];
    let order = format!(
        "{}#{}#{}",
        text(&event["merchant_id"]),
        text(&event["provider"]),
        text(&event["order_id"])
    );
    let key = if event.is_null() {
        text(&body["record"]["webhook_pk"])
    } else {
        text(&event["webhook_pk"])
    };
    faulted.iter().any(|(call, about)| match *call {
        "put_if_absent" | "close" => about.starts_with(&key),
        // The order of a record is inside its body.
        "put_entry" | "read" | "save" => *about == order || event.is_null(),
        _ => false,
    })
}

fn is_down(outages: &[Outage], part: Part, now: EpochMillis) -> bool {
    outages
        .iter()
        .any(|outage| outage.part == part && NOW + outage.from <= now && now < NOW + outage.until)
}

/// Which part of the outside a call goes to.
fn part_of(call: &str) -> Part {
    match call {
        "send" | "send_all" | "waiting" | "postpone" | "bury" => Part::Queue,
        _ => Part::Tables,
    }
}

/// Decides which calls fail.
fn weather(
    plan: &Plan,
    clock: Arc<AtomicU64>,
    calm: Arc<AtomicBool>,
    numbered: Arc<AtomicU64>,
) -> impl FnMut(&'static str) -> Option<Fault> + Send + 'static {
    let mut random = fastrand::Rng::with_seed(plan.seed ^ 0x0dd);
    let outages = plan.outages.clone();
    let faults = plan.faults.clone();
    let mut left = match faults {
        Faults::Random { budget } | Faults::OnlyTables { budget } => budget,
        Faults::No | Faults::At(_) | Faults::FirstAnd(..) => 0,
    };
    let mut last_call = "";
    let mut first_met = false;
    move |call| {
        // Of the shards that a run reads, one stands for all.
        let repeats = call == "overdue" && last_call == "overdue";
        last_call = call;
        let number = if repeats {
            usize::MAX
        } else {
            usize::try_from(numbered.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX)
        };
        let now = EpochMillis::new(clock.load(Ordering::Relaxed));
        if is_down(&outages, part_of(call), now) {
            return Some(Fault::Before);
        }
        let at = |planned: &[(usize, Fault)]| {
            let planned = planned.iter().find(|(index, _)| *index == number);
            planned.map(|(_, fault)| *fault)
        };
        match &faults {
            Faults::No => None,
            Faults::At(planned) => at(planned),
            Faults::FirstAnd(name, fault, _) if *name == call && !first_met => {
                first_met = true;
                Some(*fault)
            }
            Faults::FirstAnd(_, _, planned) => at(planned),
            Faults::Random { .. } | Faults::OnlyTables { .. }
                if left == 0 || calm.load(Ordering::Relaxed) =>
            {
                None
            }
            Faults::Random { .. } => {
                let chance = if repeats { 0.002 } else { 0.08 };
                (random.f64() < chance).then(|| {
                    left -= 1;
                    any_fault(&mut random)
                })
            }
            Faults::OnlyTables { .. } => {
                let chance = if part_of(call) == Part::Tables && !repeats {
                    0.12
                } else {
                    0.0
                };
                (random.f64() < chance).then(|| {
                    left -= 1;
                    pick(&mut random, &[Fault::Before, Fault::After, Fault::Repeated])
                })
            }
        }
    }
}

fn any_fault(random: &mut fastrand::Rng) -> Fault {
    match random.u32(..9) {
        0 | 1 => Fault::Before,
        2 => Fault::After,
        3 => Fault::Repeated,
        4 => Fault::Late(seconds(pick(random, &[0, 1, 5, 50, 600]))),
        5 => Fault::HangBefore,
        6 => Fault::HangAfter,
        7 => Fault::DiesBefore,
        _ => Fault::DiesAfter,
    }
}
