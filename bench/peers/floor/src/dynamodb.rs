//! DynamoDB's JSON for the two calls of a webhook.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An attribute's value, tagged with its type.
#[derive(Serialize)]
pub(crate) enum Value<'a> {
    S(&'a str),
    N(String),
    /// Binary, as base64.
    B(String),
    M(BTreeMap<&'static str, Value<'a>>),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetItem<'a> {
    pub(crate) table_name: &'a str,
    pub(crate) key: Key<'a>,
}

#[derive(Serialize)]
pub(crate) struct Key<'a> {
    pub(crate) pk: Value<'a>,
}

/// The answer to a [`GetItem`] on the installations table.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GotInstallation {
    pub(crate) item: Option<InstallationItem>,
}

#[derive(Deserialize)]
pub(crate) struct InstallationItem {
    pub(crate) merchant_id: Text,
    pub(crate) state: Text,
}

#[derive(Deserialize)]
pub(crate) struct Text {
    #[serde(rename = "S")]
    pub(crate) text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PutItem<'a> {
    pub(crate) table_name: &'a str,
    pub(crate) item: BTreeMap<&'static str, Value<'a>>,
    pub(crate) condition_expression: &'static str,
    pub(crate) return_values_on_condition_check_failure: &'static str,
}
