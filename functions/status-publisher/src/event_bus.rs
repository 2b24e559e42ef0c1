//! The stack's own event bus on EventBridge.

use aws::{batches, port_error, refused};
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use domain::{PortError, StatusChange, StatusChanges};

/// What every event of this system says it comes from.
const SOURCE: &str = "delivery-webhooks";
/// What kind of event it is.
const DETAIL_TYPE: &str = "OrderStatusChanged";
/// Most events in one request.
const MAX_ENTRIES: usize = 10;
/// Most bytes of all events in one request.
const MAX_BYTES: usize = 262_144;
/// What an event counts beside its detail: its source, its type and its time, and some to spare.
const BYTES_BESIDE: usize = 128;
const CALL: &str = "event put";

/// The event bus.
#[derive(Clone, Debug)]
pub struct EventBus {
    client: Client,
    name: String,
}

impl EventBus {
    /// The bus with that name.
    pub fn new(config: &aws_types::SdkConfig, name: impl Into<String>) -> Self {
        Self {
            client: Client::new(config),
            name: name.into(),
        }
    }

    /// Says of each event whether it was taken.
    async fn put(&self, details: &[String]) -> Vec<Result<(), PortError>> {
        let entries = details.iter().map(|detail| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(SOURCE)
                .detail_type(DETAIL_TYPE)
                .detail(detail)
                .build()
        });
        let put = self
            .client
            .put_events()
            .set_entries(Some(entries.collect()));
        match put.send().await {
            Ok(answer) => {
                let mut said = answer.entries().iter();
                // What nothing is said of was not taken.
                details.iter().map(|_| said_of(said.next())).collect()
            }
            Err(error) => details
                .iter()
                .map(|_| Err(port_error(CALL, &error)))
                .collect(),
        }
    }
}

fn said_of(
    entry: Option<&aws_sdk_eventbridge::types::PutEventsResultEntry>,
) -> Result<(), PortError> {
    match entry {
        Some(entry) if entry.event_id().is_some() && entry.error_code().is_none() => Ok(()),
        Some(entry) => Err(refused(CALL, entry.error_code().unwrap_or("nothing"))),
        None => Err(refused(CALL, "nothing")),
    }
}

impl StatusChanges for EventBus {
    async fn publish(&self, changes: &[StatusChange]) -> Vec<Result<(), PortError>> {
        let details: Vec<String> = changes
            .iter()
            // A change is made of texts, numbers and words of ours: it is always JSON.
            .map(|change| serde_json::to_string(change).unwrap_or_default())
            .collect();
        let mut outcomes = Vec::with_capacity(changes.len());
        for batch in requests(&details) {
            outcomes.extend(self.put(batch).await);
        }
        outcomes
    }
}

fn requests(details: &[String]) -> Vec<&[String]> {
    batches(details, MAX_ENTRIES, MAX_BYTES, |detail| {
        detail.len() + BYTES_BESIDE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(details: &[usize]) -> Vec<usize> {
        let details: Vec<_> = details.iter().map(|size| "x".repeat(*size)).collect();
        requests(&details).iter().map(|batch| batch.len()).collect()
    }

    #[test]
    fn a_request_holds_ten_events_and_256_kib_at_most() {
        assert_eq!(sizes(&[]), Vec::<usize>::new());
        assert_eq!(sizes(&[100; 10]), [10]);
        assert_eq!(sizes(&[100; 21]), [10, 10, 1]);
        assert_eq!(sizes(&[MAX_BYTES / 2; 3]), [1, 1, 1]);
        assert_eq!(sizes(&[MAX_BYTES / 2 - BYTES_BESIDE; 3]), [2, 1]);
        assert_eq!(sizes(&[MAX_BYTES + 1, 100]), [1, 1]);
    }
}
