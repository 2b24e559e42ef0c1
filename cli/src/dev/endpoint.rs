//! `hookctl dev endpoint`: changes posted to an HTTP endpoint, by `merchant-endpoint.yaml` itself.
//!
//! The emulator's CloudFormation knows neither connections nor API destinations, but its EventBridge does: both are taken
//! out of the template and created by call. All else is deployed as it stands there.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use aws_sdk_cloudformation::Client;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::deployment::{deploy, refused};
use super::emulator;
use super::error::DevError;
use super::record::Record;
use super::template::{self, TemplateError};
use crate::arguments::{Endpoint, StackChoice};
use crate::output::Output;
use crate::sdk;
use crate::stack::{Stack, output as output_of};

const TEMPLATE: &str = "merchant-endpoint.yaml";
const SERVICE: &str = "events";
/// The resources that are created by call, each with the call's word for it.
const CONNECTION: (&str, &str) = ("Connection", "Connection");
const DESTINATION: (&str, &str) = ("Destination", "ApiDestination");
/// The name of all that is created for the endpoint.
const NAME: &str = "delivery-webhooks-dev-endpoint";
const REQUESTS_PER_SECOND: u32 = 300;
const DELETED_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Runs the command.
pub(crate) async fn run(
    root: &Path,
    options: &Endpoint,
    choice: &StackChoice,
    output: Output,
) -> Result<(), DevError> {
    let (bus, topic) = ("OrderEventsBusName", "TicketTopicArn");
    let (services, bus, topic) = match &options.service_endpoint {
        Some(services) => {
            let stack = Stack::open(choice).await?;
            let (bus, topic) = (stack.output(bus)?, stack.output(topic)?);
            (services.clone(), bus.to_owned(), topic.to_owned())
        }
        None => {
            let record = Record::running(root)?.ok_or(DevError::NothingRunning)?;
            let output = |name| output_of(&record.stack_name, &record.outputs, name);
            let (bus, topic) = (output(bus)?.to_owned(), output(topic)?.to_owned());
            (record.endpoint, bus, topic)
        }
    };
    let client = Client::new(&sdk::local(&services));
    take_down(&services, &client).await?;
    if let Some(url) = &options.url {
        let parameters = [
            ("Bus", bus.into()),
            ("TicketTopic", topic.into()),
            ("Url", url.as_str().into()),
            ("Key", options.key.as_str().into()),
            ("Rate", REQUESTS_PER_SECOND.into()),
        ];
        let mut template = template::read_file(root, TEMPLATE)?;
        create_by_call(&services, &mut template, &parameters)?;
        deploy(&client, NAME, &template, &[]).await?;
    }
    Ok(output.result(&Told {
        endpoint: options.url.clone(),
    })?)
}

/// Ends what another call has begun.
async fn take_down(services: &str, client: &Client) -> Result<(), DevError> {
    let deleted = client.delete_stack().stack_name(NAME).send().await;
    deleted.map_err(|error| refused(&error))?;
    let deadline = Instant::now() + DELETED_WITHIN;
    while is_there(client).await && Instant::now() < deadline {
        sleep(POLL).await;
    }
    // In this order: a connection that is used cannot be deleted.
    for (_, kind) in [DESTINATION, CONNECTION] {
        let target = format!("AWSEvents.Delete{kind}");
        match emulator::ask(services, SERVICE, &target, &json!({ "Name": NAME })) {
            Ok(_) => {}
            Err(DevError::Service { body, .. }) if body.contains("ResourceNotFoundException") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn is_there(client: &Client) -> bool {
    let described = client.describe_stacks().stack_name(NAME).send().await;
    let status = described.ok().and_then(|answer| {
        let stack = answer.stacks.unwrap_or_default().pop();
        stack?.stack_status
    });
    status.is_some_and(|status| status.as_str() != "DELETE_COMPLETE")
}

/// Takes what CloudFormation does not know out of the template, creates it, and fills in what is known of the rest.
fn create_by_call(
    services: &str,
    template: &mut Value,
    parameters: &[(&str, Value)],
) -> Result<(), DevError> {
    let mut known: Vec<(Value, Value)> = parameters
        .iter()
        .map(|(name, value)| (json!({ "Ref": name }), value.clone()))
        .collect();
    for (resource, kind) in [CONNECTION, DESTINATION] {
        let resources = template.get_mut("Resources").and_then(Value::as_object_mut);
        let found = resources.and_then(|resources| resources.remove(resource));
        let mut properties = found
            .and_then(|mut found| found.get_mut("Properties").map(Value::take))
            .ok_or_else(|| TemplateError::new(resource, "properties"))?;
        fill_in(&mut properties, &known);
        if let Some(properties) = properties.as_object_mut() {
            properties.insert("Name".to_owned(), NAME.into());
        }
        let target = format!("AWSEvents.Create{kind}");
        let mut answer = emulator::ask(services, SERVICE, &target, &properties)?;
        let arn = answer.get_mut(format!("{kind}Arn")).map(Value::take);
        let arn = arn.ok_or(DevError::NoName { what: target })?;
        known.push((json!({ "Fn::GetAtt": [resource, "Arn"] }), arn));
    }
    fill_in(template, &known);
    if let Some(template) = template.as_object_mut() {
        template.remove("Parameters");
    }
    Ok(())
}

/// Writes each known value in the place of what stands for it.
fn fill_in(value: &mut Value, known: &[(Value, Value)]) {
    if let Some((_, filled)) = known.iter().find(|(reference, _)| reference == value) {
        value.clone_from(filled);
        return;
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|it| fill_in(it, known)),
        Value::Array(items) => items.iter_mut().for_each(|it| fill_in(it, known)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Where changes are posted to now.
#[derive(Serialize)]
struct Told {
    endpoint: Option<String>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(url) => write!(
                f,
                "Changes of a status are posted to {url}, until `hookctl dev endpoint --off`."
            ),
            None => f.write_str("Changes are posted nowhere any more."),
        }
    }
}
