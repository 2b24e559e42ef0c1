//! What a call to a service takes when nothing is around it: a bare client on an open connection.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::measure::{ms, percentile};

/// Calls over which the median is taken.
const CALLS: usize = 300;
/// Bytes of a request, about as many as a put has with its headers.
const REQUEST_BYTES: usize = 3_000;

/// The median of a call, in milliseconds.
///
/// # Errors
/// When the service cannot be reached.
pub(crate) fn measure(endpoint: &str, authority: &Path) -> Result<f64> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(median(endpoint, authority))
}

async fn median(endpoint: &str, authority: &Path) -> Result<f64> {
    let port = endpoint.rsplit(':').next().context("no port")?.parse()?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(File::open(authority)?)) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost")?, stream)
        .await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let calls = async {
        let body = Bytes::from(vec![b' '; REQUEST_BYTES]);
        let mut walls = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let request = Request::post("/")
                .header("host", "localhost")
                .header("x-amz-target", "Bench.PutItem")
                .body(Full::new(body.clone()))?;
            let asked = Instant::now();
            sender
                .send_request(request)
                .await?
                .into_body()
                .collect()
                .await?;
            walls.push(ms(asked.elapsed()));
        }
        drop(sender);
        anyhow::Ok(percentile(&mut walls, 0.5))
    };
    let (median, _) = tokio::join!(calls, connection);
    median
}
