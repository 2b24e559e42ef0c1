//! `hookctl send`: plays a provider.

use std::fmt;
use std::path::PathBuf;

use domain::{Clock as _, IdentifierError, Topic, WebhookId};
use serde::Serialize;

use crate::arguments::{Send, SendArmada, SendShared, SendShipday, StackChoice};
use crate::demo;
use crate::http::{HttpError, WebhookAddress};
use crate::output::{Output, OutputError};
use crate::samples::{self, Sample, SampleError};
use crate::secrets::{self, NoRandomness};
use crate::stack::{Stack, StackError};
use crate::webhook::{ArmadaCredential, Webhook, with_url_key};

/// A webhook was not sent, or not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// It was answered, and not with 2xx.
    #[error("the webhook was answered {0}")]
    Refused(u16),
    /// The sample is a file outside `events/armada`, and its topic was not given.
    #[error("the topic of `{0}` is not known: name it with `--topic`, for example order.updated")]
    NoTopic(PathBuf),
    /// There is no such sample.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The stack it should go to cannot be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// No answer came back.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No webhook id could be made up.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The id that was made up is no id.
    #[error(transparent)]
    Identifier(#[from] IdentifierError),
    /// The answer could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// What was sent, and what came back.
#[derive(Serialize)]
struct Sent {
    sample: PathBuf,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Topic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_id: Option<WebhookId>,
    status: u16,
    body: String,
}

/// Runs the command.
pub(crate) async fn run(
    command: Send,
    choice: &StackChoice,
    output: Output,
) -> Result<(), SendError> {
    let sent = match command {
        Send::Armada(options) => armada(options, choice).await?,
        Send::Shipday(options) => shipday(options, choice).await?,
    };
    let status = sent.status;
    output.result(&sent)?;
    if (200..300).contains(&status) {
        Ok(())
    } else {
        Err(SendError::Refused(status))
    }
}

async fn armada(options: SendArmada, choice: &StackChoice) -> Result<Sent, SendError> {
    let sample = samples::find(
        domain::Provider::Armada,
        &options.shared.sample,
        options.topic.as_ref(),
    )?;
    let topic = options
        .topic
        .or_else(|| sample.topic.clone())
        .ok_or_else(|| SendError::NoTopic(sample.path.clone()))?;
    let id = match options.id {
        Some(id) => id,
        None => WebhookId::parse(&secrets::webhook_id()?)?,
    };
    let credential = match (options.key_id, options.app_id, options.installation_id) {
        (Some(key_id), _, _) => ArmadaCredential::Key { key_id },
        (None, Some(app_id), Some(installation_id)) => ArmadaCredential::Installation {
            app_id,
            installation_id,
        },
        (None, _, _) => demo::armada_credential(),
    };
    let sent_at = options
        .timestamp
        .unwrap_or_else(|| aws::SystemClock.now_ms());
    let webhook = Webhook::armada(&credential, &topic, &id, sent_at, sample.body.clone());
    let sent = send(
        &webhook,
        &sample,
        &options.shared,
        options.url_key.as_deref(),
        choice,
    )
    .await?;
    Ok(Sent {
        topic: Some(topic),
        webhook_id: Some(id),
        ..sent
    })
}

async fn shipday(options: SendShipday, choice: &StackChoice) -> Result<Sent, SendError> {
    let sample = samples::find(domain::Provider::Shipday, &options.shared.sample, None)?;
    let token = options.token.as_deref().unwrap_or(demo::SHIPDAY_TOKEN);
    let webhook = Webhook::shipday(token, sample.body.clone());
    send(&webhook, &sample, &options.shared, None, choice).await
}

async fn send(
    webhook: &Webhook,
    sample: &Sample,
    options: &SendShared,
    url_key: Option<&str>,
    choice: &StackChoice,
) -> Result<Sent, SendError> {
    let mut address = match &options.url {
        Some(url) => WebhookAddress {
            url: url.clone(),
            host: None,
        },
        None => Stack::open(choice)
            .await?
            .webhook_address(webhook.provider)?,
    };
    // Shown without its key, which is a secret.
    let url = address.url.clone();
    if let Some(key) = url_key {
        address.url = with_url_key(&address.url, key);
    }
    let answer = webhook.send(&address)?;
    Ok(Sent {
        sample: sample.path.clone(),
        url,
        topic: None,
        webhook_id: None,
        status: answer.status,
        body: answer.body,
    })
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.status, self.body)?;
        if let (Some(topic), Some(id)) = (&self.topic, &self.webhook_id) {
            writeln!(f, "topic {topic}, webhook id {id}")?;
        }
        Ok(())
    }
}
