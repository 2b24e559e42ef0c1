//! The functions' SDK clients against a network that misbehaves.

use std::time::Duration;

use aws::{Clients, EventsQueue, WebhooksTable};
use domain::{
    EventBatches as _, EventQueue as _, QueueMessage, RecordState, RecordingOutcome, record,
};
use serde_json::{Value, json};
use testkit::sample;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::strict_dynamodb::{Database, recorded};
use crate::support::{SENT_AT, armada_status};

pub(crate) fn clients(endpoint: &str) -> Clients {
    Clients::from_lookup(|name| match name {
        "AWS_ENDPOINT_URL" => Some(endpoint.to_owned()),
        "AWS_REGION" | "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => {
            Some("us-east-1".to_owned())
        }
        _ => None,
    })
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_answers_is_given_up_after_two_and_a_half_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let table = WebhooksTable::new(clients(&endpoint).dynamodb, "WebhooksTable");
    let (new, _) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;
    let started = tokio::time::Instant::now();

    let error = record(&table, &new, RecordState::Pending, None)
        .await
        .unwrap_err();

    assert_eq!(
        error.with_causes(),
        "webhook put did not succeed: it timed out"
    );
    let waited = started.elapsed();
    assert!(
        waited > Duration::from_secs(1) && waited <= Duration::from_millis(2_600),
        "{waited:?}"
    );
}

/// Forwards connections to `upstream`; the answer on the first one is read and thrown away.
async fn losing_the_first_answer(upstream: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(&upstream).await.unwrap();
        let mut request = vec![0; 65_536];
        let read = client.read(&mut request).await.unwrap();
        server.write_all(&request[..read]).await.unwrap();
        let answered = server.read(&mut request).await.unwrap();
        assert!(answered > 0, "the write took effect");
        drop((client, server));
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(&upstream).await.unwrap();
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut client, &mut server).await },
            );
        }
    });
    endpoint
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_recognized_as_our_own_when_the_sdk_writes_again() {
    let database = Database::start().await;
    let endpoint = losing_the_first_answer(database.address()).await;
    let table = WebhooksTable::new(clients(&endpoint).dynamodb, "WebhooksTable");
    let (new, order) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;

    let recording = record(&table, &new, RecordState::Pending, order.as_ref())
        .await
        .unwrap();

    assert_eq!(
        recording.outcome,
        RecordingOutcome::Mine,
        "not a duplicate: it would never be sent"
    );
}

/// Takes one request, answers it with `{}`, and gives its body.
async fn one_request(listener: TcpListener) -> Value {
    one_request_answered(listener, "{}").await
}

/// Takes one request, answers it with this JSON as SQS would, and gives its body.
async fn one_request_answered(listener: TcpListener, json: &str) -> Value {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    loop {
        client.read_buf(&mut received).await.unwrap();
        let text = String::from_utf8_lossy(&received);
        if let Some(body) = text
            .split_once("\r\n\r\n")
            .and_then(|(_, body)| serde_json::from_str(body).ok())
        {
            let length = json.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}\r\n\r\n{json}"
            );
            client.write_all(answer.as_bytes()).await.unwrap();
            return body;
        }
    }
}

#[tokio::test]
async fn a_character_that_sqs_refuses_travels_as_an_escape() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let queue = EventsQueue::new(clients(&endpoint).sqs, format!("{endpoint}/events"));
    let name = "\u{ffff} Jane \u{fffe}";
    let text = sample("queue/message-event.json").replace("Jane Doe", name);
    let message = serde_json::from_str(&text).unwrap();

    let (sent, _) = tokio::join!(one_request(listener), queue.send(&message, None));

    let sent = sent["MessageBody"].as_str().unwrap();
    assert!(!sent.contains(['\u{fffe}', '\u{ffff}']), "{sent}");
    let body: Value = serde_json::from_str(sent).unwrap();
    assert_eq!(body["event"]["details"]["driver"]["name"], name);
}

#[tokio::test]
async fn a_message_carries_its_merchants_group_and_the_trace_header_where_sqs_wants_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let queue = EventsQueue::new(clients(&endpoint).sqs, format!("{endpoint}/events"));
    let message = serde_json::from_str(&sample("queue/message-event.json")).unwrap();

    let (sent, _) = tokio::join!(
        one_request(listener),
        queue.send(&message, Some("Root=1-a;Sampled=1"))
    );

    assert_eq!(sent["MessageGroupId"], testkit::MERCHANT);
    let trace =
        json!({ "AWSTraceHeader": { "DataType": "String", "StringValue": "Root=1-a;Sampled=1" } });
    assert_eq!(sent["MessageSystemAttributes"], trace);
    let body: Value = serde_json::from_str(sent["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(body["schema_version"], 1);
}

#[tokio::test]
async fn a_batch_that_was_taken_in_part_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let queue = EventsQueue::new(clients(&endpoint).sqs, format!("{endpoint}/events"));
    let message: QueueMessage = serde_json::from_str(&sample("queue/message-event.json")).unwrap();
    let answer = json!({
        "Successful": [{ "Id": "0", "MessageId": "m", "MD5OfMessageBody": "" }],
        "Failed": [{ "Id": "1", "SenderFault": false, "Code": "InternalError" }],
    })
    .to_string();
    let messages = [message.clone(), message];

    let (request, sent) = tokio::join!(
        one_request_answered(listener, &answer),
        queue.send_all(&messages)
    );

    assert_eq!(request["Entries"].as_array().unwrap().len(), 2);
    let error = sent.unwrap_err().with_causes();
    assert!(error.contains("InternalError"), "{error}");
}
