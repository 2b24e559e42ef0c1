//! How authentic webhooks are built, and how API Gateway wraps them.

use domain::{
    Authenticated, Credential, CredentialDigest, EpochMillis, Installation, InstallationState,
    MerchantId, Provider, RawWebhook, authenticate,
};
use serde_json::{Map, Value, json};

use crate::world::NOW;

/// The merchant that the demo installations belong to.
pub const MERCHANT: &str = "demo-merchant";
/// The application id in the sample gateway events.
pub const ARMADA_APP_ID: &str = "65f1c2d3e4a5b6c7d8e9f0a1";
/// The installation id in the sample gateway events.
pub const ARMADA_INSTALLATION_ID: &str = "3b241101-e2bb-4255-8caf-4136c566a962";
/// The token in the sample gateway events.
pub const SHIPDAY_TOKEN: &str = "demo0token0demo0token0demo0token";

/// The digest of Armada's demo credential.
pub fn armada_credential() -> CredentialDigest {
    Credential::armada_installation(ARMADA_APP_ID, ARMADA_INSTALLATION_ID).digest(Provider::Armada)
}

/// The digest of Shipday's demo credential.
pub fn shipday_credential() -> CredentialDigest {
    Credential::single(SHIPDAY_TOKEN).digest(Provider::Shipday)
}

/// A webhook as a provider would send it. A test changes what it is about.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Whose route it goes to.
    pub provider: Provider,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// What follows `?` in its URL.
    pub query: String,
    /// Its body.
    pub body: Vec<u8>,
    /// The address it comes from.
    pub source_ip: String,
}

impl Webhook {
    fn new(provider: Provider, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
        all.extend(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let source_ip = "203.0.113.24".to_owned();
        Self {
            provider,
            headers: all,
            query: String::new(),
            body: body.into(),
            source_ip,
        }
    }

    /// The webhook with one header set anew.
    #[must_use]
    pub fn with_header(self, name: &str, value: &str) -> Self {
        let mut changed = self.without_header(name);
        changed.headers.push((name.to_owned(), value.to_owned()));
        changed
    }

    /// The webhook with one occurrence more of a header.
    #[must_use]
    pub fn with_repeated_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The webhook without a header.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// The webhook as its adapter gets it: received at [`NOW`], its sender known, of its headers only those retained.
    pub fn authenticated(&self, retained_headers: &[&str]) -> Authenticated {
        let installation = Installation {
            credential: match self.provider {
                Provider::Armada => armada_credential(),
                Provider::Shipday => shipday_credential(),
            },
            merchant_id: MerchantId::parse(MERCHANT).expect("a merchant id"),
            state: InstallationState::Active,
            label: "demo".to_owned(),
            created_at_ms: EpochMillis::new(0),
            not_after_ms: None,
            url_key_sha256: None,
            company_id: None,
        };
        let raw = RawWebhook {
            provider: self.provider,
            headers: self
                .headers
                .iter()
                .filter(|(name, _)| retained_headers.contains(&name.as_str()))
                .cloned()
                .collect(),
            url_key: None,
            body: self.body.clone(),
            received_at_ms: NOW,
        };
        authenticate(raw, Some(&installation)).expect("its installation is active")
    }
}

/// An authentic Armada webhook.
pub fn armada(topic: &str, id: &str, sent_at: &str, body: impl Into<Vec<u8>>) -> Webhook {
    let headers = [
        ("user-agent", "Armada Delivery Solutions"),
        ("x-armada-app-id", ARMADA_APP_ID),
        ("x-armada-installation-id", ARMADA_INSTALLATION_ID),
        ("x-armada-api-version", "v1"),
        ("x-armada-webhook-topic", topic),
        ("x-armada-webhook-id", id),
        ("x-armada-timestamp", sent_at),
    ];
    Webhook::new(Provider::Armada, &headers, body)
}

/// An authentic Shipday webhook.
pub fn shipday(body: impl Into<Vec<u8>>) -> Webhook {
    Webhook::new(Provider::Shipday, &[("token", SHIPDAY_TOKEN)], body)
}

/// The webhook as an HTTP API hands it over (payload format 2.0): header names in lower case, repeated
/// headers joined with a comma.
pub fn http_api_event(webhook: &Webhook) -> Value {
    let mut headers = Map::new();
    for (name, value) in &webhook.headers {
        let joined = match headers.get(&name.to_lowercase()) {
            Some(Value::String(before)) => format!("{before},{value}"),
            _ => value.clone(),
        };
        headers.insert(name.to_lowercase(), Value::String(joined));
    }
    headers.insert("host".to_owned(), json!("hooks.example.com"));
    let path = format!("/webhooks/{}", webhook.provider);
    let (body, is_base64) = gateway_body(&webhook.body);
    json!({
        "version": "2.0",
        "routeKey": format!("POST {path}"),
        "rawPath": path,
        "rawQueryString": webhook.query,
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": "hooks.example.com",
            "domainPrefix": "hooks",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": webhook.source_ip,
                "userAgent": "",
            },
            "requestId": "Xk3JDhUFiGYEP9A=",
            "routeKey": format!("POST {path}"),
            "stage": "$default",
            "time": "07/Jan/2026:20:15:02 +0000",
            "timeEpoch": 1_767_816_902_431_u64,
        },
        "body": body,
        "isBase64Encoded": is_base64,
    })
}

/// The webhook as a REST API hands it over (payload format 1.0): names as sent, every occurrence kept.
pub fn rest_api_event(webhook: &Webhook) -> Value {
    let mut headers = Map::new();
    let mut every: Map<String, Value> = Map::new();
    for (name, value) in &webhook.headers {
        headers.insert(name.clone(), json!(value));
        match every.get_mut(name) {
            Some(Value::Array(values)) => values.push(json!(value)),
            _ => drop(every.insert(name.clone(), json!([value]))),
        }
    }
    let path = format!("/webhooks/{}", webhook.provider);
    let (body, is_base64) = gateway_body(&webhook.body);
    json!({
        "resource": path,
        "path": path,
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": every,
        "queryStringParameters": null,
        "multiValueQueryStringParameters": null,
        "pathParameters": null,
        "stageVariables": null,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "httpMethod": "POST",
            "identity": { "sourceIp": webhook.source_ip, "userAgent": "" },
            "path": path,
            "protocol": "HTTP/1.1",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "requestTimeEpoch": 1_767_816_902_431_u64,
            "resourceId": "abc123",
            "resourcePath": path,
            "stage": "prod",
        },
        "body": body,
        "isBase64Encoded": is_base64,
    })
}

fn gateway_body(body: &[u8]) -> (Value, bool) {
    match std::str::from_utf8(body) {
        Ok(text) => (json!(text), false),
        Err(_) => (json!(base64(body)), true),
    }
}

/// Base64, as the gateway encodes a body that is no text.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 0x3f;
            text.push(if place <= chunk.len() {
                char::from(ALPHABET[index as usize])
            } else {
                '='
            });
        }
    }
    text
}
