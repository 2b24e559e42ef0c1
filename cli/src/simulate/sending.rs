//! Sends a plan's webhooks at a rate, over a bounded number of connections that stay open.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use domain::Provider;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use super::expectation::Answered;
use super::plan::{Delivery, Plan, Sketches};
use super::tally::Tally;
use crate::http::{Connections, WebhookAddress};

/// How often a webhook is sent that is not answered, or with 429 or 5xx: as often as Armada documents it.
const TRIES: u32 = 3;
/// How long a provider waits before the second try; twice as long before the third.
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(1);

/// How the webhooks are sent.
#[derive(Debug)]
pub(super) struct Means {
    /// Where each provider's webhooks go.
    pub(super) addresses: [WebhookAddress; 2],
    /// Webhooks in a second.
    pub(super) rate: NonZeroU32,
    /// How many are under way at the same time.
    pub(super) connections: NonZeroU16,
    /// How long is waited before the second try of a webhook.
    pub(super) first_wait: Duration,
}

/// The sending that is going on.
#[derive(Debug)]
pub(super) struct Sending {
    tally: Arc<Mutex<Tally>>,
    /// The orders whose webhooks have all been answered. It is closed when everything is sent.
    pub(super) complete: UnboundedReceiver<u32>,
}

impl Sending {
    /// Begins to send.
    pub(super) fn start(plan: &Arc<Plan>, means: Means) -> io::Result<Self> {
        let (sender, complete) = mpsc::unbounded_channel();
        let connections = usize::from(means.connections.get());
        let [armada, shipday] = means.addresses;
        let tally = Arc::new(Mutex::new(Tally::default()));
        let line = Arc::new(Line {
            plan: Arc::clone(plan),
            sketches: Mutex::new((0, plan.sketches_in_order())),
            began: Instant::now(),
            rate: means.rate,
            first_wait: means.first_wait,
            armada: Connections::to(armada, connections),
            shipday: Connections::to(shipday, connections),
            tally: Arc::clone(&tally),
            unanswered: Mutex::new(BTreeMap::new()),
        });
        for _ in 0..connections {
            let (line, complete) = (Arc::clone(&line), sender.clone());
            thread::Builder::new()
                .name("provider".to_owned())
                .spawn(move || line.work(&complete))?;
        }
        Ok(Self { tally, complete })
    }

    /// What has been sent and answered so far.
    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }
}

/// What the connections share. Nothing in it grows with the number of webhooks but four bytes of latency for each.
struct Line {
    plan: Arc<Plan>,
    /// The number of the next webhook, and those that are left.
    sketches: Mutex<(u64, Sketches)>,
    began: Instant,
    rate: NonZeroU32,
    first_wait: Duration,
    armada: Connections,
    shipday: Connections,
    tally: Arc<Mutex<Tally>>,
    /// How many webhooks of an order have been answered, while others of it have not.
    unanswered: Mutex<BTreeMap<u32, u32>>,
}

impl Line {
    /// Sends one webhook after the other until none is left.
    fn work(&self, complete: &UnboundedSender<u32>) {
        while let Some((number, delivery)) = self.next() {
            let due = self.began + due_after(number, self.rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.send(&delivery);
            if self.is_last(&delivery) {
                // Whoever listened has gone, and so will this process.
                let _ = complete.send(delivery.order);
            }
        }
    }

    fn next(&self) -> Option<(u64, Delivery)> {
        let (number, sketch) = {
            let mut sketches = lock(&self.sketches);
            let (next, rest) = &mut *sketches;
            let sketch = rest.next()?;
            *next += 1;
            (*next - 1, sketch)
        };
        // Written out by each connection for itself.
        Some((number, self.plan.delivery(&sketch)))
    }

    /// Sends it until it is answered for good, like a provider.
    fn send(&self, delivery: &Delivery) {
        lock(&self.tally).sends(self.began.elapsed());
        let connections = match delivery.provider() {
            Provider::Armada => &self.armada,
            Provider::Shipday => &self.shipday,
        };
        let mut wait = self.first_wait;
        for tries_left in (0..TRIES).rev() {
            let sent = Instant::now();
            let (answered, failure) = match delivery.webhook.send_over(connections) {
                Ok(answer) => (Answered::new(answer.status, &answer.body), None),
                // Its own text has the URL, whose key is a secret.
                Err(error) => (Answered::Nothing, error.source().map(ToString::to_string)),
            };
            let took = sent.elapsed();
            let is_final = tries_left == 0 || !answered.asks_for_a_retry();
            let mut tally = lock(&self.tally);
            tally.answered(answered, took, failure);
            if is_final {
                tally.ends(delivery, answered);
                return;
            }
            drop(tally);
            thread::sleep(wait);
            wait *= 2;
        }
    }

    /// Whether it was the last of its order to be answered.
    fn is_last(&self, delivery: &Delivery) -> bool {
        let mut unanswered = lock(&self.unanswered);
        let answered = unanswered.entry(delivery.order).or_insert(0);
        *answered += 1;
        let is_last = *answered == delivery.of_order;
        if is_last {
            unanswered.remove(&delivery.order);
        }
        is_last
    }
}

/// When the webhook with that number is due, after the first.
fn due_after(number: u64, rate: NonZeroU32) -> Duration {
    let rate = u64::from(rate.get());
    Duration::from_secs(number / rate)
        + Duration::from_nanos((number % rate) * 1_000_000_000 / rate)
}

/// A thread that panicked has counted wrong at worst.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::plan::{Disturbances, Scenario};
    use super::*;

