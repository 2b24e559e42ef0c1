//! An order's timeline to its state. 500 events is the bound of the pipeline; 1000 shows the slope beyond it.

use divan::Bencher;
use divan::counter::ItemsCount;
use domain::{Provider, TimelineEntry, fold};
use providers::adapter;

use crate::samples::{armada_timeline, shipday_timeline};

const EVENTS: [usize; 5] = [1, 10, 100, 500, 1_000];

fn measure(bencher: Bencher<'_, '_>, provider: Provider, timeline: &[TimelineEntry]) {
    bencher
        .counter(ItemsCount::new(timeline.len()))
        .with_inputs(|| timeline.to_vec())
        .bench_local_values(|entries| fold(adapter(provider), entries));
}

#[divan::bench(args = EVENTS)]
fn armada(bencher: Bencher<'_, '_>, events: usize) {
    measure(bencher, Provider::Armada, &armada_timeline(events));
}

#[divan::bench(args = EVENTS)]
fn shipday(bencher: Bencher<'_, '_>, events: usize) {
    measure(bencher, Provider::Shipday, &shipday_timeline(events));
}
