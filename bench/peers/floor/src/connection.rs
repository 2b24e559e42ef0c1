//! One HTTP/1.1 connection, kept alive and opened again when the other side has closed it.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

type Sender = SendRequest<Full<Bytes>>;

/// TLS on `ring` that trusts the certificates in the file `bundle`, or else the roots compiled in.
pub(crate) fn tls(bundle: Option<&str>) -> Result<TlsConnector, Error> {
    let mut roots = RootCertStore::empty();
    match bundle {
        Some(path) => {
            let certificates =
                CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
            roots.add_parsable_certificates(certificates);
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

pub(crate) struct Connection {
    /// `host:port` to connect to.
    address: String,
    /// Absent for plain HTTP.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Present while the connection is open and idle.
    idle: Option<Sender>,
}

impl Connection {
    /// A connection to the host of an `http` or `https` URL; nothing is opened yet.
    pub(crate) fn new(url: &Uri, tls: &TlsConnector) -> Result<Self, Error> {
        let host = url.host().ok_or("a URL without a host")?;
        let secure = url.scheme_str() == Some("https");
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure {
            Some((tls.clone(), ServerName::try_from(host.to_owned())?))
        } else {
            None
        };
        Ok(Self {
            address: format!("{host}:{port}"),
            tls,
            idle: None,
        })
    }

    /// Sends a request and reads the whole answer. Dropped halfway, it leaves no connection behind.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, Error> {
        if let Some(mut sender) = self.idle.take()
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(answer) => return self.read(sender, answer).await,
                Err(mut failed) => match failed.take_message() {
                    // Nothing of it was sent: the other side had closed the idle connection.
                    Some(unsent) => request = unsent,
                    None => return Err(failed.into_error().into()),
                },
            }
        }
        let mut sender = self.open().await?;
        let answer = sender.send_request(request).await?;
        self.read(sender, answer).await
    }

    async fn read(
        &mut self,
        sender: Sender,
        answer: Response<Incoming>,
    ) -> Result<Response<Bytes>, Error> {
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        self.idle = Some(sender);
        Ok(Response::from_parts(head, body))
    }

    async fn open(&self) -> Result<Sender, Error> {
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        match &self.tls {
            None => {
                let (sender, connection) = handshake(TokioIo::new(tcp)).await?;
                tokio::spawn(connection);
                Ok(sender)
            }
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), tcp).await?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(sender)
            }
        }
    }
}
