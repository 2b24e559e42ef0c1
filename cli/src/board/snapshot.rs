//! What the page shows at one moment.

use aws::{StateRead, StoredWebhook};
use domain::{OrderKey, Status};
use serde::Serialize;

use super::remedy::{Remedy, Trouble};
use crate::moment;
use crate::order::{PersonalData, driver};
use crate::records::Summary;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot<'a> {
    pub(super) stack: &'a str,
    pub(super) merchant: Option<&'a str>,
    pub(super) hours: u32,
    /// Every status there is, in the order of progress.
    pub(super) statuses: [Status; Status::ALL.len()],
    /// The newest orders.
    pub(super) orders: Vec<&'a Card>,
    /// How many orders are not among them.
    pub(super) orders_left_out: usize,
    /// The newest webhooks.
    pub(super) webhooks: Vec<Row>,
    pub(super) webhooks_left_out: u64,
    pub(super) groups: Vec<Group>,
    pub(super) dead_letters: DeadLetters,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Card {
    key: String,
    merchant_id: String,
    provider: &'static str,
    order_id: String,
    /// Absent until the consumer has saved a state.
    is_saved: bool,
    status: Option<Status>,
    since: Option<String>,
    reason: Option<&'static str>,
    number: Option<String>,
    driver: Option<String>,
}

impl Card {
    pub(super) fn new(order: &OrderKey, read: StateRead, personal_data: PersonalData) -> Self {
        let state = read.state.map(|state| personal_data.of(state));
        let state = state.as_ref();
        let details = state.map(|state| &state.details);
        Self {
            key: order.to_string(),
            merchant_id: order.merchant_id.to_string(),
            provider: order.provider.as_str(),
            order_id: order.order_id.to_string(),
            is_saved: state.is_some(),
            status: state.and_then(|state| state.status),
            since: state.and_then(|state| Some(moment::show(state.status_since_ms?))),
            reason: state.and_then(|state| Some(state.status_reason?.as_str())),
            number: details.and_then(|details| details.order_number.clone()),
            driver: details.and_then(|details| details.driver.as_ref().map(driver)),
        }
    }
}

/// A webhook, and what became of it.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    webhook: Summary,
    /// How today's mapping reads it, where that says why a person must look.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// What deals with it, where it waits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remedies: Vec<Remedy>,
}

impl Row {
    pub(super) fn new(stored: &StoredWebhook, why: Option<&String>) -> Self {
        Self {
            webhook: stored.into(),
            why: why.cloned(),
            remedies: Vec::new(),
        }
    }

    /// The same with the commands that deal with it.
    pub(super) fn with(self, remedies: Vec<Remedy>) -> Self {
        Self { remedies, ..self }
    }
}

/// Webhooks that are not done with, for the same reason.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) name: Trouble,
    pub(super) meaning: &'static str,
    pub(super) needs_a_person: bool,
    pub(super) count: u64,
    pub(super) remedies: Vec<Remedy>,
    /// The newest of them.
    pub(super) webhooks: Vec<Row>,
}

/// Messages that were given up.
#[derive(Debug, Serialize)]
pub(super) struct DeadLetters {
    pub(super) count: u64,
    pub(super) remedies: Vec<Remedy>,
}
