//! The Shipday webhook function: wires configuration, clients and the Shipday adapter, and decides nothing.

use std::process::ExitCode;

use aws::{
    Clients, EventsQueue, InstallationsTable, RandomRequestIds, SystemClock, WebhooksTable,
    environment, required,
};
use ingest::{Config, Receiver, Stores, serve};
use lambda_http::Error;
use providers::shipday::Shipday;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    aws::log_as_json(environment);
    aws::exit_code(run().await)
}

async fn run() -> Result<(), Error> {
    let clients = Clients::from_lookup(environment)?;
    let early = clients.clone();
    let stores = Stores {
        installations: InstallationsTable::new(
            clients.dynamodb.clone(),
            required(environment, "INSTALLATIONS_TABLE")?,
        ),
        records: WebhooksTable::new(clients.dynamodb, required(environment, "WEBHOOKS_TABLE")?),
        queue: EventsQueue::new(clients.sqs, required(environment, "EVENTS_QUEUE_URL")?),
        clock: SystemClock,
        request_ids: RandomRequestIds,
    };
    let receiver = Receiver::new(&Shipday, Config::from_lookup(environment)?, stores);
    let (served, ()) = tokio::join!(serve(&receiver), early.open_connection_to_sqs());
    served
}
