//! What a conditional deletion found. Only operators delete.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::{DeleteItemError, DeleteItemOutput};
use domain::PortError;

use crate::error::port_error;
use crate::webhooks_table::RecordChange;

/// A failed condition is an answer. Without an old item there was nothing left to delete: another was faster, or the
/// client whose first answer was lost.
pub(crate) fn erased<R>(
    call: &'static str,
    delete: Result<DeleteItemOutput, SdkError<DeleteItemError, R>>,
) -> Result<RecordChange, PortError> {
    let Err(error) = delete else {
        return Ok(RecordChange::Made);
    };
    match error.as_service_error() {
        Some(DeleteItemError::ConditionalCheckFailedException(failed)) => {
            let is_there = failed.item.as_ref().is_some_and(|item| !item.is_empty());
            Ok(if is_there {
                RecordChange::NotAsSeen
            } else {
                RecordChange::Made
            })
        }
        _ => Err(port_error(call, &error)),
    }
}
