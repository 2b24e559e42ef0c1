//! Whether a contestant does the work: what it asks of the services is looked at before anything is measured.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::CompressedBody;
use serde_json::Value;

use crate::contestants::{Contestant, Role};
use crate::environment::{Environment, Launch};
use crate::measure::{Events, check};
use crate::services::{Recorded, Services};

/// Has two events processed, and looks at what the second one led to.
///
/// # Errors
/// What is missing, or too much.
pub(crate) fn verify(
    contestant: &Contestant,
    services: &Services,
    events: &mut Events<'_>,
) -> Result<()> {
    let mut environment = Environment::start(contestant, services, &Launch::default())?;
    let first = environment.invoke(events.next(contestant.role))?;
    check(contestant, &first)?;
    services.record();
    let event = events.next(contestant.role);
    let second = environment.invoke(event.clone())?;
    check(contestant, &second)?;
    let recorded = services.take_recorded();

    let mut calls: Vec<&str> = recorded
        .iter()
        .map(|(operation, _)| operation.as_str())
        .collect();
    calls.sort_unstable();
    ensure!(
        calls == contestant.role.calls(),
        "{} makes the calls {calls:?}",
        contestant.name
    );
    match contestant.role {
        Role::ArmadaWebhook | Role::ShipdayWebhook => recorded_and_sent(&event, &recorded),
        Role::Publisher => published(&recorded),
        Role::IdempotentWebhook | Role::Consumer | Role::SingleUpdateConsumer => Ok(()),
    }
    .with_context(|| format!("{} does not do the work", contestant.name))
}

/// The event names the change.
fn published(recorded: &Recorded) -> Result<()> {
    let (_, request) = recorded.first().context("nothing is published")?;
    let detail = request["Entries"][0]["Detail"].as_str().unwrap_or_default();
    let detail: Value = serde_json::from_str(detail)?;
    ensure!(
        (&detail["from"], &detail["to"]) == (&"in_transit".into(), &"delivered".into()),
        "the event says {detail}"
    );
    Ok(())
}

/// The put is conditional and holds the body, deflated; the message names the order.
fn recorded_and_sent(event: &str, recorded: &Recorded) -> Result<()> {
    let event: Value = serde_json::from_str(event)?;
    let body = event["body"].as_str().unwrap_or_default();
    let call = |name: &str| {
        recorded
            .iter()
            .find(|(operation, _)| operation == name)
            .map(|(_, request)| request)
            .with_context(|| format!("no {name}"))
    };
    let put = call("PutItem")?;
    let condition = put["ConditionExpression"].as_str().unwrap_or_default();
    ensure!(
        condition.contains("attribute_not_exists"),
        "the put is {condition:?}"
    );
    let stored = BASE64.decode(put["Item"]["body"]["B"].as_str().unwrap_or_default())?;
    let inflated = CompressedBody::from_stored(stored).inflate()?;
    ensure!(inflated == body.as_bytes(), "another body is stored");
    let message = call("SendMessage")?["MessageBody"]
        .as_str()
        .unwrap_or_default();
    let message: Value = serde_json::from_str(message)?;
    let order = message["event"]["order_id"].as_str().unwrap_or_default();
    ensure!(
        !order.is_empty() && body.contains(order),
        "the message names order {order:?}"
    );
    Ok(())
}
