//! How the AWS SDK is set up: for the local stack by hand, for a deployed one from AWS's own environment
//! variables and profiles.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_types::sdk_config::SharedHttpClient;

use crate::arguments::StackChoice;

/// The region of the local stack.
pub(crate) const LOCAL_REGION: &str = "us-east-1";
/// Access key and secret key of the local stack: an account that may do everything.
pub(crate) const LOCAL_KEY: &str = "test";

/// For the local stack at `endpoint`.
pub(crate) fn local(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new(LOCAL_KEY, LOCAL_KEY, None, None, "local stack");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client())
        .region(Region::from_static(LOCAL_REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

/// For a deployed stack.
pub(crate) async fn deployed(choice: &StackChoice) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client());
    if let Some(region) = &choice.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &choice.profile {
        loader = loader.profile_name(profile);
    }
    loader.load().await
}

/// rustls on `ring`, like the functions: the SDK's default would be a second TLS stack to build.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https()
}
