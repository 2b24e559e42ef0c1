//! The consumer of the events queue as a first project has it: one record after the other, four calls each.

use std::collections::HashMap;

use aws_config::BehaviorVersion;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{TimeDelta, Utc};
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use plain_rust::{Event, QueueMessage, map_status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const RETENTION: TimeDelta = TimeDelta::days(30);

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let app = App {
        dynamodb: Client::new(&config),
        orders_table: std::env::var("ORDERS_TABLE")?,
        webhooks_table: std::env::var("WEBHOOKS_TABLE")?,
    };
    run(service_fn(|event| app.handle(event))).await
}

struct App {
    dynamodb: Client,
    orders_table: String,
    webhooks_table: String,
}

/// One event in an order's timeline.
#[derive(Serialize, Deserialize)]
struct Entry {
    occurred_at_ms: i64,
    received_at_ms: i64,
    provider_status: String,
    provider_event_id: Option<String>,
    webhook_pk: String,
    details: Value,
}

/// Where an order stands.
struct State {
    status: &'static str,
    status_since_ms: i64,
    event_count: usize,
    details: Value,
}

impl App {
    async fn handle(&self, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
        let mut response = SqsBatchResponse::default();
        for message in event.payload.records {
            if let Err(error) = self.apply(&message).await {
                tracing::error!(message_id = message.message_id, error, "record failed");
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = message.message_id.unwrap_or_default();
                response.batch_item_failures.push(failure);
            }
        }
        Ok(response)
    }

    async fn apply(&self, message: &SqsMessage) -> Result<(), Error> {
        let body = message.body.as_deref().unwrap_or_default();
        let QueueMessage { event, .. } = serde_json::from_str(body)?;
        let order = format!(
            "{}#{}#{}",
            event.merchant_id, event.provider, event.order_id
        );
        self.put_entry(&order, &event).await?;
        let state = self.read_state(&order).await?;
        self.save_state(&order, &state).await?;
        self.close_record(&event).await?;
        tracing::info!(
            message_id = message.message_id,
            order,
            status = state.status,
            "applied"
        );
        Ok(())
    }

    async fn put_entry(&self, order: &str, event: &Event) -> Result<(), Error> {
        let entry = Entry {
            occurred_at_ms: event.occurred_at_ms,
            received_at_ms: event.received_at_ms,
            provider_status: event.provider_status.clone(),
            provider_event_id: event.provider_event_id.clone(),
            webhook_pk: event.webhook_pk.clone(),
            details: event.details.clone(),
        };
        let sort_key = format!(
            "event#{:013}#{}#{}",
            event.occurred_at_ms,
            event.provider_status,
            event.provider_event_id.as_deref().unwrap_or("-")
        );
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.orders_table)
            .set_item(Some(serde_dynamo::to_item(entry)?))
            .item("pk", string(order))
            .item("sk", string(&sort_key))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The state after the entry with the latest time.
    async fn read_state(&self, order: &str) -> Result<State, Error> {
        let mut items: Vec<HashMap<String, AttributeValue>> = self
            .dynamodb
            .query()
            .table_name(&self.orders_table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", string(order))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<_, _>>()
            .await?;
        items.retain(|item| item.get("sk") != Some(&string("state")));
        let entries: Vec<Entry> = serde_dynamo::from_items(items)?;
        let event_count = entries.len();
        let latest = entries
            .into_iter()
            .max_by_key(|entry| entry.occurred_at_ms)
            .ok_or("no timeline")?;
        Ok(State {
            status: map_status(&latest.provider_status).ok_or("unknown status")?,
            status_since_ms: latest.occurred_at_ms,
            event_count,
            details: latest.details,
        })
    }

    async fn save_state(&self, order: &str, state: &State) -> Result<(), Error> {
        let mut update =
            "SET revision = if_not_exists(revision, :zero) + :one, #status = :status, \
                          status_since_ms = :since, event_count = :count"
                .to_string();
        let mut request = self
            .dynamodb
            .update_item()
            .table_name(&self.orders_table)
            .key("pk", string(order))
            .key("sk", string("state"))
            .condition_expression("attribute_not_exists(event_count) OR event_count <= :count")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":status", string(state.status))
            .expression_attribute_values(":since", number(state.status_since_ms))
            .expression_attribute_values(":count", number(state.event_count));
        let details: HashMap<String, AttributeValue> = serde_dynamo::to_item(&state.details)?;
        for (name, value) in details {
            update += &format!(", #{name} = :{name}");
            request = request
                .expression_attribute_values(format!(":{name}"), value)
                .expression_attribute_names(format!("#{name}"), name);
        }
        unless_condition_failed(request.update_expression(update).send().await)
    }

    async fn close_record(&self, event: &Event) -> Result<(), Error> {
        let expires_at = (Utc::now() + RETENTION).timestamp();
        let close = self
            .dynamodb
            .update_item()
            .table_name(&self.webhooks_table)
            .key("pk", string(&event.webhook_pk))
            .update_expression(
                "SET #state = :applied, expires_at = :expires_at REMOVE pending_shard, due_at_ms",
            )
            .condition_expression(
                "attribute_exists(pk) AND body_sha256 = :digest AND #state IN (:pending, :parked)",
            )
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":applied", string("applied"))
            .expression_attribute_values(":expires_at", number(expires_at))
            .expression_attribute_values(":digest", string(&event.body_sha256))
            .expression_attribute_values(":pending", string("pending"))
            .expression_attribute_values(":parked", string("parked"))
            .send()
            .await;
        unless_condition_failed(close)
    }
}

/// An update whose condition failed had nothing to do.
fn unless_condition_failed<T>(
    update: Result<T, aws_sdk_dynamodb::error::SdkError<UpdateItemError>>,
) -> Result<(), Error> {
    match update {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn string(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
