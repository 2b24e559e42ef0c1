//! Templates of the repository as JSON, and the functions in `template.yaml`.

use std::io;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::tools;

/// The type of a function in a SAM template.
pub(crate) const FUNCTION: &str = "AWS::Serverless::Function";

/// The template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It cannot be turned into JSON.
    #[error("the template cannot be read: {0}")]
    Unreadable(String),
    /// The program that turns it into JSON did not start.
    #[error("the template cannot be read")]
    NoReader(#[source] io::Error),
    /// Something in it does not have the form that the local stack knows how to deploy.
    #[error(
        "`{place}` of the template does not have {what}: cli/src/dev knows what the local stack needs"
    )]
    Unexpected {
        /// Where.
        place: String,
        /// What it lacks.
        what: &'static str,
    },
}

impl TemplateError {
    pub(crate) fn new(place: &str, what: &'static str) -> Self {
        Self::Unexpected {
            place: place.to_owned(),
            what,
        }
    }
}

/// A function of the template.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// Its name in the template.
    pub(crate) logical_id: String,
    /// The binary that it runs.
    pub(crate) binary: String,
    /// Its `HttpApi` events.
    pub(crate) routes: Vec<Route>,
}

/// An `HttpApi` event of a function.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) event: String,
    pub(crate) api: Value,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) payload_format_version: Value,
    pub(crate) timeout_in_millis: Value,
}

/// `template.yaml` of the repository at `root`.
pub(crate) fn read(root: &Path) -> Result<Value, TemplateError> {
    read_file(root, "template.yaml")
}

/// A template of the repository at `root`.
pub(crate) fn read_file(root: &Path, file: &str) -> Result<Value, TemplateError> {
    let run = Command::new(tools::python(root))
        .current_dir(root)
        .args(["cli/dev/template_json.py", file])
        .output()
        .map_err(TemplateError::NoReader)?;
    if !run.status.success() {
        return Err(TemplateError::Unreadable(
            String::from_utf8_lossy(&run.stderr).trim().to_owned(),
        ));
    }
    serde_json::from_slice(&run.stdout)
        .map_err(|error| TemplateError::Unreadable(error.to_string()))
}

/// The functions of a template.
pub(crate) fn functions(template: &Value) -> Result<Vec<Function>, TemplateError> {
    let resources = template.get("Resources").and_then(Value::as_object);
    resources
        .ok_or_else(|| TemplateError::new("Resources", "resources"))?
        .iter()
        .filter(|(_, resource)| resource.get("Type").and_then(Value::as_str) == Some(FUNCTION))
        .map(|(logical_id, resource)| {
            let binary = resource
                .pointer("/Metadata/BuildProperties/Binary")
                .and_then(Value::as_str);
            Ok(Function {
                logical_id: logical_id.clone(),
                binary: binary
                    .ok_or_else(|| TemplateError::new(logical_id, "a `Binary`"))?
                    .to_owned(),
                routes: routes(logical_id, resource)?,
            })
        })
        .collect()
}

fn routes(logical_id: &str, function: &Value) -> Result<Vec<Route>, TemplateError> {
    let events = function
        .pointer("/Properties/Events")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    events
        .filter(|(_, event)| event.get("Type").and_then(Value::as_str) == Some("HttpApi"))
        .map(|(name, event)| {
            let place = format!("{logical_id}.Events.{name}");
            let property = |what: &'static str| {
                let found = event
                    .get("Properties")
                    .and_then(|properties| properties.get(what));
                found
                    .cloned()
                    .ok_or_else(|| TemplateError::new(&place, what))
            };
            let text = |what: &'static str| {
                let value = property(what)?;
                value
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| TemplateError::new(&place, what))
            };
            Ok(Route {
                event: name.clone(),
                api: property("ApiId")?,
                method: text("Method")?.to_uppercase(),
                path: text("Path")?,
                payload_format_version: property("PayloadFormatVersion")?,
                timeout_in_millis: property("TimeoutInMillis")?,
            })
        })
        .collect()
}
