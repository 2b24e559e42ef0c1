//! The SDK clients of a function, configured by hand from Lambda's environment: no credential chain, no
//! profile, one HTTP client with one TLS stack.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::{SharedCredentialsProvider, SharedHttpClient};

/// Longest a call may take, attempts and waits together.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(2_500);
/// Longest one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
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
}

impl Clients {
    /// Clients for the region, credentials and endpoints that `lookup` names: `AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, and for an emulator
    /// `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL_SQS`.
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
        let config = config(Region::new(required(&lookup, "AWS_REGION")?), credentials);
        let endpoint = |name: &str| {
            lookup(name)
                .or_else(|| lookup("AWS_ENDPOINT_URL"))
                .filter(|url| !url.is_empty())
        };

        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(&config);
        dynamodb.set_endpoint_url(endpoint("AWS_ENDPOINT_URL_DYNAMODB"));
        let mut sqs = aws_sdk_sqs::config::Builder::from(&config);
        sqs.set_endpoint_url(endpoint("AWS_ENDPOINT_URL_SQS"));
        Ok(Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
        })
    }
}

/// What all clients share. Its timeouts and retries are the ones docs/architecture.md promises.
fn config(region: Region, credentials: Credentials) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(region)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client())
        .timeout_config(
            TimeoutConfig::builder()
                .operation_timeout(OPERATION_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .connect_timeout(CONNECT_TIMEOUT)
                .build(),
        )
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(MAX_ATTEMPTS)
                .with_initial_backoff(FIRST_BACKOFF),
        )
        .build()
}

/// rustls on `ring`, which gathers no jitter entropy at every cold start as the SDK's default does, see
/// docs/decisions/0002.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https()
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
}
