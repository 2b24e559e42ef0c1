//! The one conditional write: dedupe, audit and outbox. Used by ingest, and by the consumer for a webhook
//! that arrived while the table did not answer.

use crate::{
    OrderKey, PortError, PutOutcome, RecordState, WebhookKey, WebhookRecord, WebhookRecords,
};

/// How a webhook is recorded now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The key of its record: its own, or with the body's digest behind it.
    pub key: WebhookKey,
    /// Whether it was recorded before.
    pub outcome: RecordingOutcome,
    /// Whether its own key holds another body, because the provider used an id twice.
    pub id_reused: bool,
}

/// Whether a webhook was recorded before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingOutcome {
    /// It was not.
    New,
    /// By this very handler call: the answer to the first write was lost and the client wrote again.
    Mine,
    /// By another handler call; whoever wrote it looks after it.
    Duplicate,
}

/// Records a webhook, once.
///
/// An id is never a reason to lose an event: another body under a known key is another webhook and gets a
/// key of its own.
///
/// # Errors
/// When the table did not answer; whether something was written is then unknown.
pub async fn record<R: WebhookRecords>(
    records: &R,
    record: &WebhookRecord,
    state: RecordState,
    order: Option<&OrderKey>,
) -> Result<Recording, PortError> {
    let own_key = record.webhook_pk.clone();
    if let Some(outcome) = put(records, &own_key, record, state, order).await? {
        return Ok(Recording {
            key: own_key,
            outcome,
            id_reused: false,
        });
    }
    let key = own_key.for_other_body(&record.body_sha256);
    // Under a key that ends with the digest, another body would be a collision of SHA-256.
    let outcome = put(records, &key, record, state, order)
        .await?
        .unwrap_or(RecordingOutcome::Duplicate);
    Ok(Recording {
        key,
        outcome,
        id_reused: true,
    })
}

/// `None`: the key is taken by another body.
async fn put<R: WebhookRecords>(
    records: &R,
    key: &WebhookKey,
    record: &WebhookRecord,
    state: RecordState,
    order: Option<&OrderKey>,
) -> Result<Option<RecordingOutcome>, PortError> {
    Ok(
        match records.put_if_absent(key, record, state, order).await? {
            PutOutcome::Written => Some(RecordingOutcome::New),
            PutOutcome::Exists(old) if old.body_sha256 != record.body_sha256 => None,
            PutOutcome::Exists(old) if old.request_id == record.request_id => {
                Some(RecordingOutcome::Mine)
            }
            PutOutcome::Exists(_) => Some(RecordingOutcome::Duplicate),
        },
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;
    use crate::{
        CompressedBody, EpochMillis, ExistingRecord, MerchantId, Provider, RequestId, Sha256Hex,
    };

    #[derive(Default)]
    struct Table(Mutex<BTreeMap<String, ExistingRecord>>);

    impl WebhookRecords for Table {
        async fn put_if_absent(
            &self,
            key: &WebhookKey,
            record: &WebhookRecord,
            _: RecordState,
            _: Option<&OrderKey>,
        ) -> Result<PutOutcome, PortError> {
            let new = ExistingRecord {
                request_id: record.request_id.clone(),
                body_sha256: record.body_sha256.clone(),
            };
            let mut table = self.0.lock().unwrap();
            let old = table.get(key.as_str()).cloned();
            table.entry(key.as_str().to_owned()).or_insert(new);
            Ok(old.map_or(PutOutcome::Written, PutOutcome::Exists))
        }
    }

    fn webhook(request: &str, body: &[u8]) -> WebhookRecord {
        WebhookRecord {
            webhook_pk: WebhookKey::parse("armada#shop-1#order.updated#wh_1").unwrap(),
            provider: Provider::Armada,
            merchant_id: MerchantId::parse("shop-1").unwrap(),
            company_id: None,
            received_at_ms: EpochMillis::new(1),
            headers: BTreeMap::new(),
            body: CompressedBody::deflate(body),
            body_sha256: Sha256Hex::of(body),
            request_id: RequestId::parse(request).unwrap(),
        }
    }

    fn put_one(table: &Table, request: &str, body: &[u8]) -> Recording {
        pollster::block_on(record(
            table,
            &webhook(request, body),
            RecordState::Pending,
            None,
        ))
        .unwrap()
    }

    #[test]
    fn one_put_tells_new_mine_and_duplicate_apart() {
        let table = Table::default();

        assert_eq!(put_one(&table, "r1", b"a").outcome, RecordingOutcome::New);
        assert_eq!(put_one(&table, "r1", b"a").outcome, RecordingOutcome::Mine);
        assert_eq!(
            put_one(&table, "r2", b"a").outcome,
            RecordingOutcome::Duplicate
        );
    }

    #[test]
    fn another_body_under_a_known_id_is_another_webhook() {
        let table = Table::default();
        put_one(&table, "r1", b"a");

        let other = put_one(&table, "r2", b"b");
        assert_eq!(
            (other.outcome, other.id_reused),
            (RecordingOutcome::New, true)
        );
        assert!(other.key.as_str().ends_with(Sha256Hex::of(b"b").as_str()));
        assert_eq!(put_one(&table, "r2", b"b").outcome, RecordingOutcome::Mine);
        assert_eq!(
            put_one(&table, "r1", b"c").outcome,
            RecordingOutcome::New,
            "whatever the handler call is called"
        );
        assert_eq!(
            put_one(&table, "r3", b"b").outcome,
            RecordingOutcome::Duplicate
        );
    }
}
