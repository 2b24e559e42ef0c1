//! The consumer function: wires configuration and clients, and decides nothing.

use std::process::ExitCode;

use aws::{
    Clients, DeadLetterQueue, EventsQueue, OrdersTable, SystemClock, WebhooksTable, environment,
    required,
};
use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use order_consumer::{Config, Consumer, Stores};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    aws::log_as_json(environment);
    aws::exit_code(run().await)
}

async fn run() -> Result<(), Error> {
    let clients = Clients::from_lookup(environment)?;
    let stores = Stores {
        records: WebhooksTable::new(
            clients.dynamodb.clone(),
            required(environment, "WEBHOOKS_TABLE")?,
        ),
        orders: OrdersTable::new(clients.dynamodb, required(environment, "ORDERS_TABLE")?),
        queue: EventsQueue::new(
            clients.sqs.clone(),
            required(environment, "EVENTS_QUEUE_URL")?,
        ),
        dead_letters: DeadLetterQueue::new(
            clients.sqs,
            required(environment, "DEAD_LETTER_QUEUE_URL")?,
        ),
        clock: SystemClock,
    };
    let consumer = &Consumer::new(Config::from_lookup(environment)?, stores);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        consumer
            .handle(event.payload)
            .await
            .map_err(|failure| Diagnostic {
                error_type: "NamelessFailure".to_owned(),
                error_message: failure.to_string(),
            })
    }))
    .await
}
