//! What only operators do with the `orders` table: look for one entry of a timeline, delete a whole order.

use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure, Select,
};
use domain::{OrderKey, OrderState, PortError};

use super::{OrdersTable, REVISION, STATE, from_item, revision};
use crate::erasure::erased;
use crate::error::{damaged, port_error};
use crate::scan::read_units;
use crate::webhooks_table::RecordChange;

/// How fresh an answer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// It may lag behind by a moment, and costs half.
    Eventual,
    /// It has every write that was answered before.
    Strong,
}

/// What is stored of an order, by its keys: all of it, also beyond the bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderItems {
    /// The revision of its state, where it has one.
    pub revision: Option<u64>,
    /// The sort keys of its timeline.
    pub entries: Vec<String>,
}

impl OrderItems {
    /// Whether nothing is stored of the order.
    pub const fn is_empty(&self) -> bool {
        self.revision.is_none() && self.entries.is_empty()
    }
}

/// The state of an order, and what it cost to read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateRead {
    /// As it was saved last; `None` until the consumer has saved it.
    pub state: Option<OrderState>,
    /// In read units.
    pub read_units: f64,
}

impl OrdersTable {
    /// An order's state without its timeline. It may lag behind by a moment.
    ///
    /// # Errors
    /// When the table did not answer, or holds no state of ours.
    pub async fn state(&self, order: &OrderKey) -> Result<StateRead, PortError> {
        let call = "state query";
        // A query, because an operator may query this table.
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk = :sk")
            .expression_attribute_values(":pk", AttributeValue::S(order.to_string()))
            .expression_attribute_values(":sk", AttributeValue::S(STATE.to_owned()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| port_error(call, &error))?;
        let read_units = read_units(answer.consumed_capacity());
        let item = answer.items.unwrap_or_default().pop();
        let state = item.map(|item| from_item(call, item)).transpose()?;
        Ok(StateRead { state, read_units })
    }

    /// Whether the order's timeline has an entry with this sort key.
    ///
    /// # Errors
    /// When the table did not answer.
    pub async fn has_entry(
        &self,
        order: &OrderKey,
        sort_key: &str,
        consistency: Consistency,
    ) -> Result<bool, PortError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk = :sk")
            .expression_attribute_values(":pk", AttributeValue::S(order.to_string()))
            .expression_attribute_values(":sk", AttributeValue::S(sort_key.to_owned()))
            .select(Select::Count)
            .consistent_read(consistency == Consistency::Strong)
            .send()
            .await
            .map_err(|error| port_error("entry query", &error))?;
        Ok(answer.count() > 0)
    }

    /// The keys of what is stored of an order.
    ///
    /// # Errors
    /// When the table did not answer.
    pub async fn items(&self, order: &OrderKey) -> Result<OrderItems, PortError> {
        let call = "order keys query";
        let mut found = OrderItems::default();
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(order.to_string()))
            .projection_expression(format!("sk, {REVISION}"))
            .consistent_read(true)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(call, &error))?;
            for item in page.items.unwrap_or_default() {
                let sort_key = item.get("sk").and_then(|sk| sk.as_s().ok());
                match sort_key.ok_or_else(|| damaged(call, "a key"))? {
                    state if state == STATE => found.revision = Some(revision(&item)),
                    entry => found.entries.push(entry.clone()),
                }
            }
        }
        Ok(found)
    }

    /// Deletes an order's state, if it has the revision that was seen, and then the entries that were seen. Nothing is
    /// deleted when the state was saved since.
    ///
    /// # Errors
    /// When the table did not answer; how much was deleted is then unknown, and deleting the rest harmless.
    pub async fn erase(
        &self,
        order: &OrderKey,
        seen: &OrderItems,
    ) -> Result<RecordChange, PortError> {
        if let Some(revision) = seen.revision
            && self.erase_state(order, revision).await? == RecordChange::NotAsSeen
        {
            return Ok(RecordChange::NotAsSeen);
        }
        for sort_key in &seen.entries {
            // Without a condition: an entry never changes.
            self.client
                .delete_item()
                .table_name(&self.table)
                .key("pk", AttributeValue::S(order.to_string()))
                .key("sk", AttributeValue::S(sort_key.clone()))
                .send()
                .await
                .map_err(|error| port_error("entry erasure", &error))?;
        }
        Ok(RecordChange::Made)
    }

    async fn erase_state(&self, order: &OrderKey, seen: u64) -> Result<RecordChange, PortError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(order.to_string()))
            .key("sk", AttributeValue::S(STATE.to_owned()))
            .condition_expression(format!("{REVISION} = :seen"))
            .expression_attribute_values(":seen", AttributeValue::N(seen.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        erased("state erasure", delete.send().await)
    }
}
