//! A webhook request as API Gateway hands it over, in payload format 2.0 (HTTP API) or 1.0 (REST API).

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::Headers;
use lambda_http::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use lambda_http::http::{HeaderMap, Method};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Request, RequestExt};

/// The parameter of the registered URL that carries its key.
const URL_KEY_PARAMETER: &str = "k";

/// What the receiver asks of a request.
pub(crate) trait WebhookRequest {
    fn is_post(&self) -> bool;
    fn body_bytes(&self) -> &[u8];
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
    /// The X-Ray header of this invocation.
    fn trace_header(&self) -> Option<&str>;
}

impl WebhookRequest for Request {
    fn is_post(&self) -> bool {
        self.method() == Method::POST
    }

    fn body_bytes(&self) -> &[u8] {
        self.body().as_ref()
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
        self.lambda_context_ref()?.xray_trace_id.as_deref()
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

/// A gateway's event, made so that the request in it has every occurrence of every header.
///
/// `lambda_http` 1.3 lets the single-valued `headers` of a REST API's event replace its `multiValueHeaders`,
/// which would hide that a credential came twice; so the single ones are dropped where both are there.
pub fn keep_every_header(mut event: LambdaRequest) -> LambdaRequest {
    if let LambdaRequest::ApiGatewayV1(rest) = &mut event {
        for name in rest.multi_value_headers.keys() {
            rest.headers.remove(name);
        }
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
