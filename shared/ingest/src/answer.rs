//! What the provider is answered: every case has one status and one constant body.

use domain::RequestId;
use lambda_http::Body;
use lambda_http::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use lambda_http::http::{Response, StatusCode};
use serde_json::json;

/// How long a sender should wait when nothing could be stored, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("30");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The answer to a webhook. Success is exactly 200; an error says nothing about the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: the webhook is safe.
    Accepted,
    /// 200: it was safe already.
    Duplicate,
    /// 200: understood, and nobody here needs it.
    Ignored,
    /// 400: authentic but unreadable. It is kept, and sending it again cannot help.
    BadRequest,
    /// 401: the sender is not known; the same for every reason.
    Unauthorized,
    /// 403: the sender's address is not one of the provider's.
    Forbidden,
    /// 405: webhooks are POSTed.
    MethodNotAllowed,
    /// 413: the body is too long.
    TooLarge,
    /// 415: not JSON, or encoded.
    UnsupportedMediaType,
    /// 431: the headers are too long.
    HeadersTooLarge,
    /// 503: nothing could be stored, a retry is wanted.
    Unavailable,
}

impl Answer {
    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Accepted | Self::Duplicate | Self::Ignored => StatusCode::OK,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The word in the body of a success, and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Unavailable => "unavailable",
        }
    }

    /// The HTTP response: a success as `{"status": …}`, an error as problem details (RFC 9457).
    pub fn response(self, request_id: &RequestId) -> Response<Body> {
        let status = self.status();
        let (content_type, body) = if status.is_success() {
            ("application/json", json!({ "status": self.as_str() }))
        } else {
            let title = status.canonical_reason().unwrap_or_default();
            (
                "application/problem+json",
                json!({ "type": "about:blank", "title": title, "status": status.as_u16() }),
            )
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
            headers.insert(X_REQUEST_ID, id);
        }
        if self == Self::Unavailable {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if self == Self::MethodNotAllowed {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}
