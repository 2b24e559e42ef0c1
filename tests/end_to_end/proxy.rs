//! A proxy between the functions and the AWS services that injects faults.
//!
//! It knows which process makes a call, so that a function can be killed between any two of its calls, and reads
//! what the call is about, so that a fault hits one test's webhook and nothing else.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use hookctl::dev::{ForwardError, Forwarder, refusal};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::caller::Caller;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: it is only counted.
    None,
    /// It is carried out, and the connection is reset before the answer.
    AnswerLost,
    /// It is carried out, and the answer never comes.
    AnswerLate,
    /// It is not carried out, and no answer comes.
    Ignored,
    /// It is not carried out, and the connection is reset.
    Reset,
    /// It is not carried out, and the service says why.
    Refused(StatusCode, &'static str),
    /// It is not carried out, because the function is killed.
    KilledBefore,
    /// It is carried out, and the function is killed before it gets the answer.
    KilledAfter,
}

impl Fault {
    /// The service has enough of this caller; the SDK waits and tries again.
    pub(crate) const THROTTLED: Self =
        Self::Refused(StatusCode::BAD_REQUEST, "ThrottlingException");
    /// The same, about one table's capacity.
    pub(crate) const NO_CAPACITY: Self = Self::Refused(
        StatusCode::BAD_REQUEST,
        "ProvisionedThroughputExceededException",
    );
    /// The service failed.
    pub(crate) const FAILED: Self =
        Self::Refused(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError");
    /// The service is not there.
    pub(crate) const DOWN: Self =
        Self::Refused(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable");
}

/// Some of the functions' calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    by: Option<&'static str>,
    operations: &'static [&'static str],
    about: Vec<String>,
}

impl Calls {
    /// The calls of all functions.
    pub(crate) fn of_all() -> Self {
        Self::default()
    }

    /// The calls of the function with this binary.
    pub(crate) fn by(binary: &'static str) -> Self {
        Self {
            by: Some(binary),
            ..Self::default()
        }
    }

    /// Those to one of these operations.
    pub(crate) fn to(self, operations: &'static [&'static str]) -> Self {
        Self { operations, ..self }
    }

    /// Those whose request has this in it. Of a merchant, that is an id which is no part of another merchant's.
    pub(crate) fn about(mut self, text: impl Into<String>) -> Self {
        self.about.push(text.into());
        self
    }

    fn include(&self, caller: &Caller, operation: &str, body: &str) -> bool {
        self.by.is_none_or(|binary| binary == caller.binary)
            && (self.operations.is_empty() || self.operations.contains(&operation))
            && self.about.iter().all(|text| body.contains(text))
    }
}

/// The function that no random fault hits.
const PUBLISHER: &str = "status-publisher";

/// What happens to how many of ten thousand calls.
pub(crate) type Odds = &'static [(Fault, u16)];

/// What is decided about calls.
#[derive(Debug, Default)]
struct Rules {
    made: usize,
    /// The first one that a call meets decides.
    standing: Vec<Rule>,
    /// What happens to calls that no rule is about.
    random: Option<RandomFaults>,
    /// Who called what, since it was last forgotten.
    carried_out: BTreeSet<CarriedOut>,
}

/// A call that the service answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CarriedOut {
    /// The function's binary.
    pub(crate) by: &'static str,
    /// The service's operation.
    pub(crate) operation: String,
    /// Whether the function's role does not allow it.
    pub(crate) is_denied: bool,
}

#[derive(Debug)]
struct Rule {
    id: usize,
    calls: Calls,
    fault: Fault,
    /// How many calls it is still for.
    left: usize,
    met: usize,
}

#[derive(Debug)]
struct RandomFaults {
    random: fastrand::Rng,
    odds: Odds,
    injected: Vec<usize>,
}

impl Rules {
    fn decide(&mut self, caller: &Caller, operation: &str, body: &str) -> Fault {
        for rule in &mut self.standing {
            if rule.left > 0 && rule.calls.include(caller, operation, body) {
                rule.met += 1;
                rule.left -= 1;
                if rule.fault != Fault::None {
                    return rule.fault;
                }
            }
        }
        // The emulator reads stream and queues one after the other: a publisher that waits would hold up the consumer.
        let random = self.random.as_mut().filter(|_| caller.binary != PUBLISHER);
        random.map_or(Fault::None, RandomFaults::decide)
    }
}

impl RandomFaults {
    fn decide(&mut self) -> Fault {
        let mut drawn = self.random.u16(0..10_000);
        for ((fault, odds), injected) in self.odds.iter().zip(&mut self.injected) {
            if drawn < *odds {
                *injected += 1;
                return *fault;
            }
            drawn -= odds;
        }
        Fault::None
    }
}

/// A running proxy.
#[derive(Clone, Debug)]
pub(crate) struct Proxy(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    /// Only a process whose program is in here may call, or be killed.
    programs: PathBuf,
    upstream: OnceLock<String>,
    forwarder: Forwarder,
    rules: Mutex<Rules>,
}

/// A rule that stands until this is dropped.
#[derive(Debug)]
#[must_use = "the rule ends when this is dropped"]
pub(crate) struct Standing {
    proxy: Proxy,
    id: usize,
}

