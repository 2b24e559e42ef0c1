//! From an SDK's error to a port's. What a service says about a request may repeat parts of it, so only
//! its code is kept.

use aws_sdk_dynamodb::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use domain::PortError;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AwsError {
    #[error("it timed out")]
    TimedOut,
    #[error("the service was not reached")]
    NotReached,
    #[error("the answer was unreadable")]
    UnreadableAnswer,
    #[error("the request could not be built")]
    NotBuilt,
    #[error("the service said {0}")]
    Refused(String),
    #[error("a stored item is damaged: {0}")]
    Damaged(&'static str),
}

/// The port's error for an SDK's.
pub fn port_error<E: ProvideErrorMetadata, R>(
    call: &'static str,
    error: &SdkError<E, R>,
) -> PortError {
    let why = match error {
        SdkError::TimeoutError(_) => AwsError::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => AwsError::TimedOut,
        SdkError::DispatchFailure(_) => AwsError::NotReached,
        SdkError::ResponseError(_) => AwsError::UnreadableAnswer,
        SdkError::ServiceError(service) => AwsError::Refused(
            service
                .err()
                .code()
                .unwrap_or("an unnamed error")
                .to_owned(),
        ),
        _ => AwsError::NotBuilt,
    };
    PortError {
        call,
        source: Box::new(why),
    }
}

/// The port's error for a part of a request that the service refused; `code` is what it said.
pub fn refused(call: &'static str, code: &str) -> PortError {
    PortError {
        call,
        source: Box::new(AwsError::Refused(code.to_owned())),
    }
}

/// Whether a call failed at an item that this project cannot have written, and not at the service.
pub fn is_damaged(error: &PortError) -> bool {
    let why = error.source.downcast_ref();
    why.is_some_and(|why| matches!(why, AwsError::Damaged(_)))
}

/// The port's error for an item that this project cannot have written.
pub(crate) fn damaged(call: &'static str, what: &'static str) -> PortError {
    PortError {
        call,
        source: Box::new(AwsError::Damaged(what)),
    }
}
