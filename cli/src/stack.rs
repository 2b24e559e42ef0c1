//! The stack that a command speaks to.

use std::collections::BTreeMap;
use std::error::Error;

use aws::{
    DeadLetterQueue, EventsQueue, HeldChangesQueue, InstallationsTable, OrdersTable, WebhooksTable,
};
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata as _, SdkError};
use domain::Provider;

use crate::arguments::StackChoice;
use crate::dev::{Record, RecordError};
use crate::http::WebhookAddress;
use crate::repository::{RepositoryError, repository_root};
use crate::sdk;

/// The stack cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// No stack is named, and no local one is recorded.
    #[error(
        "no local stack is running: start one with `hookctl dev up`, or name a deployed one with `--stack-name`"
    )]
    NothingRunning,
    /// The local stack is recorded, but has not been deployed yet.
    #[error("the local stack is still starting: wait until `hookctl dev up` says that it is ready")]
    StillStarting,
    /// The local stack is recorded, but nothing answers.
    #[error(
        "the local stack at {0} does not answer: run `hookctl dev down`, then `hookctl dev up`"
    )]
    NotAnswering(String),
    /// There is no deployed stack of that name.
    #[error("there is no stack `{name}` in {region}")]
    NoSuchStack {
        /// Its name.
        name: String,
        /// Where it was looked for.
        region: String,
    },
    /// No region is known.
    #[error("no AWS region is set: give `--region`, or set AWS_REGION")]
    NoRegion,
    /// No credentials were found, or they could not be used.
    #[error("there are no usable AWS credentials: log in, or give `--profile`")]
    NoCredentials(#[source] Box<dyn Error + Send + Sync>),
    /// CloudFormation was not reached.
    #[error("CloudFormation in {region} was not reached")]
    NotReached {
        /// Where.
        region: String,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// CloudFormation refused to describe the stack.
    #[error("the stack `{name}` cannot be described: {reason}")]
    Refused {
        /// Its name.
        name: String,
        /// What CloudFormation said.
        reason: String,
    },
    /// The stack is not one of this project, or an older one.
    #[error("the stack `{stack}` has no output `{output}`: is it this project's, and up to date?")]
    NoOutput {
        /// Its name.
        stack: String,
        /// What is missing.
        output: &'static str,
    },
    /// The local stack belongs to a repository, which was not found.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The local stack's record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Services that no command started and no CloudFormation describes: a test has them in its own process.
#[derive(Clone, Debug)]
pub struct Place {
    /// What they are called together, as a stack has a name.
    pub name: String,
    /// Where they are, like `http://127.0.0.1:4566`.
    pub endpoint: String,
    /// What the template would name, like `WebhooksTableName`.
    pub outputs: BTreeMap<String, String>,
}

/// A stack, local or deployed.
#[derive(Debug)]
pub(crate) struct Stack {
    name: String,
    outputs: BTreeMap<String, String>,
    config: SdkConfig,
    /// Where all services are, of a local stack or an emulator's.
    endpoint: Option<String>,
}

impl Stack {
    /// The stack that was named, else the local one.
    pub(crate) async fn open(choice: &StackChoice) -> Result<Self, StackError> {
        match (&choice.place, &choice.stack_name) {
            (Some(place), _) => Ok(Self::at(place)),
            (None, Some(name)) => Self::deployed(name, choice).await,
            (None, None) => Self::local(),
        }
    }

    fn at(place: &Place) -> Self {
        Self {
            name: place.name.clone(),
            outputs: place.outputs.clone(),
            config: sdk::local(&place.endpoint),
            endpoint: Some(place.endpoint.clone()),
        }
    }

    fn local() -> Result<Self, StackError> {
        let record = Record::read(&repository_root()?)?.ok_or(StackError::NothingRunning)?;
        if record.outputs.is_empty() && record.owner.is_alive() {
            return Err(StackError::StillStarting);
        }
        if record.outputs.is_empty() || !record.answers() {
            return Err(StackError::NotAnswering(record.endpoint));
        }
        Ok(Self {
            name: record.stack_name,
            outputs: record.outputs,
            config: sdk::local(&record.endpoint),
            endpoint: Some(record.endpoint),
        })
    }

    async fn deployed(name: &str, choice: &StackChoice) -> Result<Self, StackError> {
        let config = sdk::deployed(choice).await;
        let region = config.region().ok_or(StackError::NoRegion)?.to_string();
        // Asked for here, because a call that lacks them only says that it could not be sent.
        if let Some(provider) = config.credentials_provider() {
            provider
                .provide_credentials()
                .await
                .map_err(|error| StackError::NoCredentials(error.into()))?;
        }
        let described = aws_sdk_cloudformation::Client::new(&config)
            .describe_stacks()
            .stack_name(name)
            .send()
            .await;
        let stacks = described.map_err(|error| match error {
            SdkError::ServiceError(_) => {
                let reason = error
                    .message()
                    .or_else(|| error.code())
                    .unwrap_or("no reason given")
                    .to_owned();
                if reason.contains("does not exist") {
                    StackError::NoSuchStack {
                        name: name.to_owned(),
                        region,
                    }
                } else {
                    StackError::Refused {
                        name: name.to_owned(),
                        reason,
                    }
                }
            }
            _ => StackError::NotReached {
                region,
                source: error.into(),
            },
        })?;
        let outputs = stacks.stacks().iter().flat_map(|stack| stack.outputs());
        let endpoint = config.endpoint_url().map(str::to_owned);
        Ok(Self {
            name: name.to_owned(),
            outputs: outputs
                .filter_map(|output| {
                    Some((output.output_key.clone()?, output.output_value.clone()?))
                })
                .collect(),
            config,
            endpoint,
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What its template tells under this name.
    pub(crate) fn output(&self, name: &'static str) -> Result<&str, StackError> {
        output(&self.name, &self.outputs, name)
    }

    /// Its queues.
    pub(crate) fn queues(&self) -> Result<Queues, StackError> {
        let url = |name| self.output(name);
        let client = aws_sdk_sqs::Client::new(&self.config);
        Ok(Queues {
            events: EventsQueue::new(client.clone(), url("EventsQueueUrl")?),
            dead_letters: DeadLetterQueue::new(client, url("DeadLetterQueueUrl")?),
        })
    }

    /// The publisher's own queue.
    pub(crate) fn hold_queue(&self) -> Result<HeldChangesQueue, StackError> {
        let url = output(&self.name, &self.outputs, "HoldQueueUrl")?;
        let client = aws_sdk_sqs::Client::new(&self.config);
        Ok(HeldChangesQueue::new(client, url))
    }

    /// Its tables.
    pub(crate) fn tables(&self) -> Result<Tables, StackError> {
        tables(
            &self.name,
            &self.outputs,
            &aws_sdk_dynamodb::Client::new(&self.config),
        )
    }

    /// The URL to register with a provider.
    pub(crate) fn webhook_url(&self, provider: Provider) -> Result<&str, StackError> {
        self.output(url_output(provider))
    }

    /// Where a provider's webhooks are sent from this machine.
    pub(crate) fn webhook_address(&self, provider: Provider) -> Result<WebhookAddress, StackError> {
        let url = self.webhook_url(provider)?;
        Ok(match &self.endpoint {
            Some(endpoint) if is_local(url) => through_endpoint(endpoint, url),
            Some(_) | None => WebhookAddress {
                url: url.to_owned(),
                host: None,
            },
        })
    }
}

/// The tables that the commands read and write.
#[derive(Debug)]
pub(crate) struct Tables {
    /// Who may send.
    pub(crate) installations: InstallationsTable,
    /// What was sent.
    pub(crate) webhooks: WebhooksTable,
    /// What became of it.
    pub(crate) orders: OrdersTable,
}

/// The queues that the commands read and write.
#[derive(Debug)]
pub(crate) struct Queues {
    /// What is to be applied.
    pub(crate) events: EventsQueue,
    /// What could not be applied.
    pub(crate) dead_letters: DeadLetterQueue,
}

/// The tables of the stack with these outputs.
pub(crate) fn tables(
    stack: &str,
    outputs: &BTreeMap<String, String>,
    dynamodb: &aws_sdk_dynamodb::Client,
) -> Result<Tables, StackError> {
    let installations = output(stack, outputs, "InstallationsTableName")?;
    let webhooks = output(stack, outputs, "WebhooksTableName")?;
    let orders = output(stack, outputs, "OrdersTableName")?;
    Ok(Tables {
        webhooks: WebhooksTable::new(dynamodb.clone(), webhooks),
        installations: InstallationsTable::new(dynamodb.clone(), installations),
        orders: OrdersTable::new(dynamodb.clone(), orders),
    })
}

/// What the template of the stack with these outputs tells under this name.
pub(crate) fn output<'a>(
    stack: &str,
    outputs: &'a BTreeMap<String, String>,
    output: &'static str,
) -> Result<&'a str, StackError> {
    let found = outputs.get(output).map(String::as_str);
    found.ok_or_else(|| StackError::NoOutput {
        stack: stack.to_owned(),
        output,
    })
}

/// The output that holds the URL to register with a provider.
pub(crate) const fn url_output(provider: Provider) -> &'static str {
    match provider {
        Provider::Armada => "ArmadaWebhookUrl",
        Provider::Shipday => "ShipdayWebhookUrl",
    }
}

/// Whether a URL's host is one below `localhost`, as an emulator makes them up.
fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    host.ends_with(".localhost")
}

/// How a URL of a local API is reached: at the local endpoint, with the URL's own host as a header.
pub(crate) fn through_endpoint(endpoint: &str, url: &str) -> WebhookAddress {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    WebhookAddress {
        url: format!("{endpoint}/{path}"),
        host: Some(host.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_below_localhost_is_local() {
        for (url, local) in [
            ("http://ab.execute-api.localhost:4566/webhooks/armada", true),
            (
                "https://ab.execute-api.us-east-1.amazonaws.com/webhooks/armada",
                false,
            ),
            ("https://example.com/a.localhost", false),
        ] {
            assert_eq!(is_local(url), local, "{url}");
        }
    }

    #[test]
    fn a_local_url_is_reached_at_the_endpoint() {
        let address = through_endpoint(
            "http://127.0.0.1:4566",
            "http://ab.execute-api.localhost:4566/webhooks/armada",
        );

        assert_eq!(address.url, "http://127.0.0.1:4566/webhooks/armada");
        assert_eq!(
            address.host.as_deref(),
            Some("ab.execute-api.localhost:4566")
        );
    }
}
