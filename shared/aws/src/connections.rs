//! The one way to the network that all clients share: TLS, whom it trusts, and connections opened early.

use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;

/// The certificates of Amazon Trust Services, which sign those of every AWS endpoint outside China.
const AMAZON_ROOTS: &str = include_str!("amazon-roots.pem");
/// Longest a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Longest an answer may take; the same as one attempt of a call.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Whose certificates are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Amazon's own roots: five to parse at a cold start, where a system has some hundred and forty.
    Amazon,
    /// What the system trusts, or the file that `SSL_CERT_FILE` names.
    System,
}

/// Connections to the services, pooled.
#[derive(Clone, Debug)]
pub(crate) struct Connections(SharedHttpConnector);

impl Connections {
    /// None is opened yet.
    ///
    /// rustls on `ring`, which gathers no jitter entropy at every cold start as the SDK's default does. Made once:
    /// the SDK's own HTTP client would parse the certificates for each client, and once more for the first call. See
    /// docs/decisions/0002 and 0011.
    pub(crate) fn new(trust: Trust) -> Self {
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build();
        let connector = Connector::builder()
            .connector_settings(settings)
            .tls_provider(Provider::Rustls(CryptoMode::Ring));
        let connector = match trust {
            Trust::Amazon => connector.tls_context(amazon()),
            Trust::System => connector,
        };
        Self(SharedHttpConnector::new(connector.build()))
    }

    /// The HTTP client of an SDK client.
    pub(crate) fn http_client(&self) -> SharedHttpClient {
        let connector = self.0.clone();
        http_client_fn(move |_, _| connector.clone())
    }

    /// Opens a connection and leaves it to the first call. Any answer will do, and none as well: then the call opens
    /// its own.
    pub(crate) async fn open(&self, url: &str) {
        let Ok(request) = HttpRequest::get(url) else {
            return;
        };
        // What goes wrong here, goes wrong again where it is reported.
        if let Ok(answer) = self.0.call(request).await {
            // Only a connection whose answer was read to its end is used again.
            let _ = ByteStream::new(answer.into_body()).collect().await;
        }
    }
}

fn amazon() -> TlsContext {
    let roots = TrustStore::empty().with_pem_certificate(AMAZON_ROOTS);
    // Fails in no version so far; the system's roots are as good, only slower.
    TlsContext::builder()
        .with_trust_store(roots)
        .build()
        .unwrap_or_default()
}
