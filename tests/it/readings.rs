//! Every sample body and what it is read as. The snapshots are reviewed like code.

use std::fmt::Write as _;

use domain::{Interpretation, MerchantId, Provider, RawWebhook, Reading, authenticate};
use expect_test::expect_file;
use proptest::prelude::*;
use providers::adapter;
use testkit::{NOW, World, all_samples, armada_credential, sample_bytes, shipday_credential};

fn read(provider: Provider, headers: &[(&str, &str)], body: Vec<u8>) -> Reading {
    let world = World::new();
    let credential = match provider {
        Provider::Armada => armada_credential(),
        Provider::Shipday => shipday_credential(),
    };
    let installation =
        futures_util::FutureExt::now_or_never(domain::Installations::find(&world, &credential));
    let installation = installation.unwrap().unwrap().unwrap();
    let raw = RawWebhook {
        provider,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        url_key: None,
        body,
        received_at_ms: NOW,
    };
    let webhook = authenticate(raw, Some(&installation)).unwrap();
    assert_eq!(
        webhook.merchant_id(),
        &MerchantId::parse(testkit::MERCHANT).unwrap()
    );
    adapter(provider).read(&webhook)
}

fn read_armada(topic: &str, body: Vec<u8>) -> Reading {
    let headers = [
        ("x-armada-webhook-topic", topic),
        ("x-armada-webhook-id", "wh_1"),
        ("x-armada-timestamp", "2026-01-07T20:15:01.000Z"),
        ("x-armada-api-version", "v1"),
    ];
    read(Provider::Armada, &headers, body)
}

/// One reading as text: a line for its meaning, one for its key, and its details.
fn describe(text: &mut String, name: &str, reading: &Reading) {
    writeln!(text, "{name}").unwrap();
    writeln!(text, "  key: {}", reading.key).unwrap();
    match &reading.interpretation {
        Interpretation::Ignored(why) => writeln!(text, "  ignored: {}", why.as_str()),
        Interpretation::Unmapped(why) => match why.unknown_word() {
            Some(word) => writeln!(text, "  unmapped: {} `{word}`", why.as_str()),
            None => writeln!(text, "  unmapped: {}", why.as_str()),
        },
        Interpretation::Quarantined(why) => writeln!(text, "  quarantined: {}", why.as_str()),
        Interpretation::Event(event) => {
            let status = event.status.map_or("(status kept)", domain::Status::as_str);
            let reason = event
                .status_reason
                .map(|reason| format!(" ({})", reason.as_str()))
                .unwrap_or_default();
            let word = event.word.key_part(event.provider);
            writeln!(
                text,
                "  {status}{reason} at {} by {word}",
                event.occurred_at_ms
            )
            .unwrap();
            writeln!(text, "  {}", serde_json::to_string(&event.details).unwrap())
        }
    }
    .unwrap();
}

#[test]
fn every_armada_sample_is_read_as_written_down() {
    let mut text = String::new();
    for path in all_samples("armada") {
        let topic = path.split('/').nth(1).unwrap();
        describe(&mut text, &path, &read_armada(topic, sample_bytes(&path)));
    }
    expect_file!["readings/armada.txt"].assert_eq(&text);
}

#[test]
fn every_shipday_sample_is_read_as_written_down() {
    let mut text = String::new();
    for path in all_samples("shipday") {
        describe(
            &mut text,
            &path,
            &read(Provider::Shipday, &[], sample_bytes(&path)),
        );
    }
    expect_file!["readings/shipday.txt"].assert_eq(&text);
}

#[test]
fn different_samples_have_different_keys_and_the_same_sample_has_the_same() {
    let key = |path: &String| read(Provider::Shipday, &[], sample_bytes(path)).key;
    // Same content: the two samples that are `[]`, and spellings of one and the same event.
    let samples: Vec<String> = all_samples("shipday")
        .into_iter()
        .filter(|path| !path.contains("quirk-"))
        .collect();
    let mut keys: Vec<_> = samples.iter().map(key).collect();
    assert_eq!(keys, samples.iter().map(key).collect::<Vec<_>>());
    keys.sort();
    keys.dedup();

    assert_eq!(keys.len(), samples.len());
}

#[test]
fn an_armada_time_that_cannot_be_true_is_not_believed() {
    let at = |sent_at: &str| {
        let headers = [
            ("x-armada-webhook-topic", "order.updated"),
            ("x-armada-webhook-id", "wh_1"),
            ("x-armada-timestamp", sent_at),
        ];
        read(
            Provider::Armada,
            &headers,
            sample_bytes("armada/order.updated/documented.json"),
        )
        .interpretation
    };

    for (sent_at, expected) in [
        (
            "2100-01-01T00:00:00Z",
            domain::Unmapped::UnbelievableEventTime,
        ),
        (
            "2001-01-01T00:00:00Z",
            domain::Unmapped::UnbelievableEventTime,
        ),
        ("yesterday", domain::Unmapped::MissingEventTime),
        ("", domain::Unmapped::MissingEventTime),
    ] {
        assert_eq!(
            at(sent_at),
            Interpretation::Unmapped(expected),
            "{sent_at:?}"
        );
    }
    assert!(matches!(
        at("2026-01-07T23:15:01.000+03:00"),
        Interpretation::Event(_)
    ));
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        Just("1e999".to_owned()),
        Just("-0.0".to_owned()),
        "[ -~]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let name = prop::sample::select(vec![
        "code",
        "status",
        "amount",
        "driver",
        "logistics",
        "timestamp",
        "event",
        "order_status",
        "order",
        "id",
        "company",
        "carrier",
        "podUrls",
        "eta",
        "thirdPartyDeliveryOrder",
        "name",
        "phone",
        "created_at",
    ]);
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|fields| {
                let fields: Vec<String> = fields
                    .into_iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_of_arbitrary_bytes_makes_a_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        read_armada("order.updated", body.clone());
        read(Provider::Shipday, &[], body);
    }

    #[test]
    fn no_json_of_the_right_names_and_the_wrong_types_makes_a_parser_panic(body in any_json()) {
        read_armada("order.updated", body.clone().into_bytes());
        read(Provider::Shipday, &[], body.into_bytes());
    }

    #[test]
    fn no_header_makes_a_parser_panic(topic in any::<String>(), id in any::<String>(), at in any::<String>()) {
        let headers = [
            ("x-armada-webhook-topic", topic.as_str()),
            ("x-armada-webhook-id", id.as_str()),
            ("x-armada-timestamp", at.as_str()),
        ];
        read(Provider::Armada, &headers, sample_bytes("armada/order.updated/documented.json"));
    }
}