    /// Answers every request on a connection with what `answer` gives for it.
    fn serve(mut connection: TcpStream, answer: impl Fn(&str) -> &'static str) {
        let mut read = Vec::new();
        let mut chunk = [0; 16_384];
        loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            let length = text.split_once("\r\n\r\n").and_then(|(head, body)| {
                let lower = head.to_lowercase();
                let announced = lower.split("content-length: ").nth(1)?.lines().next()?;
                (body.len() >= announced.parse().unwrap()).then_some(text.len())
            });
            match length {
                Some(length) => {
                    read.drain(..length);
                    connection.write_all(answer(&text).as_bytes()).unwrap();
                }
                None => match connection.read(&mut chunk) {
                    Ok(0) | Err(_) => return,
                    Ok(more) => read.extend_from_slice(&chunk[..more]),
                },
            }
        }
    }

    struct Receiver {
        address: WebhookAddress,
        connections: Arc<AtomicUsize>,
    }

    fn receiver(answer: impl Fn(&str) -> &'static str + Send + Clone + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&connections);
        thread::spawn(move || {
            for connection in listener.incoming() {
                seen.fetch_add(1, Ordering::Relaxed);
                let answer = answer.clone();
                thread::spawn(move || serve(connection.unwrap(), answer));
            }
        });
        Receiver {
            address: WebhookAddress { url, host: None },
            connections,
        }
    }

    fn send_all(receiver: &Receiver, orders: u32, rate: u32) -> (Tally, Vec<u32>) {
        let scenario = Scenario::demo(1, orders, Disturbances::NONE).unwrap();
        let plan = Arc::new(Plan::new(scenario).unwrap());
        let means = Means {
            addresses: [receiver.address.clone(), receiver.address.clone()],
            rate: NonZeroU32::new(rate).unwrap(),
            connections: NonZeroU16::new(4).unwrap(),
            first_wait: Duration::from_millis(1),
        };
        let mut sending = Sending::start(&plan, means).unwrap();
        let mut complete = Vec::new();
        while let Some(order) = sending.complete.blocking_recv() {
            complete.push(order);
        }
        complete.sort_unstable();
        let tally = std::mem::take(&mut *sending.tally());
        assert_eq!(tally.sent(), plan.webhooks());
        (tally, complete)
    }

    const ACCEPTED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"status\":\"accepted\"}";
    const IGNORED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"status\":\"ignored\"}";
    const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";

    fn is_position(request: &str) -> bool {
        request.contains("order.location.updated") || request.contains("LOCATION_UPDATE")
    }

    fn right(request: &str) -> &'static str {
        if is_position(request) {
            IGNORED
        } else {
            ACCEPTED
        }
    }

    #[test]
    fn everything_is_sent_over_connections_that_stay_open() {
        let receiver = receiver(right);
        let (tally, complete) = send_all(&receiver, 40, 100_000);

        assert_eq!(tally.unexpected(), 0);
        assert_eq!(complete, Vec::from_iter(0..40));
        // Each provider has its own.
        let connections = receiver.connections.load(Ordering::Relaxed);
        assert!(connections <= 8, "{connections}");
    }

    #[test]
    fn the_rate_is_never_exceeded() {
        let receiver = receiver(right);
        let (tally, _) = send_all(&receiver, 20, 200);

        let reached = tally.reached_rate().unwrap();
        assert!(reached <= 205.0, "{reached}");
    }

    #[test]
    fn a_webhook_that_is_answered_503_is_sent_again() {
        let refused = Arc::new(AtomicUsize::new(0));
        let receiver = receiver(move |request| {
            if refused.fetch_add(1, Ordering::Relaxed) == 0 {
                BUSY
            } else {
                right(request)
            }
        });
        let (tally, _) = send_all(&receiver, 2, 1_000);

        assert_eq!(tally.unexpected(), 0);
        assert_eq!(tally.answers()[&Answered::Unavailable], 1);
    }

    #[test]
    fn what_is_never_answered_is_counted_and_told() {
        let receiver = Receiver {
            address: WebhookAddress {
                url: "http://127.0.0.1:1/?k=secret".to_owned(),
                host: None,
            },
            connections: Arc::default(),
        };
        let (tally, _) = send_all(&receiver, 1, 100_000);

        assert_eq!(tally.unexpected(), tally.sent());
        assert!(!format!("{tally:?}").contains("secret"));
    }

    #[test]
    fn webhooks_are_due_at_equal_distances() {
        let rate = NonZeroU32::new(3).unwrap();

        assert_eq!(due_after(0, rate), Duration::ZERO);
        assert_eq!(due_after(1, rate), Duration::from_nanos(333_333_333));
        assert_eq!(due_after(300_001, rate).as_millis(), 100_000_333);
    }
}
