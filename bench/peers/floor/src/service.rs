//! Signed JSON calls to one AWS service over one connection.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::connection::{Connection, Error};

/// Longest a call may take, a new connection included.
const CALL_TIMEOUT: Duration = Duration::from_millis(2_500);
const AWS_JSON: &str = "application/x-amz-json-1.0";

/// Who signs, and for where.
pub(crate) struct Signer {
    identity: Identity,
    region: String,
}

impl Signer {
    pub(crate) fn new(credentials: Credentials, region: String) -> Self {
        Self {
            identity: credentials.into(),
            region,
        }
    }
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The service refused it; the name of its error.
    #[error("refused: {0}")]
    Refused(String),
    /// It took longer than [`CALL_TIMEOUT`].
    #[error("timed out")]
    Late,
    /// It could not be made, or its answer not be read.
    #[error("failed: {0}")]
    Failed(Error),
}

impl CallError {
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Refused(refusal) if refusal == name)
    }
}

/// One service.
pub(crate) struct Service {
    /// The service's name in a signature.
    name: &'static str,
    /// What stands before the operation in `x-amz-target`.
    target: &'static str,
    authority: String,
    connection: Connection,
    signer: Rc<Signer>,
}

impl Service {
    pub(crate) fn new(
        name: &'static str,
        target: &'static str,
        endpoint: Option<String>,
        tls: &TlsConnector,
        signer: Rc<Signer>,
    ) -> Result<Self, Error> {
        let url: Uri = endpoint
            .unwrap_or_else(|| format!("https://{name}.{}.amazonaws.com", signer.region))
            .parse()?;
        Ok(Self {
            name,
            target,
            authority: url.authority().ok_or("a URL without a host")?.to_string(),
            connection: Connection::new(&url, tls)?,
            signer,
        })
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &mut self,
        operation: &str,
        input: &impl Serialize,
    ) -> Result<T, CallError> {
        let request = self.request(operation, input).map_err(CallError::Failed)?;
        let answer = timeout(CALL_TIMEOUT, self.connection.send(request))
            .await
            .map_err(|_| CallError::Late)?
            .map_err(CallError::Failed)?;
        if answer.status().is_success() {
            return serde_json::from_slice(answer.body())
                .map_err(|error| CallError::Failed(error.into()));
        }
        Err(CallError::Refused(
            refusal(answer.body()).unwrap_or_else(|| answer.status().as_u16().to_string()),
        ))
    }

    fn request(
        &self,
        operation: &str,
        input: &impl Serialize,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let body = serde_json::to_vec(input)?;
        let target = format!("{}.{operation}", self.target);
        let headers = [
            ("content-type", AWS_JSON),
            ("host", self.authority.as_str()),
            ("x-amz-target", target.as_str()),
        ];
        let signable =
            SignableRequest::new("POST", "/", headers.into_iter(), SignableBody::Bytes(&body))?;
        let params = v4::SigningParams::builder()
            .identity(&self.signer.identity)
            .region(&self.signer.region)
            .name(self.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let (signature, _) = sign(signable, &params)?.into_parts();
        let mut request = Request::post("/")
            .header(CONTENT_TYPE, AWS_JSON)
            .header(HOST, &self.authority)
            .header("x-amz-target", &target)
            .body(Full::from(body))?;
        signature.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// The name in a service's error, without its namespace.
fn refusal(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(rename = "__type")]
        kind: String,
    }
    let Refusal { kind } = serde_json::from_slice(body).ok()?;
    kind.rsplit('#').next().map(str::to_owned)
}
