//! What only operators do with the `webhooks` table: look for records, make one pending again, dismiss one, erase one.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use domain::{
    BodySha256, DismissalReason, EpochMillis, MerchantId, OrderKey, PortError, Provider,
    RecordState, WebhookRecord,
};

use super::{Item, WebhooksTable, count, number, read, string, text, time};
use crate::erasure::erased;
use crate::error::port_error;
use crate::scan::{Page, Part, approximate_count, page, scan};

/// What is read when only the summary of a record is asked for: everything but its headers and its body.
const SUMMARY: &str = "pk, #state, merchant_id, order_key, received_at_ms, due_at_ms, \
                       forward_attempts, expires_at, close_reason, body_sha256";

/// A record as it is stored. Every attribute stands for itself, so that a damaged record can be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWebhook {
    /// Its key; text that is no [`domain::WebhookKey`] was not written by this project.
    pub pk: String,
    /// Its state.
    pub state: Option<RecordState>,
    /// Whose orders it speaks of.
    pub merchant_id: Option<MerchantId>,
    /// The order that it speaks of, where that could be read when it came.
    pub order: Option<OrderKey>,
    /// When it was received.
    pub received_at_ms: Option<EpochMillis>,
    /// When the relay may send it; there only while pending.
    pub due_at_ms: Option<EpochMillis>,
    /// How often the relay claimed it.
    pub forward_attempts: Option<u32>,
    /// When it may be deleted.
    pub expires_at: Option<EpochMillis>,
    /// Why it was dismissed.
    pub close_reason: Option<String>,
    /// The digest of its body.
    pub body_sha256: Option<BodySha256>,
    /// The whole record; `None` when a part of it is damaged, or only the summary was asked for.
    pub record: Option<WebhookRecord>,
}

/// How much of each record is read. The cost of a scan is the same: DynamoDB charges for whole items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookParts {
    /// All but headers and body.
    Summary,
    /// All.
    Whole,
}

/// Which records are looked for. What is not set leaves nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookFilter {
    /// In one of these states; none: in any.
    pub states: Vec<RecordState>,
    /// Of this merchant.
    pub merchant_id: Option<MerchantId>,
    /// Of this provider.
    pub provider: Option<Provider>,
    /// Received at this time or later.
    pub since: Option<EpochMillis>,
    /// Received before this time.
    pub until: Option<EpochMillis>,
    /// Received at this time or later, or earlier and not closed until today: pending, set aside, or damaged.
    pub since_or_open: Option<EpochMillis>,
    /// Of this order; also those of its merchant and provider that name no order, because theirs could not be read
    /// when they came.
    pub order: Option<OrderKey>,
}

/// What a conditional change found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// The record as it was seen; it is changed.
    Made,
    /// Another state, another body or no record: nothing was changed.
    NotAsSeen,
}

