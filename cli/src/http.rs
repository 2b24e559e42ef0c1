//! Posting to a webhook's URL, as a provider does.

use std::time::Duration;

use ureq::Agent;
use ureq::http::Request;

/// Longer than the gateway's own 9 seconds, so that its answer is seen.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where webhooks are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookAddress {
    /// The URL to post to.
    pub url: String,
    /// The `Host` header to send. A local stack needs it, because it tells its APIs apart by their host, and such
    /// a name resolves on few machines; `None` leaves it to the URL.
    pub host: Option<String>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl HttpAnswer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// No answer came back. An answer of any status is none of these.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL or a header cannot be sent.
    #[error("a request to `{url}` cannot be made")]
    Unsendable {
        /// Where it should have gone.
        url: String,
        /// Why not.
        #[source]
        source: Box<ureq::Error>,
    },
    /// Nothing answered there.
    #[error("`{url}` does not answer")]
    NoAnswer {
        /// Where it went.
        url: String,
        /// Why not.
        #[source]
        source: Box<ureq::Error>,
    },
}

/// Posts `body`, waiting up to 30 seconds. Blocks the thread.
///
/// # Errors
/// When no answer came back.
pub fn post(
    address: &WebhookAddress,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<HttpAnswer, HttpError> {
    Connections::to(address.clone(), 1).post(headers, body)
}

/// Connections to one address that stay open from one webhook to the next.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    agent: Agent,
    address: WebhookAddress,
}

impl Connections {
    /// So many connections at most stay open. None is made yet.
    pub(crate) fn to(address: WebhookAddress, at_most: usize) -> Self {
        Self {
            agent: agent(&address.url, TIMEOUT, at_most),
            address,
        }
    }

    /// Posts `body`, waiting up to 30 seconds. Blocks the thread.
    pub(crate) fn post(
        &self,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<HttpAnswer, HttpError> {
        let WebhookAddress { url, host } = &self.address;
        let host = host.as_deref().map(|host| ("host", host));
        let all: Vec<_> = headers.iter().copied().chain(host).collect();
        request_over(&self.agent, "POST", url, &all, body)
    }
}

/// Sends a request over a connection of its own. Blocks the thread.
pub(crate) fn request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    timeout: Duration,
) -> Result<HttpAnswer, HttpError> {
    request_over(&agent(url, timeout, 1), method, url, headers, body)
}

fn request_over(
    agent: &Agent,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<HttpAnswer, HttpError> {
    let unsendable = |source: ureq::Error| HttpError::Unsendable {
        url: url.to_owned(),
        source: Box::new(source),
    };
    let no_answer = |source: ureq::Error| HttpError::NoAnswer {
        url: url.to_owned(),
        source: Box::new(source),
    };

    let builder = headers.iter().fold(
        Request::builder().method(method).uri(url),
        |builder, (name, value)| builder.header(*name, *value),
    );
    let request = builder
        .body(body)
        .map_err(|error| unsendable(error.into()))?;
    let mut answer = agent.run(request).map_err(|error| match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => unsendable(error),
        _ => no_answer(error),
    })?;
    let bytes = answer.body_mut().read_to_vec().map_err(no_answer)?;
    Ok(HttpAnswer {
        status: answer.status().as_u16(),
        body: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

fn agent(url: &str, timeout: Duration, connections: usize) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_idle_connections(connections)
        .max_idle_connections_per_host(connections)
        // An answer is an answer, and a provider follows no redirect either.
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("hookctl/", env!("CARGO_PKG_VERSION")));
    // A proxy would look for this machine's own services on its own machine.
    if ["http://127.0.0.1", "http://localhost"]
        .iter()
        .any(|own| url.starts_with(own))
    {
        config.proxy(None).build().into()
    } else {
        config.build().into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_host_header_is_the_one_asked_for_and_any_status_is_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/webhooks/armada", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut read = [0; 4_096];
            let length = stream.read(&mut read).unwrap();
            stream
                .write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 5\r\n\r\nlater")
                .unwrap();
            String::from_utf8_lossy(&read[..length]).to_lowercase()
        });

        let address = WebhookAddress {
            url,
            host: Some("abc.execute-api.localhost:1".to_owned()),
        };
        let answer = post(&address, &[("x-a", "b")], b"{}").unwrap();

        assert_eq!(
            answer,
            HttpAnswer {
                status: 503,
                body: "later".to_owned()
            }
        );
        let seen = server.join().unwrap();
        assert_eq!(seen.matches("\r\nhost:").count(), 1, "{seen}");
        assert!(
            seen.contains("host: abc.execute-api.localhost:1\r\n"),
            "{seen}"
        );
    }

    #[test]
    fn nobody_there_is_told_from_a_request_that_cannot_be_made() {
        let to = |url: &str| {
            post(
                &WebhookAddress {
                    url: url.to_owned(),
                    host: None,
                },
                &[],
                b"",
            )
            .unwrap_err()
        };

        assert!(matches!(
            to("http://127.0.0.1:1/"),
            HttpError::NoAnswer { .. }
        ));
        assert!(matches!(to("not a url"), HttpError::Unsendable { .. }));
    }
}
