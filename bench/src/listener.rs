//! HTTP on 127.0.0.1: every connection has a thread of its own, so that a wait delays nobody else.

use std::convert::Infallible;
use std::net::TcpListener;
use std::thread;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Takes connections until the process ends, and has each of them served by `serve` on its own thread. Says on which
/// port.
///
/// # Errors
/// When no port can be had.
pub(crate) fn listen(
    serve: impl AsyncFn(TcpStream) -> Option<()> + Clone + Send + 'static,
) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .ok()?;
                runtime.block_on(async {
                    stream.set_nonblocking(true).ok()?;
                    stream.set_nodelay(true).ok()?;
                    serve(TcpStream::from_std(stream).ok()?).await
                })
            });
        }
    });
    Ok(port)
}

/// Answers the requests of one connection until the other side hangs up.
pub(crate) async fn answer_all(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    answer: impl AsyncFn(Request<Incoming>) -> Response<Full<Bytes>>,
) -> Option<()> {
    hyper::server::conn::http1::Builder::new()
        .serve_connection(
            TokioIo::new(stream),
            service_fn(async |request| Ok::<_, Infallible>(answer(request).await)),
        )
        .await
        .ok()
}
