//! The receiver as a Lambda function.

use std::convert::Infallible;

use domain::{Clock, EventQueue, Installations, RequestIds, WebhookRecords};
use lambda_http::lambda_runtime::{self, LambdaEvent};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Error, Request, Service as _, service_fn};

use crate::receiver::Receiver;
use crate::request::readable;

/// Answers invocations until the runtime ends.
///
/// # Errors
/// When the runtime's API cannot be used.
pub async fn serve<I, R, Q, C, D>(receiver: &Receiver<I, R, Q, C, D>) -> Result<(), Error>
where
    I: Installations + Sync,
    R: WebhookRecords + Sync,
    Q: EventQueue + Sync,
    C: Clock + Sync,
    D: RequestIds + Sync,
{
    let answer = service_fn(move |request: Request| async move {
        Ok::<_, Infallible>(receiver.handle(request).await)
    });
    let adapter = Adapter::from(answer);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<LambdaRequest>| {
        let LambdaEvent { payload, context } = event;
        adapter
            .clone()
            .call(LambdaEvent::new(readable(payload), context))
    }))
    .await
}
