//! The `webhooks` table: dedupe, audit and outbox in one item.

mod repair;

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use domain::{
    BodySha256, Claim, ClaimOutcome, CloseOutcome, ClosedAs, CompanyId, CompressedBody,
    EpochMillis, ExistingRecord, FIRST_RELAY_DELAY, MerchantId, OrderKey, Overdue, PendingRecords,
    PendingShard, PortError, PutOutcome, RecordClosing, RecordState, RequestId, SetAside,
    WebhookKey, WebhookRecord, WebhookRecords,
};

use crate::error::{damaged, port_error};

pub use repair::{RecordChange, StoredWebhook, WebhookFilter, WebhookParts};

/// The sparse index of records that are not applied yet.
const PENDING_INDEX: &str = "pending";

type Item = HashMap<String, AttributeValue>;

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
        closed("webhook close", close.send().await.map(|_| ()))
    }
}

impl PendingRecords for WebhooksTable {
    async fn overdue(
        &self,
        shard: PendingShard,
        now: EpochMillis,
        limit: usize,
    ) -> Result<Vec<Overdue>, PortError> {
        let call = "overdue query";
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(PENDING_INDEX)
            .key_condition_expression("pending_shard = :shard AND due_at_ms <= :now")
            .expression_attribute_values(":shard", text(&shard.to_string()))
            .expression_attribute_values(":now", number(now.as_millis()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| port_error(call, &error))?;
        let listed = page.items().iter().map(|item| {
            Some(Overdue {
                key: WebhookKey::parse(string(item, "pk")?).ok()?,
                due_at_ms: time(item, "due_at_ms")?,
            })
        });
        // An item that this project cannot have written is nobody's webhook.
        Ok(listed.flatten().collect())
    }

    async fn claim(&self, overdue: &Overdue, now: EpochMillis) -> Result<ClaimOutcome, PortError> {
        let call = "webhook claim";
        // One call is lock, count, doubled delay and the whole item: every right-hand side reads the item as
        // it was before.
        let delay = "if_not_exists(relay_delay_ms, :first_delay)";
        let claim = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(overdue.key.as_str()))
            .condition_expression("attribute_exists(pending_shard) AND due_at_ms = :seen")
            .update_expression(format!(
                "SET due_at_ms = :now + {delay}, relay_delay_ms = {delay} + {delay}, \
                 forward_attempts = if_not_exists(forward_attempts, :zero) + :one"
            ))
            .expression_attribute_values(":seen", number(overdue.due_at_ms.as_millis()))
            .expression_attribute_values(":now", number(now.as_millis()))
            .expression_attribute_values(":first_delay", number(FIRST_RELAY_DELAY.as_millis()))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        match claim.send().await {
            Ok(claimed) => {
                let item = claimed.attributes.unwrap_or_default();
                let claim = Claim {
                    key: overdue.key.clone(),
                    due_at_ms: time(&item, "due_at_ms")
                        .ok_or_else(|| damaged(call, "a claimed record"))?,
                    attempts: count(&item, "forward_attempts")
                        .ok_or_else(|| damaged(call, "a claimed record"))?,
                    record: read(&item),
                };
                Ok(ClaimOutcome::Claimed(Box::new(claim)))
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(ClaimOutcome::Gone)
            }
            Err(error) => Err(port_error(call, &error)),
        }
    }

    async fn set_aside(&self, claim: &Claim, as_what: SetAside) -> Result<CloseOutcome, PortError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(claim.key.as_str()))
            .condition_expression("attribute_exists(pending_shard) AND due_at_ms = :claimed")
            .update_expression("SET #state = :state REMOVE pending_shard, due_at_ms")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":claimed", number(claim.due_at_ms.as_millis()))
            .expression_attribute_values(":state", text(as_what.state().as_str()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let updated = update.send().await.map(|_| ());
        if let Err(error) = &updated
            && let Some(UpdateItemError::ConditionalCheckFailedException(failed)) =
                error.as_service_error()
            && let Some(item) = &failed.item
            && string(item, "state") == Some(as_what.state().as_str())
        {
            // Ours: its answer was lost, and the client made it again.
            return Ok(CloseOutcome::Closed);
        }
        closed("webhook set aside", updated)
    }
}

/// A failed condition is an answer: there was nothing to close.
fn closed<R>(
    call: &'static str,
    update: Result<(), SdkError<UpdateItemError, R>>,
) -> Result<CloseOutcome, PortError> {
    match update {
        Ok(()) => Ok(CloseOutcome::Closed),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
        {
            Ok(CloseOutcome::NothingToClose)
        }
        Err(error) => Err(port_error(call, &error)),
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn item(
    key: &WebhookKey,
    record: &WebhookRecord,
    state: RecordState,
    order: Option<&OrderKey>,
) -> Item {
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
            item.insert("pending_shard", text(&record.pending_shard().to_string()));
            item.insert("due_at_ms", number(record.first_due_at_ms().as_millis()));
        }
        RecordState::Applied
        | RecordState::Unmapped
        | RecordState::Quarantined
        | RecordState::Parked
        | RecordState::Dismissed => {}
    }
    item.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn existing(item: &Item) -> Option<ExistingRecord> {
    Some(ExistingRecord {
        request_id: RequestId::parse(string(item, "request_id")?).ok()?,
        body_sha256: BodySha256::parse(string(item, "body_sha256")?).ok()?,
    })
}

/// The record in an item; `None` when a part of it is missing or unreadable. Its key is the item's, which
/// differs from the webhook's own where an id was used twice.
fn read(item: &Item) -> Option<WebhookRecord> {
    let pk = string(item, "pk")?;
    let headers = match item.get("headers") {
        None => BTreeMap::new(),
        Some(headers) => headers
            .as_m()
            .ok()?
            .iter()
            .map(|(name, value)| Some((name.clone(), value.as_s().ok()?.clone())))
            .collect::<Option<_>>()?,
    };
    Some(WebhookRecord {
        webhook_pk: WebhookKey::parse(pk).ok()?,
        provider: pk.split('#').next()?.parse().ok()?,
        merchant_id: MerchantId::parse(string(item, "merchant_id")?).ok()?,
        company_id: match string(item, "company_id") {
            None => None,
            Some(id) => Some(CompanyId::parse(id).ok()?),
        },
        received_at_ms: time(item, "received_at_ms")?,
        headers,
        body: CompressedBody::from_stored(item.get("body")?.as_b().ok()?.clone().into_inner()),
        body_sha256: BodySha256::parse(string(item, "body_sha256")?).ok()?,
        request_id: RequestId::parse(string(item, "request_id")?).ok()?,
    })
}

fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn time(item: &Item, name: &str) -> Option<EpochMillis> {
    let millis = item.get(name)?.as_n().ok()?.parse().ok()?;
    Some(EpochMillis::new(millis))
}

fn count(item: &Item, name: &str) -> Option<u32> {
    item.get(name)?.as_n().ok()?.parse().ok()
}
