//! What CloudWatch makes metrics of: the fields of a log line that are named here, in embedded metric format.
//!
//! Alarms and the dashboard name the same metrics; `tests/it/metrics.rs` holds all three together.

use std::collections::BTreeMap;

use serde::Serialize;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "DeliveryWebhooks";
/// The field, and the dimension, that tells one deployed stack from another.
pub const STACK: &str = "stack";
/// The field, and the dimension, that tells the providers apart.
pub const PROVIDER: &str = "provider";

/// What a metric's values are numbers of, as CloudWatch calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// How often something happened.
    Count,
    /// A time in milliseconds.
    Milliseconds,
    /// A time in seconds.
    Seconds,
}

/// By what a metric's values are kept apart. Never by merchant: each one would be another metric to pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimensions {
    /// By stack.
    Stack,
    /// By stack and provider.
    StackAndProvider,
}

impl Dimensions {
    /// The names of the fields that hold them.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Stack => &[STACK],
            Self::StackAndProvider => &[STACK, PROVIDER],
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, which is also the name of the field that has its value.
    pub name: &'static str,
    /// Of its values.
    pub unit: Unit,
    /// By what they are kept apart.
    pub dimensions: Dimensions,
    /// What one value says.
    pub about: &'static str,
}

const fn count(name: &'static str, dimensions: Dimensions, about: &'static str) -> Metric {
    Metric {
        name,
        unit: Unit::Count,
        dimensions,
        about,
    }
}

/// All metrics, in the order of an event's way.
pub const METRICS: [Metric; 26] = {
    use Dimensions::{Stack, StackAndProvider};
    [
        count(
            "Accepted",
            StackAndProvider,
            "Webhooks answered 200 because they are safe now.",
        ),
        count(
            "Duplicate",
            StackAndProvider,
            "Webhooks answered 200 because they were safe already.",
        ),
        count(
            "Ignored",
            StackAndProvider,
            "Webhooks answered 200 that nobody needs: other topics, and a provider's check of the URL.",
        ),
        count(
            "Refused",
            StackAndProvider,
            "Requests answered 4xx by a function, the next three among them.",
        ),
        count(
            "VerificationFailed",
            StackAndProvider,
            "Requests answered 401 or 403.",
        ),
        count(
            "Malformed",
            Stack,
            "Webhooks of known senders that cannot be read. They are kept as quarantined.",
        ),
        count(
            "SourceAddressUnlisted",
            StackAndProvider,
            "Requests from an address that is not one of the provider's, refused or not.",
        ),
        count(
            "Unavailable",
            StackAndProvider,
            "Requests answered 503 because nothing could be stored.",
        ),
        count(
            "Unmapped",
            Stack,
            "Webhooks kept although their meaning is not known yet.",
        ),
        Metric {
            name: "RecordMs",
            unit: Unit::Milliseconds,
            dimensions: Stack,
            about: "How long the write of a webhook took.",
        },
        count(
            "ForwardFailed",
            Stack,
            "Webhooks that are recorded and whose event the queue did not take. The relay sends it.",
        ),
        count(
            "Fallback",
            Stack,
            "Webhooks that the table did not take and the queue did.",
        ),
        count("Applied", Stack, "Events applied to their order."),
        Metric {
            name: "ApplyDelayMs",
            unit: Unit::Milliseconds,
            dimensions: Stack,
            about: "From the receipt of a webhook until it was applied.",
        },
        count(
            "BeyondBound",
            Stack,
            "Events of orders that have too many. Their state stands still.",
        ),
        count("Retried", Stack, "Messages that failed and come again."),
        count(
            "DeadLettered",
            Stack,
            "Messages set aside because they can never be applied.",
        ),
        count(
            "RelayRuns",
            Stack,
            "Runs of the relay that came to their end.",
        ),
        Metric {
            name: "OldestPendingSeconds",
            unit: Unit::Seconds,
            dimensions: Stack,
            about: "How long ago the oldest webhook was received that a run of the relay found not applied; 0 when it found none.",
        },
        count("Reforwarded", Stack, "Events that the relay sent again."),
        count("Parked", Stack, "Webhooks that the relay gave up."),
        count(
            "BackedUp",
            Stack,
            "Runs of the relay that left most webhooks to a queue that is full.",
        ),
        count(
            "StatusChangesPublished",
            Stack,
            "Changes of an order's status that the event bus took.",
        ),
        count(
            "StatusChangesHeld",
            Stack,
            "Changes to delivered or failed that wait, because they may be taken back.",
        ),
        count(
            "PublishFailed",
            Stack,
            "Changes that were not published and come again.",
        ),
        Metric {
            name: "PublishDelayMs",
            unit: Unit::Milliseconds,
            dimensions: Stack,
            about: "From the receipt of the webhook that brought a status until its change was published.",
        },
    ]
};

/// The metric of a field, if it is one. Their names begin with a capital letter, and no other field's does.
pub(crate) fn metric_of(field: &str) -> Option<&'static Metric> {
    if !field.starts_with(|first: char| first.is_ascii_uppercase()) {
        return None;
    }
    METRICS.iter().find(|metric| metric.name == field)
}

/// The member `_aws` of a line, by which CloudWatch finds the metrics among its fields.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Directives {
    timestamp: u64,
    cloud_watch_metrics: Vec<Directive>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [&'static [&'static str]; 1],
    metrics: Vec<Definition>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: Unit,
}

impl Directives {
    /// For the metrics of one line, written at some time since the epoch in milliseconds.
    pub(crate) fn of(metrics: &[&'static Metric], timestamp: u64) -> Self {
        let mut grouped: BTreeMap<Dimensions, Vec<Definition>> = BTreeMap::new();
        for metric in metrics {
            grouped
                .entry(metric.dimensions)
                .or_default()
                .push(Definition {
                    name: metric.name,
                    unit: metric.unit,
                });
        }
        Self {
            timestamp,
            cloud_watch_metrics: grouped
                .into_iter()
                .map(|(dimensions, metrics)| Directive {
                    namespace: NAMESPACE,
                    dimensions: [dimensions.names()],
                    metrics,
                })
                .collect(),
        }
    }
}
