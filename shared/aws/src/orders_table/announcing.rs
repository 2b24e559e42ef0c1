//! The `orders` table as the publisher of changes needs it: its stream, and the progress beside an order's state.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    Announcements, KeepOutcome, OrderKey, OrderState, PortError, Progress, SavedState, Standing,
};
use serde::Deserialize;
use serde_json::Value;

use super::{OrdersTable, STATE, from_item, revision};
use crate::error::{damaged, port_error};

/// The attribute of a state that holds the publisher's progress. Beside the state and not an item of its own, so that it is erased with
/// it, and none is left of an order that is erased meanwhile.
const PROGRESS: &str = "announced";

type StreamItem = HashMap<String, serde_dynamo::AttributeValue>;

/// What the table's stream says about an order's state.
#[derive(Clone, Debug, PartialEq)]
pub enum StateWrite {
    /// It was saved.
    Saved(Box<SavedWrite>),
    /// It was deleted.
    Deleted,
    /// The item is another one: an entry of a timeline.
    OtherItem,
}

/// A save of an order's state.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedWrite {
    /// The order.
    pub order: OrderKey,
    /// The state before, if there was one.
    pub old: Option<SavedState>,
    /// The state now.
    pub new: SavedState,
}

/// A record of the stream cannot be read, however often it comes. It is not said what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream's record is not of this system's form")]
pub struct UnreadableRecord;

/// Reads the part `dynamodb` of a record of the stream.
///
/// # Errors
/// [`UnreadableRecord`].
pub fn read_state_write(change: Value) -> Result<StateWrite, UnreadableRecord> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Change {
        keys: StreamItem,
        #[serde(default)]
        new_image: Option<StreamItem>,
        #[serde(default)]
        old_image: Option<StreamItem>,
    }
    let change: Change = serde_json::from_value(change).map_err(|_| UnreadableRecord)?;
    let key = |name| match change.keys.get(name) {
        Some(serde_dynamo::AttributeValue::S(text)) => Ok(text.as_str()),
        Some(_) | None => Err(UnreadableRecord),
    };
    if key("sk")? != STATE {
        return Ok(StateWrite::OtherItem);
    }
    let Some(new) = change.new_image else {
        return Ok(StateWrite::Deleted);
    };
    let order = OrderKey::parse(key("pk")?).map_err(|_| UnreadableRecord)?;
    Ok(StateWrite::Saved(Box::new(SavedWrite {
        order,
        old: change.old_image.map(image).transpose()?,
        new: image(new)?,
    })))
}

fn image(item: StreamItem) -> Result<SavedState, UnreadableRecord> {
    #[derive(Deserialize)]
    struct Counted {
        revision: u64,
    }
    let item = serde_dynamo::Item::from(item);
    let Counted { revision } =
        serde_dynamo::from_item(item.clone()).map_err(|_| UnreadableRecord)?;
    let state: OrderState = serde_dynamo::from_item(item).map_err(|_| UnreadableRecord)?;
    Ok(SavedState { revision, state })
}

impl Announcements for OrdersTable {
    async fn standing(&self, order: &OrderKey) -> Result<Option<Standing>, PortError> {
        let call = "state read";
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(order.to_string()))
            .key("sk", AttributeValue::S(STATE.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(call, &error))?;
        let Some(item) = answer.item else {
            return Ok(None);
        };
        let progress = match item.get(PROGRESS) {
            Some(AttributeValue::M(progress)) => Some(from_item(call, progress.clone())?),
            Some(_) => return Err(damaged(call, "the publisher's progress")),
            None => None,
        };
        Ok(Some(Standing {
            saved: SavedState {
                revision: revision(&item),
                state: from_item(call, item)?,
            },
            progress,
        }))
    }

    async fn keep(
        &self,
        order: &OrderKey,
        seen: Option<Progress>,
        progress: Progress,
    ) -> Result<KeepOutcome, PortError> {
        let call = "progress save";
        let map = super::to_item(call, &progress)?;
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(order.to_string()))
            .key("sk", AttributeValue::S(STATE.to_owned()))
            .update_expression("SET #progress = :progress")
            .expression_attribute_names("#progress", PROGRESS)
            .expression_attribute_values(":progress", AttributeValue::M(map));
        let condition = match seen {
            None => "attribute_exists(pk) AND attribute_not_exists(#progress)",
            Some(seen) => {
                update = update
                    .expression_attribute_names("#revision", "revision")
                    .expression_attribute_names("#last", "last")
                    .expression_attribute_values(
                        ":revision",
                        AttributeValue::N(seen.revision.to_string()),
                    );
                match seen.last {
                    None => {
                        "#progress.#revision = :revision AND attribute_not_exists(#progress.#last)"
                    }
                    Some(last) => {
                        update = update.expression_attribute_values(
                            ":last",
                            AttributeValue::S(last.as_str().to_owned()),
                        );
                        "#progress.#revision = :revision AND #progress.#last = :last"
                    }
                }
            }
        };
        match update.condition_expression(condition).send().await {
            Ok(_) => Ok(KeepOutcome::Kept),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(KeepOutcome::NotAsSeen)
            }
            Err(error) => Err(port_error(call, &error)),
        }
    }
}