impl Proxy {
    /// Listens, for functions whose programs are in that folder.
    pub(crate) async fn start(programs: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self(Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            programs,
            upstream: OnceLock::new(),
            forwarder: Forwarder::default(),
            rules: Mutex::default(),
        }));
        let serving = proxy.clone();
        tokio::spawn(async move {
            loop {
                let (connection, peer) = listener.accept().await.unwrap();
                tokio::spawn(serving.clone().serve(connection, peer));
            }
        });
        proxy
    }

    /// Where functions find it.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Where calls go from now on; said once.
    pub(crate) fn forward_to(&self, endpoint: &str) {
        self.0.upstream.set(endpoint.to_owned()).unwrap();
    }

    /// Injects a fault into the next so many of these calls.
    pub(crate) fn next(&self, times: usize, calls: Calls, fault: Fault) -> Standing {
        let mut rules = self.0.rules.lock().unwrap();
        rules.made += 1;
        let id = rules.made;
        rules.standing.push(Rule {
            id,
            calls,
            fault,
            left: times,
            met: 0,
        });
        Standing {
            proxy: self.clone(),
            id,
        }
    }

    /// Injects a fault into all of these calls.
    pub(crate) fn all(&self, calls: Calls, fault: Fault) -> Standing {
        self.next(usize::MAX, calls, fault)
    }

    /// Begins to inject faults at random.
    pub(crate) fn begin_random_faults(&self, seed: u64, odds: Odds) {
        self.0.rules.lock().unwrap().random = Some(RandomFaults {
            random: fastrand::Rng::with_seed(seed),
            odds,
            injected: vec![0; odds.len()],
        });
    }

    /// Ends it, and gives how many faults of each kind there were.
    pub(crate) fn end_random_faults(&self) -> Vec<(Fault, usize)> {
        let faults = self.0.rules.lock().unwrap().random.take().unwrap();
        let kinds = faults.odds.iter().map(|(fault, _)| *fault);
        kinds.zip(faults.injected).collect()
    }

    /// What the functions called since [`Proxy::forget_carried_out`].
    pub(crate) fn carried_out(&self) -> BTreeSet<CarriedOut> {
        self.0.rules.lock().unwrap().carried_out.clone()
    }

    /// Begins anew with what is kept of calls.
    pub(crate) fn forget_carried_out(&self) {
        self.0.rules.lock().unwrap().carried_out.clear();
    }

    async fn serve(self, connection: TcpStream, peer: SocketAddr) {
        // A connection that this end gives up is reset, not closed in order.
        connection.set_zero_linger().unwrap();
        // The kernel's list of connections may change while it is read.
        let found = (0..3).find_map(|_| Caller::find(peer, self.0.address, &self.0.programs));
        let Some(caller) = found else {
            return; // it has ended already
        };
        let answer = service_fn(|request| self.answer(request, &caller));
        // An error is how a connection ends without an answer.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(connection), answer)
            .await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        caller: &Caller,
    ) -> Result<Response<Full<Bytes>>, Unanswered> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let target = head.headers.get("x-amz-target");
        let operation = target
            .and_then(|target| target.to_str().ok()?.split('.').nth(1))
            .unwrap_or_default();
        let fault = {
            let text = String::from_utf8_lossy(&body);
            self.0
                .rules
                .lock()
                .unwrap()
                .decide(caller, operation, &text)
        };

        let operation = operation.to_owned();
        let request = Request::from_parts(head, Full::new(body));
        let carry_out = self.carry_out(request, caller.binary, operation);
        match fault {
            Fault::None => carry_out.await,
            Fault::AnswerLost => {
                carry_out.await?;
                Err(Unanswered::OnPurpose)
            }
            Fault::AnswerLate => {
                carry_out.await?;
                std::future::pending().await
            }
            Fault::Ignored => std::future::pending().await,
            Fault::Reset => Err(Unanswered::OnPurpose),
            Fault::Refused(status, code) => Ok(refusal(status, code)),
            Fault::KilledBefore => {
                caller.kill().await;
                Err(Unanswered::OnPurpose)
            }
            Fault::KilledAfter => {
                carry_out.await?;
                caller.kill().await;
                Err(Unanswered::OnPurpose)
            }
        }
    }

    async fn carry_out(
        &self,
        request: Request<Full<Bytes>>,
        by: &'static str,
        operation: String,
    ) -> Result<Response<Full<Bytes>>, Unanswered> {
        let upstream = self.0.upstream.get().expect("the services run");
        let answer = self.0.forwarder.forward(upstream, request).await?;
        let is_denied = !answer.status().is_success() && contains(answer.body(), b"AccessDenied");
        // A connection that is only opened early asks for nothing.
        if !operation.is_empty() {
            self.0.rules.lock().unwrap().carried_out.insert(CarriedOut {
                by,
                operation,
                is_denied,
            });
        }
        Ok(answer.map(Full::new))
    }
}

impl Standing {
    /// How many calls it was about so far.
    pub(crate) fn met(&self) -> usize {
        let rules = self.proxy.0.rules.lock().unwrap();
        let rule = rules.standing.iter().find(|rule| rule.id == self.id);
        rule.expect("it stands until this is dropped").met
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let mut rules = self.proxy.0.rules.lock().unwrap();
        rules.standing.retain(|rule| rule.id != self.id);
    }
}

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("a fault")]
    OnPurpose,
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    #[error(transparent)]
    Upstream(#[from] ForwardError),
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}
