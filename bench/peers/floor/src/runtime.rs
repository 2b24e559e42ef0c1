//! The loop over Lambda's Runtime API.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Method, Request};
use serde_json::json;

use crate::connection::{Connection, Error};

const INVOCATION: &str = "/2018-06-01/runtime/invocation";

/// Answers invocations one by one, until the Runtime API fails.
pub(crate) async fn serve(
    authority: &str,
    mut api: Connection,
    mut handler: impl AsyncFnMut(&[u8]) -> Result<Vec<u8>, Error>,
) -> Result<Infallible, Error> {
    let request = |method, path: String, body: Vec<u8>| {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, authority)
            .body(Full::from(body))
    };
    loop {
        let next = request(Method::GET, format!("{INVOCATION}/next"), Vec::new())?;
        let invocation = api.send(next).await?;
        let id = id(&invocation)?;
        let outcome = match handler(invocation.body()).await {
            Ok(answer) => request(Method::POST, format!("{INVOCATION}/{id}/response"), answer)?,
            Err(error) => {
                let report =
                    json!({ "errorType": "HandlerError", "errorMessage": error.to_string() });
                let report = report.to_string().into_bytes();
                request(Method::POST, format!("{INVOCATION}/{id}/error"), report)?
            }
        };
        let taken = api.send(outcome).await?;
        if !taken.status().is_success() {
            return Err(format!("the Runtime API answered {}", taken.status()).into());
        }
    }
}

fn id(invocation: &hyper::Response<Bytes>) -> Result<&str, Error> {
    if !invocation.status().is_success() {
        return Err(format!("the Runtime API answered {}", invocation.status()).into());
    }
    let id = invocation
        .headers()
        .get("lambda-runtime-aws-request-id")
        .ok_or("an invocation without an id")?;
    Ok(id.to_str()?)
}
