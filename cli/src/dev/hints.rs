//! What to try next, ready to be pasted into a shell.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use domain::Provider;
use serde::Serialize;

use crate::demo;
use crate::http::WebhookAddress;
use crate::stack::{through_endpoint, url_output};

/// How to send a webhook to the local stack by hand.
#[derive(Debug, Serialize)]
pub(crate) struct Hints {
    webhooks: BTreeMap<Provider, Hint>,
    /// How this program is called from the current folder.
    #[serde(skip)]
    program: String,
}

#[derive(Debug, Serialize)]
struct Hint {
    url: String,
    host: Option<String>,
    curl: String,
}

impl Hints {
    pub(crate) fn new(root: &Path, endpoint: &str, outputs: &BTreeMap<String, String>) -> Self {
        let webhooks = Provider::ALL.into_iter().filter_map(|provider| {
            let WebhookAddress { url, host } =
                through_endpoint(endpoint, outputs.get(url_output(provider))?);
            let curl = curl(provider, root, &url, host.as_deref().unwrap_or_default());
            Some((provider, Hint { url, host, curl }))
        });
        Self {
            webhooks: webhooks.collect(),
            program: program_from_here(),
        }
    }
}

impl fmt::Display for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "A webhook by hand:\n")?;
        for hint in self.webhooks.values() {
            writeln!(f, "  {}\n", hint.curl.replace('\n', "\n  "))?;
        }
        let program = &self.program;
        writeln!(f, "or shorter, and what became of it:\n")?;
        writeln!(f, "  {program} send armada dispatched")?;
        writeln!(
            f,
            "  {program} order show {} armada 7F3A09C2D1",
            demo::MERCHANT
        )
    }
}

/// Sends a sample that tells more of an order's life than the documented example.
fn curl(provider: Provider, root: &Path, url: &str, host: &str) -> String {
    let (sample, credential) = match provider {
        Provider::Armada => (
            "events/armada/order.updated/dispatched.json",
            armada_headers(),
        ),
        Provider::Shipday => (
            "events/shipday/ORDER_PIKEDUP.json",
            vec![format!("-H 'token: {}'", demo::SHIPDAY_TOKEN)],
        ),
    };
    let mut lines = vec![format!(
        "curl -isS -H 'Host: {host}' -H 'content-type: application/json'"
    )];
    lines.extend(credential);
    lines.push(format!(
        "--data-binary '@{}' {url}",
        from_here(&root.join(sample))
    ));
    lines.join(" \\\n  ")
}

/// The id and the time differ each time, or the webhook would be a repeated one.
fn armada_headers() -> Vec<String> {
    vec![
        format!("-H 'x-armada-app-id: {}'", demo::ARMADA_APP_ID),
        format!("-H 'x-armada-installation-id: {}'", demo::ARMADA_INSTALLATION_ID),
        "-H 'x-armada-api-version: v1' -H 'x-armada-webhook-topic: order.updated'".to_owned(),
        "-H \"x-armada-webhook-id: curl-$(date +%s)\" -H \"x-armada-timestamp: $(date -u +%FT%TZ)\"".to_owned(),
    ]
}

/// How this program is called from the current folder.
pub(crate) fn program_from_here() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "hookctl".into());
    from_here(&program)
}

/// The path as short as it can be written in the current folder.
fn from_here(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here)
        .unwrap_or(path)
        .display()
        .to_string()
}
