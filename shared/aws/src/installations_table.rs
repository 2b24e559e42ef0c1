//! The `installations` table: who may send.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    CompanyId, CredentialDigest, EpochMillis, Installation, InstallationState, Installations,
    MerchantId, PortError, UrlKeyDigest,
};

use crate::error::{damaged, port_error};

/// The `installations` table.
#[derive(Clone, Debug)]
pub struct InstallationsTable {
    client: Client,
    table: String,
}

/// What registering an installation found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It is registered now.
    Registered,
    /// Its credential is registered already; nothing was changed.
    Exists,
}

impl InstallationsTable {
    /// The table of that name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    /// Registers an installation, unless its credential is registered already.
    ///
    /// # Errors
    /// When the table did not answer.
    pub async fn register(&self, installation: &Installation) -> Result<Registration, PortError> {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let number = |at: EpochMillis| AttributeValue::N(at.to_string());
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(&installation.credential.to_string()))
            .item("merchant_id", text(installation.merchant_id.as_str()))
            .item("state", text(installation.state.as_str()))
            .item("label", text(&installation.label))
            .item("created_at_ms", number(installation.created_at_ms))
            .condition_expression("attribute_not_exists(pk)");
        let put = match installation.not_after_ms {
            Some(at) => put.item("not_after_ms", number(at)),
            None => put,
        };
        let put = match &installation.url_key_sha256 {
            Some(digest) => put.item("url_key_sha256", text(digest.as_str())),
            None => put,
        };
        let put = match &installation.company_id {
            Some(id) => put.item("company_id", text(id.as_str())),
            None => put,
        };
        match put.send().await {
            Ok(_) => Ok(Registration::Registered),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(Registration::Exists)
            }
            Err(error) => Err(port_error("installation put", &error)),
        }
    }

    /// Sets the state of a registered installation; `false` when there is none with this credential.
    ///
    /// # Errors
    /// When the table did not answer.
    pub async fn set_state(
        &self,
        credential: &CredentialDigest,
        state: InstallationState,
    ) -> Result<bool, PortError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(credential.to_string()))
            .condition_expression("attribute_exists(pk)")
            .update_expression("SET #state = :state")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", AttributeValue::S(state.as_str().to_owned()));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(port_error("installation update", &error)),
        }
    }

    /// Removes an installation, if it is there. Only operators delete.
    ///
    /// # Errors
    /// When the table did not answer.
    pub async fn remove(&self, credential: &CredentialDigest) -> Result<(), PortError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(credential.to_string()));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(port_error("installation deletion", &error)),
        }
    }

    /// Every installation, in no order.
    ///
    /// # Errors
    /// When the table did not answer, or an item is damaged.
    pub async fn list(&self) -> Result<Vec<Installation>, PortError> {
        let mut found = Vec::new();
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error("installation scan", &error))?;
            for item in page.items() {
                found.push(
                    read(item).ok_or_else(|| damaged("installation scan", "an installation"))?,
                );
            }
        }
        Ok(found)
    }
}

impl Installations for InstallationsTable {
    async fn find(&self, credential: &CredentialDigest) -> Result<Option<Installation>, PortError> {
        let call = "installation read";
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(credential.to_string()))
            .send()
            .await
            .map_err(|error| port_error(call, &error))?;
        match answer.item {
            None => Ok(None),
            Some(item) => read(&item)
                .map(Some)
                .ok_or_else(|| damaged(call, "an installation")),
        }
    }
}

fn read(item: &HashMap<String, AttributeValue>) -> Option<Installation> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let millis = |name: &str| {
        item.get(name).map(|value| {
            value
                .as_n()
                .ok()
                .and_then(|n| n.parse().ok())
                .map(EpochMillis::new)
        })
    };
    let optional = |value: Option<Option<EpochMillis>>| match value {
        None => Some(None),
        Some(None) => None,
        Some(Some(at)) => Some(Some(at)),
    };
    Some(Installation {
        credential: CredentialDigest::parse(text("pk")?).ok()?,
        merchant_id: MerchantId::parse(text("merchant_id")?).ok()?,
        state: InstallationState::parse(text("state")?)?,
        label: text("label").cloned().unwrap_or_default(),
        created_at_ms: millis("created_at_ms").flatten().unwrap_or_default(),
        // What restricts an installation must be readable: it fails closed.
        not_after_ms: optional(millis("not_after_ms"))?,
        url_key_sha256: text("url_key_sha256")
            .map(|digest| UrlKeyDigest::parse(digest))
            .transpose()
            .ok()?,
        company_id: text("company_id")
            .map(|id| CompanyId::parse(id))
            .transpose()
            .ok()?,
    })
}
