//! What is stored and sent: the body deflated, the text of the queue's message.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use domain::{CompressedBody, QueueMessage, Sha256Hex};
use testkit::Webhook;

use crate::samples::{armada_documented, authenticated, event, shipday_documented};

fn deflate(bencher: Bencher<'_, '_>, webhook: &Webhook) {
    bencher
        .counter(BytesCount::of_slice(&webhook.body))
        .bench_local(|| CompressedBody::deflate(black_box(&webhook.body)));
}

#[divan::bench]
fn deflate_armada(bencher: Bencher<'_, '_>) {
    deflate(bencher, &armada_documented());
}

#[divan::bench]
fn deflate_shipday(bencher: Bencher<'_, '_>) {
    deflate(bencher, &shipday_documented());
}

fn inflate(bencher: Bencher<'_, '_>, webhook: &Webhook) {
    let stored = CompressedBody::deflate(&webhook.body);
    bencher
        .counter(BytesCount::of_slice(&webhook.body))
        .bench_local(|| black_box(&stored).inflate());
}

#[divan::bench]
fn inflate_armada(bencher: Bencher<'_, '_>) {
    inflate(bencher, &armada_documented());
}

#[divan::bench]
fn inflate_shipday(bencher: Bencher<'_, '_>) {
    inflate(bencher, &shipday_documented());
}

#[divan::bench]
fn digest_of_a_shipday_body(bencher: Bencher<'_, '_>) {
    let body = shipday_documented().body;
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench_local(|| Sha256Hex::of(black_box(&body)));
}

fn message(webhook: &Webhook) -> QueueMessage {
    let digest = authenticated(webhook).body_sha256().clone();
    let (reading, event) = event(webhook);
    QueueMessage::event(reading.key, digest, event)
}

fn write(bencher: Bencher<'_, '_>, webhook: &Webhook) {
    let message = message(webhook);
    bencher.bench_local(|| serde_json::to_string(black_box(&message)));
}

#[divan::bench]
fn write_the_message_of_armada(bencher: Bencher<'_, '_>) {
    write(bencher, &armada_documented());
}

#[divan::bench]
fn write_the_message_of_shipday(bencher: Bencher<'_, '_>) {
    write(bencher, &shipday_documented());
}

fn read(bencher: Bencher<'_, '_>, webhook: &Webhook) {
    let text = serde_json::to_string(&message(webhook)).expect("a message is JSON");
    bencher.bench_local(|| serde_json::from_str::<QueueMessage>(black_box(&text)));
}

#[divan::bench]
fn read_the_message_of_armada(bencher: Bencher<'_, '_>) {
    read(bencher, &armada_documented());
}

#[divan::bench]
fn read_the_message_of_shipday(bencher: Bencher<'_, '_>) {
    read(bencher, &shipday_documented());
}
