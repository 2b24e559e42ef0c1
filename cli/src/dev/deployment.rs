//! Deploying `template.yaml` to the local stack, through CloudFormation like everywhere else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::operation::create_stack::CreateStackError;
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack};
use domain::Provider;
use serde_json::Value;
use tokio::time::Instant;

use super::Functions;
use super::code;
use super::emulator;
use super::error::DevError;
use super::overlay::{self, Surroundings, WATCH_VARIABLE};
use super::template::{self, Function};
use crate::sdk;
use crate::stack::url_output;

/// The local stack's name for CloudFormation.
pub(crate) const STACK_NAME: &str = "delivery-webhooks-dev";
const DEPLOYED_WITHIN: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// What is deployed, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) root: PathBuf,
    pub(crate) endpoint: String,
    pub(crate) functions: Functions,
    pub(crate) enforce_iam: bool,
    pub(crate) change_template: Option<fn(&mut Value)>,
}

/// What came out of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deployed {
    /// What the template tells.
    pub(crate) outputs: BTreeMap<String, String>,
    /// The functions.
    pub(crate) functions: Vec<Function>,
}

impl Deployment {
    /// Creates the stack, or updates it.
    pub(crate) async fn run(&self) -> Result<Deployed, DevError> {
        let mut template = template::read(&self.root)?;
        let functions = template::functions(&template)?;
        let (folder, watch_port) = match &self.functions {
            Functions::Bootstraps(folder) => (Some(folder.as_path()), None),
            Functions::Watched { port } => (None, Some(*port)),
        };
        let code = code::upload(&self.endpoint, &functions, folder)?;
        overlay::apply(
            &mut template,
            &Surroundings {
                code,
                enforce_iam: self.enforce_iam,
                watch_port,
            },
        )?;
        if let Some(change) = self.change_template {
            change(&mut template);
        }

        let client = Client::new(&sdk::local(&self.endpoint));
        let architecture = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "x86_64"
        };
        let parameters = [("Architecture", architecture)];
        let outputs = deploy(&client, STACK_NAME, &template, &parameters).await?;
        for provider in Provider::ALL {
            if !outputs.contains_key(url_output(provider)) {
                return Err(DevError::NoOutput(url_output(provider).to_owned()));
            }
        }
        Ok(Deployed { outputs, functions })
    }

    /// The environment that the deployed functions have, for the processes that are watched in their place: one
    /// for all.
    pub(crate) fn environment(
        &self,
        deployed: &Deployed,
    ) -> Result<BTreeMap<String, String>, DevError> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for function in &deployed.functions {
            for (name, value) in self.environment_of(function, deployed)? {
                let known = all.entry(name.clone()).or_insert_with(|| value.clone());
                if *known != value {
                    return Err(DevError::EnvironmentsDiffer(name));
                }
            }
        }
        Ok(all)
    }

    fn environment_of(
        &self,
        function: &Function,
        deployed: &Deployed,
    ) -> Result<BTreeMap<String, String>, DevError> {
        let output = format!("{}Name", function.logical_id);
        let name = deployed
            .outputs
            .get(&output)
            .ok_or(DevError::NoOutput(output))?;
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let configuration: Value = serde_json::from_str(&emulator::request(
            &self.endpoint,
            "lambda",
            "GET",
            &path,
            b"",
        )?)
        .unwrap_or_default();
        let variables = configuration
            .pointer("/Environment/Variables")
            .and_then(Value::as_object);
        Ok(variables
            .into_iter()
            .flatten()
            .filter(|(name, _)| *name != WATCH_VARIABLE)
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect())
    }
}

/// Creates a stack, or updates it; its outputs.
pub(crate) async fn deploy(
    client: &Client,
    stack_name: &str,
    template: &Value,
    parameters: &[(&str, &str)],
) -> Result<BTreeMap<String, String>, DevError> {
    let template = template.to_string();
    let parameters: Vec<_> = parameters
        .iter()
        .map(|(name, value)| {
            Parameter::builder()
                .parameter_key(*name)
                .parameter_value(*value)
                .build()
        })
        .collect();
    let capabilities = [Capability::CapabilityIam, Capability::CapabilityAutoExpand];
    let created = client
        .create_stack()
        .stack_name(stack_name)
        .template_body(&template)
        .set_capabilities(Some(capabilities.to_vec()))
        .set_parameters(Some(parameters.clone()))
        .send()
        .await;
    match created {
        Ok(_) => {}
        Err(error)
            if error
                .as_service_error()
                .is_some_and(CreateStackError::is_already_exists_exception) =>
        {
            let updated = client
                .update_stack()
                .stack_name(stack_name)
                .template_body(template)
                .set_capabilities(Some(capabilities.to_vec()))
                .set_parameters(Some(parameters))
                .send()
                .await;
            match updated {
                Ok(_) => {}
                Err(error) if error.message().is_some_and(|it| it.contains("No updates")) => {}
                Err(error) => return Err(refused(&error)),
            }
        }
        Err(error) => return Err(refused(&error)),
    }
    finished(client, stack_name).await
}

/// Waits until the stack stands, and gives its outputs.
async fn finished(client: &Client, stack_name: &str) -> Result<BTreeMap<String, String>, DevError> {
    let deadline = Instant::now() + DEPLOYED_WITHIN;
    loop {
        let described = client
            .describe_stacks()
            .stack_name(stack_name)
            .send()
            .await
            .map_err(|error| refused(&error))?;
        let stack = described.stacks().first();
        let status = stack
            .and_then(|stack| Some(stack.stack_status.as_ref()?.as_str()))
            .unwrap_or("NOTHING");
        match (status, stack) {
            ("CREATE_COMPLETE" | "UPDATE_COMPLETE", Some(stack)) => return Ok(outputs(stack)),
            (status, _) if status.ends_with("_IN_PROGRESS") && Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
            }
            (status, _) => {
                return Err(DevError::NotDeployed {
                    status: status.to_owned(),
                    reasons: reasons(client, stack_name).await,
                });
            }
        }
    }
}

fn outputs(stack: &Stack) -> BTreeMap<String, String> {
    let outputs = stack.outputs().iter();
    outputs
        .filter_map(|output| Some((output.output_key.clone()?, output.output_value.clone()?)))
        .collect()
}

/// What the resources that failed said.
async fn reasons(client: &Client, stack_name: &str) -> String {
    let described = client
        .describe_stack_events()
        .stack_name(stack_name)
        .send()
        .await;
    let reasons: Vec<String> = described
        .iter()
        .flat_map(|events| events.stack_events())
        .filter(|event| {
            event
                .resource_status
                .as_ref()
                .is_some_and(|status| status.as_str().ends_with("FAILED"))
        })
        .map(|event| {
            let resource = event.logical_resource_id.as_deref().unwrap_or("a resource");
            format!(
                "{resource}: {}",
                event
                    .resource_status_reason
                    .as_deref()
                    .unwrap_or("no reason given")
            )
        })
        .collect();
    if reasons.is_empty() {
        "no resource said why".to_owned()
    } else {
        reasons.join("; ")
    }
}

pub(crate) fn refused<E, R>(error: &SdkError<E, R>) -> DevError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    DevError::CloudFormation(match error.message() {
        Some(message) => message.to_owned(),
        None => DisplayErrorContext(error).to_string(),
    })
}
