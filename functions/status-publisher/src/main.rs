//! The publisher function: wires configuration and clients, and decides nothing.

use std::process::ExitCode;

use aws::{Clients, HeldChangesQueue, OrdersTable, SystemClock, environment, required};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use status_publisher::{Batch, Config, EventBus, Publisher, Stores};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    aws::log_as_json(environment);
    aws::exit_code(run().await)
}

async fn run() -> Result<(), Error> {
    let clients = Clients::from_lookup(environment)?;
    let stores = Stores {
        bus: EventBus::new(
            &clients.config_for_eventbridge(),
            required(environment, "ORDER_EVENTS_BUS")?,
        ),
        orders: OrdersTable::new(clients.dynamodb, required(environment, "ORDERS_TABLE")?),
        held: HeldChangesQueue::new(clients.sqs, required(environment, "HOLD_QUEUE_URL")?),
        clock: SystemClock,
    };
    let publisher = &Publisher::new(Config::from_lookup(environment)?, stores);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Batch>| async move {
        publisher
            .handle(event.payload)
            .await
            .map_err(|failure| Diagnostic {
                error_type: "NamelessFailure".to_owned(),
                error_message: failure.to_string(),
            })
    }))
    .await
}
