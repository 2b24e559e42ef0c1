//! The `webhooks` table: dedupe, audit and outbox in one item.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use domain::{
    BodySha256, CloseOutcome, ClosedAs, ExistingRecord, OrderKey, PortError, PutOutcome,
    RecordClosing, RecordState, RequestId, WebhookKey, WebhookRecord, WebhookRecords,
};

use crate::error::{damaged, port_error};

/// The `webhooks` table.
#[derive(Clone, Debug)]
pub struct WebhooksTable {
    client: Client,
    table: String,
}

impl WebhooksTable {
    /// The table of that name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }
}

impl WebhookRecords for WebhooksTable {
    async fn put_if_absent(
        &self,
        key: &WebhookKey,
        record: &WebhookRecord,
        state: RecordState,
        order: Option<&OrderKey>,
    ) -> Result<PutOutcome, PortError> {
        let call = "webhook put";
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(key, record, state, order)))
            // No clock in it: a record past its expiry is still the same webhook.
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else {
            return Ok(PutOutcome::Written);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                let old = failed.item.as_ref().and_then(existing);
                old.map(PutOutcome::Exists)
                    .ok_or_else(|| damaged(call, "a webhook record"))
            }
            _ => Err(port_error(call, &error)),
        }
    }
}

impl RecordClosing for WebhooksTable {
    async fn close(
        &self,
        key: &WebhookKey,
        body_sha256: &BodySha256,
        closed_as: ClosedAs,
    ) -> Result<CloseOutcome, PortError> {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let close = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(key.as_str()))
            // Never an upsert: that would leave a ghost where a record has expired.
            .condition_expression(
                "attribute_exists(pk) AND body_sha256 = :digest AND #state IN (:pending, :parked)",
            )
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":digest", text(body_sha256.as_str()))
            .expression_attribute_values(":pending", text(RecordState::Pending.as_str()))
            .expression_attribute_values(":parked", text(RecordState::Parked.as_str()))
            .expression_attribute_values(":closed", text(closed_as.state().as_str()));
        let close = match closed_as {
            ClosedAs::Applied { expires_at } => close
                .update_expression("SET #state = :closed, expires_at = :expires_at REMOVE pending_shard, due_at_ms")
                .expression_attribute_values(":expires_at", AttributeValue::N(expires_at.as_seconds().to_string())),
            ClosedAs::Unmapped | ClosedAs::Quarantined => {
                close.update_expression("SET #state = :closed REMOVE pending_shard, due_at_ms")
            }
        };
        match close.send().await {
            Ok(_) => Ok(CloseOutcome::Closed),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(CloseOutcome::NothingToClose)
            }
            Err(error) => Err(port_error("webhook close", &error)),
        }
    }
}

fn item(
    key: &WebhookKey,
    record: &WebhookRecord,
    state: RecordState,
    order: Option<&OrderKey>,
) -> HashMap<String, AttributeValue> {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let number = |value: u64| AttributeValue::N(value.to_string());
    let mut item = HashMap::from([
        ("pk", text(key.as_str())),
        ("state", text(state.as_str())),
        ("merchant_id", text(record.merchant_id.as_str())),
        ("received_at_ms", number(record.received_at_ms.as_millis())),
        ("body", AttributeValue::B(Blob::new(record.body.as_bytes()))),
        ("body_sha256", text(record.body_sha256.as_str())),
        ("request_id", text(record.request_id.as_str())),
        ("forward_attempts", number(0)),
    ]);
    if let Some(order) = order {
        item.insert("order_key", text(&order.to_string()));
    }
    if let Some(company) = &record.company_id {
        item.insert("company_id", text(company.as_str()));
    }
    if !record.headers.is_empty() {
        let headers = record
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        item.insert("headers", AttributeValue::M(headers));
    }
    match state {
        RecordState::Pending => {
            item.insert("pending_shard", text(&record.pending_shard()));
            item.insert("due_at_ms", number(record.first_due_at_ms().as_millis()));
        }
        RecordState::Applied
        | RecordState::Unmapped
        | RecordState::Quarantined
        | RecordState::Parked => {}
    }
    item.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn existing(item: &HashMap<String, AttributeValue>) -> Option<ExistingRecord> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    Some(ExistingRecord {
        request_id: RequestId::parse(text("request_id")?).ok()?,
        body_sha256: BodySha256::parse(text("body_sha256")?).ok()?,
    })
}