impl WebhooksTable {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.table
    }

    /// The record with this key.
    ///
    /// # Errors
    /// When the table did not answer.
    pub async fn get(&self, pk: &str) -> Result<Option<StoredWebhook>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(pk))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error("webhook read", &error))?;
        Ok(answer.item.and_then(|item| stored(&item)))
    }

    /// Looks for records in a part of the table.
    ///
    /// # Errors
    /// When the table did not answer.
    pub async fn scan(
        &self,
        filter: &WebhookFilter,
        parts: WebhookParts,
        part: Part<'_>,
    ) -> Result<Page<StoredWebhook>, PortError> {
        let call = "webhook scan";
        let mut request = scan(&self.client, &self.table, part);
        let mut conditions = Vec::new();
        if !filter.states.is_empty() {
            let names = (0..filter.states.len()).map(|n| format!(":state{n}"));
            let names: Vec<String> = names.collect();
            conditions.push(format!("#state IN ({})", names.join(", ")));
            for (name, state) in names.into_iter().zip(&filter.states) {
                request = request.expression_attribute_values(name, text(state.as_str()));
            }
        }
        let others = [
            filter.merchant_id.as_ref().map(|merchant| {
                let value = text(merchant.as_str());
                ("merchant_id = :merchant", ":merchant", value)
            }),
            filter.provider.map(|provider| {
                let value = text(&format!("{provider}#"));
                ("begins_with(pk, :provider)", ":provider", value)
            }),
            filter.since.map(|since| {
                let value = number(since.as_millis());
                ("received_at_ms >= :since", ":since", value)
            }),
            filter.until.map(|until| {
                let value = number(until.as_millis());
                ("received_at_ms < :until", ":until", value)
            }),
        ];
        for (condition, name, value) in others.into_iter().flatten() {
            conditions.push(condition.to_owned());
            request = request.expression_attribute_values(name, value);
        }
        if let Some(since) = filter.since_or_open {
            conditions.push(
                "(received_at_ms >= :recent OR NOT #state IN (:applied, :dismissed))".to_owned(),
            );
            request = request
                .expression_attribute_values(":recent", number(since.as_millis()))
                .expression_attribute_values(":applied", text(RecordState::Applied.as_str()))
                .expression_attribute_values(":dismissed", text(RecordState::Dismissed.as_str()));
        }
        if let Some(order) = &filter.order {
            let OrderKey {
                merchant_id,
                provider,
                ..
            } = order;
            conditions.push(
                "(order_key = :order OR (attribute_not_exists(order_key) AND begins_with(pk, :sender)))"
                    .to_owned(),
            );
            request = request
                .expression_attribute_values(":order", text(&order.to_string()))
                .expression_attribute_values(
                    ":sender",
                    text(&format!("{provider}#{merchant_id}#")),
                );
        }
        if parts == WebhookParts::Summary {
            request = request.projection_expression(SUMMARY);
        }
        // A name that no expression uses is refused.
        let names_states = !filter.states.is_empty() || filter.since_or_open.is_some();
        if parts == WebhookParts::Summary || names_states {
            request = request.expression_attribute_names("#state", "state");
        }
        if !conditions.is_empty() {
            request = request.filter_expression(conditions.join(" AND "));
        }
        let answer = request
            .send()
            .await
            .map_err(|error| port_error(call, &error))?;
        page(call, answer, &["pk"], |item| stored(&item))
    }

    /// About how many records there are.
    ///
    /// # Errors
    /// When DynamoDB did not answer.
    pub async fn approximate_count(&self) -> Result<u64, PortError> {
        approximate_count(&self.client, &self.table).await
    }

    /// Makes a record pending again and due now, as if the relay had never had it, if it is in the state that was
    /// seen. The relay does the sending.
    ///
    /// # Errors
    /// When the table did not answer; whether it was changed is then unknown, and changing it again harmless.
    pub async fn replay(
        &self,
        record: &WebhookRecord,
        seen: RecordState,
        now: EpochMillis,
    ) -> Result<RecordChange, PortError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(record.webhook_pk.as_str()))
            .condition_expression(
                "attribute_exists(pk) AND #state = :seen AND body_sha256 = :digest",
            )
            .update_expression(
                "SET #state = :pending, pending_shard = :shard, due_at_ms = :now, forward_attempts = :zero \
                 REMOVE expires_at, relay_delay_ms, close_reason",
            )
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":seen", text(seen.as_str()))
            .expression_attribute_values(":digest", text(record.body_sha256.as_str()))
            .expression_attribute_values(":pending", text(RecordState::Pending.as_str()))
            .expression_attribute_values(":shard", text(&record.pending_shard().to_string()))
            .expression_attribute_values(":now", number(now.as_millis()))
            .expression_attribute_values(":zero", number(0));
        let update = update
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        changed("webhook replay", update.send().await.map(|_| ()), |item| {
            string(item, "state") == Some(RecordState::Pending.as_str())
                && string(item, "body_sha256") == Some(record.body_sha256.as_str())
                && time(item, "due_at_ms") == Some(now)
        })
    }

    /// Dismisses a record if it is in the state that was seen: it leaves the index and may expire.
    ///
    /// # Errors
    /// When the table did not answer; whether it was changed is then unknown.
    pub async fn dismiss(
        &self,
        pk: &str,
        seen: RecordState,
        reason: &DismissalReason,
        expires_at: EpochMillis,
    ) -> Result<RecordChange, PortError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(pk))
            .condition_expression("attribute_exists(pk) AND #state = :seen")
            .update_expression(
                "SET #state = :dismissed, close_reason = :reason, expires_at = :expires_at \
                 REMOVE pending_shard, due_at_ms",
            )
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":seen", text(seen.as_str()))
            .expression_attribute_values(":dismissed", text(RecordState::Dismissed.as_str()))
            .expression_attribute_values(":reason", text(reason.as_str()))
            .expression_attribute_values(":expires_at", number(expires_at.as_seconds()));
        let update = update
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        changed(
            "webhook dismissal",
            update.send().await.map(|_| ()),
            |item| {
                string(item, "state") == Some(RecordState::Dismissed.as_str())
                    && string(item, "close_reason") == Some(reason.as_str())
                    && item.get("expires_at") == Some(&number(expires_at.as_seconds()))
            },
        )
    }

    /// Deletes a record for good if it is in the state and has the body that were seen. One that is gone already is
    /// as good as deleted.
    ///
    /// # Errors
    /// When the table did not answer; whether it was deleted is then unknown, and deleting it again harmless.
    pub async fn erase(
        &self,
        pk: &str,
        seen: RecordState,
        body_sha256: &BodySha256,
    ) -> Result<RecordChange, PortError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(pk))
            // Not the body alone: a record that was made pending meanwhile carries an event again.
            .condition_expression("#state = :seen AND body_sha256 = :digest")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":seen", text(seen.as_str()))
            .expression_attribute_values(":digest", text(body_sha256.as_str()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        erased("webhook erasure", delete.send().await)
    }
}

/// A failed condition is an answer: the record is not as it was seen. Unless `is_mine` says that this very change
/// made it so: its answer was lost, and the client made it again.
fn changed<R>(
    call: &'static str,
    update: Result<(), SdkError<UpdateItemError, R>>,
    is_mine: impl FnOnce(&Item) -> bool,
) -> Result<RecordChange, PortError> {
    let Err(error) = update else {
        return Ok(RecordChange::Made);
    };
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
            Ok(if failed.item.as_ref().is_some_and(is_mine) {
                RecordChange::Made
            } else {
                RecordChange::NotAsSeen
            })
        }
        _ => Err(port_error(call, &error)),
    }
}

fn stored(item: &Item) -> Option<StoredWebhook> {
    let expires_at: Option<u64> = item
        .get("expires_at")
        .and_then(|seconds| seconds.as_n().ok()?.parse().ok());
    Some(StoredWebhook {
        pk: string(item, "pk")?.to_owned(),
        state: string(item, "state").and_then(RecordState::parse),
        merchant_id: string(item, "merchant_id").and_then(|id| MerchantId::parse(id).ok()),
        order: string(item, "order_key").and_then(|key| OrderKey::parse(key).ok()),
        received_at_ms: time(item, "received_at_ms"),
        due_at_ms: time(item, "due_at_ms"),
        forward_attempts: count(item, "forward_attempts"),
        expires_at: expires_at.map(|seconds| EpochMillis::new(seconds.saturating_mul(1_000))),
        close_reason: string(item, "close_reason").map(str::to_owned),
        body_sha256: string(item, "body_sha256").and_then(|text| BodySha256::parse(text).ok()),
        record: read(item),
    })
}
