//! The SDK clients of a function, configured by hand from Lambda's environment: no credential chain, no
//! profile, one HTTP client with one TLS stack.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::SharedCredentialsProvider;

use crate::connections::{Connections, Trust};

/// Longest a call may take, attempts and waits together.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(2_500);
/// Longest one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// Attempts of a call, the first included; between them the SDK waits with full jitter.
const MAX_ATTEMPTS: u32 = 3;
/// The first wait's upper bound, doubling with each attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

/// A variable that is needed is not set, or empty. The function does not start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not set; the configuration table in README.md says what it is")]
pub struct SettingsError(String);

/// The value of a variable that must be set.
///
/// # Errors
/// When it is not, or is empty.
pub fn required(
    lookup: impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<String, SettingsError> {
    lookup(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| SettingsError(name.to_owned()))
}

/// The SDK clients of a function.
#[derive(Clone, Debug)]
pub struct Clients {
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    connections: Connections,
    endpoints: Endpoints,
    config: SdkConfig,
}

/// Where the services are, as far as that is not left to the SDK.
#[derive(Clone, Debug)]
struct Endpoints {
    region: String,
    dynamodb: Option<String>,
    sqs: Option<String>,
    eventbridge: Option<String>,
}

impl Clients {
    /// Clients for the region, credentials and endpoints that `lookup` names: `AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, and for an emulator
    /// `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL_SQS`, `AWS_ENDPOINT_URL_EVENTBRIDGE`.
    ///
    /// # Errors
    /// The variable that is missing.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let credentials = Credentials::new(
            required(&lookup, "AWS_ACCESS_KEY_ID")?,
            required(&lookup, "AWS_SECRET_ACCESS_KEY")?,
            lookup("AWS_SESSION_TOKEN").filter(|token| !token.is_empty()),
            None,
            "environment",
        );
        let endpoint = |name: &str| {
            lookup(name)
                .or_else(|| lookup("AWS_ENDPOINT_URL"))
                .filter(|url| !url.is_empty())
        };
        let endpoints = Endpoints {
            region: required(&lookup, "AWS_REGION")?,
            dynamodb: endpoint("AWS_ENDPOINT_URL_DYNAMODB"),
            sqs: endpoint("AWS_ENDPOINT_URL_SQS"),
            eventbridge: endpoint("AWS_ENDPOINT_URL_EVENTBRIDGE"),
        };
        let connections = Connections::new(endpoints.trust());
        let config = config(&endpoints.region, credentials, &connections);

        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(&config);
        dynamodb.set_endpoint_url(endpoints.dynamodb.clone());
        let mut sqs = aws_sdk_sqs::config::Builder::from(&config);
        sqs.set_endpoint_url(endpoints.sqs.clone());
        Ok(Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            connections,
            endpoints,
            config,
        })
    }

    /// What EventBridge's client is made of. One function has it, and makes it itself: the others do not carry its crate.
    pub fn config_for_eventbridge(&self) -> SdkConfig {
        let mut config = self.config.clone().into_builder();
        config.set_endpoint_url(self.endpoints.eventbridge.clone());
        config.build()
    }

    /// Opens the connection that a webhook's send will need, while its sender is looked up and it is recorded: a
    /// handshake less to wait for. DynamoDB's is not opened early, because the look-up would not wait for it and open
    /// another. See docs/decisions/0011.
    ///
    /// It cannot fail: a connection that is not there is opened by the send.
    pub async fn open_connection_to_sqs(&self) {
        let Endpoints { region, sqs, .. } = &self.endpoints;
        match sqs {
            Some(endpoint) => self.connections.open(endpoint).await,
            None => {
                let endpoint = format!("https://sqs.{region}.amazonaws.com/");
                self.connections.open(&endpoint).await;
            }
        }
    }
}

impl Endpoints {
    /// An endpoint that was given may be anybody's, and those in China are not known to be signed by Amazon's roots.
    fn trust(&self) -> Trust {
        let is_given = [&self.dynamodb, &self.sqs, &self.eventbridge]
            .into_iter()
            .any(Option::is_some);
        if is_given || self.region.starts_with("cn-") {
            Trust::System
        } else {
            Trust::Amazon
        }
    }
}

/// What all clients share. Its timeouts and retries are the ones docs/architecture.md promises.
fn config(region: &str, credentials: Credentials, connections: &Connections) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(connections.http_client())
        .timeout_config(
            TimeoutConfig::builder()
                .operation_timeout(OPERATION_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        )
        // The timeouts above end what stalls; nothing here streams.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(MAX_ATTEMPTS)
                .with_initial_backoff(FIRST_BACKOFF),
        )
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named() {
        let error = Clients::from_lookup(|name| (name != "AWS_REGION").then(|| "x".to_owned()))
            .unwrap_err();

        assert!(error.to_string().starts_with("AWS_REGION is not set"));
    }

    fn trust(variables: &[(&str, &str)]) -> Trust {
        let clients = Clients::from_lookup(|name| {
            let given = variables.iter().find(|(given, _)| *given == name);
            given.map(|(_, value)| (*value).to_owned()).or_else(|| {
                matches!(name, "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY")
                    .then(|| "x".to_owned())
            })
        });
        clients.unwrap().endpoints.trust()
    }

    #[test]
    fn only_amazon_vouches_for_an_aws_endpoint() {
        assert_eq!(trust(&[("AWS_REGION", "eu-west-1")]), Trust::Amazon);
    }

    #[test]
    fn the_system_vouches_for_an_endpoint_that_is_given_or_in_china() {
        let region = ("AWS_REGION", "eu-west-1");
        for name in [
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_DYNAMODB",
            "AWS_ENDPOINT_URL_SQS",
            "AWS_ENDPOINT_URL_EVENTBRIDGE",
        ] {
            assert_eq!(
                trust(&[region, (name, "https://localhost:8443")]),
                Trust::System
            );
        }
        assert_eq!(trust(&[("AWS_REGION", "cn-north-1")]), Trust::System);
    }
}
