//! Shows that a local stack works: a webhook goes in, an order comes out.

use std::time::Duration;

use aws::OrdersTable;
use domain::Provider;
use tokio::time::Instant;

use super::LocalStack;
use super::error::DevError;
use crate::demo::{self, DemoWebhook};
use crate::order::{self, OrderView, PersonalData};

/// How long an event may take from the queue to the order, on a busy machine.
const APPLIED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// Sends the provider's documented example through the HTTP API and waits until its order has a state.
pub(crate) async fn send(
    stack: &LocalStack,
    orders: &OrdersTable,
    provider: Provider,
) -> Result<OrderView, DevError> {
    let DemoWebhook { webhook, order } = demo::documented(provider)?;
    let address = stack.webhook_address(provider);
    let sending = tokio::task::spawn_blocking(move || webhook.send(&address)).await;
    let answer = sending.map_err(|_| DevError::Interrupted)??;
    if !answer.is_success() {
        return Err(DevError::SampleRefused {
            provider,
            status: answer.status,
            body: answer.body,
        });
    }

    let deadline = Instant::now() + APPLIED_WITHIN;
    loop {
        match order::read(orders, &order, PersonalData::Masked).await? {
            Some(view) if view.state.is_some() => return Ok(view),
            _ if Instant::now() > deadline => {
                let seconds = APPLIED_WITHIN.as_secs();
                return Err(DevError::SampleNotApplied {
                    order: order.order_id.to_string(),
                    seconds,
                    log: stack.log(),
                });
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}
