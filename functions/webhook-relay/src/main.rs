//! The relay function: wires clients, and decides nothing.

use std::process::ExitCode;

use aws::{Clients, EventsQueue, RandomShard, SystemClock, WebhooksTable, environment, required};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use webhook_relay::{Relay, Stores};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    aws::log_as_json(environment);
    aws::exit_code(run().await)
}

async fn run() -> Result<(), Error> {
    let clients = Clients::from_lookup(environment)?;
    let relay = &Relay::new(Stores {
        records: WebhooksTable::new(clients.dynamodb, required(environment, "WEBHOOKS_TABLE")?),
        queue: EventsQueue::new(clients.sqs, required(environment, "EVENTS_QUEUE_URL")?),
        clock: SystemClock,
        first_shard: RandomShard,
    });
    // What the schedule says does not matter, only that it calls.
    lambda_runtime::run(service_fn(move |_: LambdaEvent<IgnoredAny>| async move {
        relay.run().await.map_err(|failure| Diagnostic {
            error_type: "RunFailed".to_owned(),
            error_message: failure.to_string(),
        })
    }))
    .await
}
