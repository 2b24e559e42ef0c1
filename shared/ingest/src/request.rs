//! A webhook request as API Gateway hands it over, in payload format 2.0 (HTTP API) or 1.0 (REST API).

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::Headers;
use lambda_http::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use lambda_http::http::{HeaderMap, Method};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Request, RequestExt};

/// The headers that `lambda_http` makes a URL of.
const URL_HEADERS: [&str; 2] = ["host", "x-forwarded-proto"];
/// The parameter of the registered URL that carries its key.
const URL_KEY_PARAMETER: &str = "k";

/// Longest X-Ray header carried on, in bytes; Lambda's have about 130.
const MAX_TRACE_HEADER_BYTES: usize = 256;

/// What the receiver asks of a request.
pub(crate) trait WebhookRequest {
    fn is_post(&self) -> bool;
    fn body_bytes(&self) -> &[u8];
    /// How many bytes the names and values of all headers have.
    fn header_bytes(&self) -> usize;
    /// Whether the body is plain JSON, as far as its headers say. Nothing is ever decompressed.
    fn is_plain_json(&self) -> bool;
    /// The caller's address, as the gateway saw it.
    fn source_ip(&self) -> Option<String>;
    /// The gateway's own id of the request.
    fn gateway_request_id(&self) -> Option<String>;
    /// The key in the URL, when there is exactly one.
    fn url_key(&self) -> Option<String>;
    /// The named headers, every occurrence.
    fn pick(&self, names: &[&str]) -> Headers;
    /// The named headers as a record keeps them.
    fn retain(&self, names: &[&str]) -> BTreeMap<String, String>;
    /// The X-Ray header of this invocation, if it is of the form that X-Ray's have: a sender can have a say in it.
    fn trace_header(&self) -> Option<&str>;
}

impl WebhookRequest for Request {
    fn is_post(&self) -> bool {
        self.method() == Method::POST
    }

    fn body_bytes(&self) -> &[u8] {
        self.body().as_ref()
    }

    fn header_bytes(&self) -> usize {
        self.headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum()
    }

    fn is_plain_json(&self) -> bool {
        !self.headers().contains_key(CONTENT_ENCODING) && is_json(self.headers())
    }

    fn source_ip(&self) -> Option<String> {
        match self.request_context_ref()? {
            RequestContext::ApiGatewayV1(context) => context.identity.source_ip.clone(),
            RequestContext::ApiGatewayV2(context) => context.http.source_ip.clone(),
            _ => None,
        }
    }

    fn gateway_request_id(&self) -> Option<String> {
        match self.request_context_ref()? {
            RequestContext::ApiGatewayV1(context) => context.request_id.clone(),
            RequestContext::ApiGatewayV2(context) => context.request_id.clone(),
            _ => None,
        }
    }

    fn url_key(&self) -> Option<String> {
        match self
            .query_string_parameters_ref()?
            .all(URL_KEY_PARAMETER)?
            .as_slice()
        {
            [key] => Some((*key).to_owned()),
            _ => None,
        }
    }

    fn pick(&self, names: &[&str]) -> Headers {
        let mut headers = Headers::default();
        for name in names {
            for value in self.headers().get_all(*name) {
                headers.add(name, text(value.as_bytes()));
            }
        }
        headers
    }

    fn retain(&self, names: &[&str]) -> BTreeMap<String, String> {
        let headers = self.pick(names);
        names
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), headers.joined(name)?)))
            .collect()
    }

    fn trace_header(&self) -> Option<&str> {
        let header = self.lambda_context_ref()?.xray_trace_id.as_deref()?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"=;:-_.".contains(&b);
        (header.len() <= MAX_TRACE_HEADER_BYTES && header.bytes().all(plain)).then_some(header)
    }
}

/// A missing content type is read as JSON; so is every `application/json` and `application/…+json`.
fn is_json(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_TYPE).iter().all(|value| {
        let media_type = text(value.as_bytes()).to_ascii_lowercase();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        media_type == "application/json"
            || (media_type.starts_with("application/") && media_type.ends_with("+json"))
    })
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A gateway's event, made so that nothing in it is hidden from the receiver and nothing keeps it from the receiver.
///
/// `lambda_http` 1.3 lets the single-valued `headers` of a REST API's event replace its `multiValueHeaders`,
/// which would hide that a credential came twice; so the single ones are dropped where both are there. And it
/// panics when host, path and query make no URL; so of what the sender wrote, only the query's parameters stay.
pub fn readable(mut event: LambdaRequest) -> LambdaRequest {
    match &mut event {
        LambdaRequest::ApiGatewayV1(rest) => {
            for name in rest.multi_value_headers.keys() {
                rest.headers.remove(name);
            }
            rest.path = None;
            for name in URL_HEADERS {
                rest.headers.remove(name);
                rest.multi_value_headers.remove(name);
            }
        }
        LambdaRequest::ApiGatewayV2(http) => {
            if let Some(Ok(parameters)) = http.raw_query_string.take().map(|query| query.parse()) {
                http.query_string_parameters = parameters;
            }
            http.raw_path = None;
            for name in URL_HEADERS {
                http.headers.remove(name);
            }
        }
        _ => {}
    }
    event
}

/// The body of a request, taken out of it.
pub(crate) fn into_body(request: Request) -> Vec<u8> {
    request.into_body().to_vec()
}

#[cfg(test)]
mod tests {
    use lambda_http::{Body, http};

    use super::*;

    fn json_by(headers: &[(&str, &str)]) -> bool {
        let mut builder = http::Request::builder();
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Body::Empty).unwrap().is_plain_json()
    }

    #[test]
    fn json_has_several_names_and_may_go_without() {
        assert!(json_by(&[]));
        assert!(json_by(&[(
            "Content-Type",
            "application/json; charset=utf-8"
        )]));
        assert!(json_by(&[("content-type", "APPLICATION/JSON")]));
        assert!(json_by(&[("content-type", "application/vnd.shipday+json")]));
    }

    #[test]
    fn anything_else_and_anything_encoded_is_not() {
        assert!(!json_by(&[("content-type", "text/plain")]));
        assert!(!json_by(&[(
            "content-type",
            "application/x-www-form-urlencoded"
        )]));
        assert!(!json_by(&[
            ("content-type", "application/json"),
            ("content-encoding", "gzip")
        ]));
    }
}
