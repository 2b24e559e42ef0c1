//! Test doubles with real behaviour: every port in memory, faults on demand, a clock the test moves, and
//! the sample webhooks of `events/`. A development dependency only.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test double a surprise must stop the test"
)]

mod flawed;
mod ports;
mod publishing;
mod queue;
mod samples;
mod stream;
mod webhooks;
mod world;

pub use flawed::{Flaw, Ports, ReadEvent, Side};
pub use queue::{Buried, Queued, sqs_batch};
pub use samples::{all_samples, events_folder, sample, sample_bytes};
pub use stream::{StateSaved, but_for_the_receipt, stream_batch};
pub use webhooks::{
    ARMADA_APP_ID, ARMADA_INSTALLATION_ID, MERCHANT, SHIPDAY_TOKEN, Webhook, armada,
    armada_credential, http_api_event, rest_api_event, shipday, shipday_credential,
};
pub use world::{Fault, NOW, Observations, StoredRecord, World};
