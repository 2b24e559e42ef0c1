//! The Armada webhook with the least that still does the work properly: hyper, rustls and a vetted signer,
//! no SDK and no Lambda runtime crate.

mod armada;
mod connection;
mod dynamodb;
mod runtime;
mod service;
mod webhook;

use std::collections::HashMap;
use std::convert::Infallible;
use std::process::ExitCode;
use std::rc::Rc;

use aws_credential_types::Credentials;

use connection::{Connection, Error, tls};
use service::{Service, Signer};
use webhook::{Places, Webhook};

fn main() -> ExitCode {
    match run() {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("the function cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<Infallible, Error> {
    let tls = tls(optional("AWS_CA_BUNDLE").as_deref())?;
    let credentials = Credentials::new(
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
        optional("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let signer = Rc::new(Signer::new(credentials, required("AWS_REGION")?));
    let dynamodb = optional("AWS_ENDPOINT_URL_DYNAMODB");
    let sqs = optional("AWS_ENDPOINT_URL_SQS");
    let mut webhook = Webhook {
        places: Places {
            installations_table: required("INSTALLATIONS_TABLE")?,
            webhooks_table: required("WEBHOOKS_TABLE")?,
            events_queue_url: required("EVENTS_QUEUE_URL")?,
        },
        dynamodb: Service::new(
            "dynamodb",
            "DynamoDB_20120810",
            dynamodb,
            &tls,
            Rc::clone(&signer),
        )?,
        sqs: Service::new("sqs", "AmazonSQS", sqs, &tls, signer)?,
        registry: HashMap::new(),
    };
    let authority = required("AWS_LAMBDA_RUNTIME_API")?;
    let api = Connection::new(&format!("http://{authority}").parse()?, &tls)?;
    let invocations = runtime::serve(&authority, api, async |payload: &[u8]| {
        webhook.handle(payload).await
    });
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(invocations)
}

fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &str) -> Result<String, Error> {
    optional(name).ok_or_else(|| format!("{name} is not set").into())
}
