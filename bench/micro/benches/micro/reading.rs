//! A webhook's body to its normalized event.

use divan::{Bencher, black_box};
use domain::{Credential, Provider};
use providers::adapter;
use testkit::{ARMADA_APP_ID, ARMADA_INSTALLATION_ID, Webhook};

use crate::samples::{armada_documented, armada_v2, authenticated, shipday_documented};

fn read(bencher: Bencher<'_, '_>, webhook: &Webhook) {
    let webhook = authenticated(webhook);
    let adapter = adapter(webhook.provider());
    bencher.bench_local(|| adapter.read(black_box(&webhook)));
}

#[divan::bench]
fn armada_v1_documented(bencher: Bencher<'_, '_>) {
    read(bencher, &armada_documented());
}

#[divan::bench]
fn armada_v2_accepted(bencher: Bencher<'_, '_>) {
    read(bencher, &armada_v2());
}

#[divan::bench]
fn shipday_documented_example(bencher: Bencher<'_, '_>) {
    read(bencher, &shipday_documented());
}

#[divan::bench]
fn digest_of_a_credential() -> domain::CredentialDigest {
    Credential::armada_installation(black_box(ARMADA_APP_ID), black_box(ARMADA_INSTALLATION_ID))
        .digest(Provider::Armada)
}
