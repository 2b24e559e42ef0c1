//! One JSON object per line on stdout, as CloudWatch Logs wants it.

use std::error::Error;
use std::fmt::Debug;
use std::io::{self, Write as _};
use std::process::ExitCode;

use domain::Clock as _;
use serde::ser::{SerializeMap, Serializer as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::metrics::{Directives, Metric, STACK, metric_of};
use crate::surroundings::SystemClock;

/// The crates whose lines are ours. Of all others only warnings are shown: at lower levels an SDK may write
/// what is in a request.
const OURS: [&str; 6] = [
    "aws",
    "domain",
    "ingest",
    "order_consumer",
    "status_publisher",
    "webhook_relay",
];
/// Longer than most lines, so that most need one allocation.
const LINE_BYTES: usize = 1_024;

/// Starts logging at the level of `AWS_LAMBDA_LOG_LEVEL` (default `INFO`), and makes a panic a log line that
/// says where, but not what: its message could hold a piece of a body. Metrics are those of the stack that `STACK_NAME`
/// names; without it there are none.
pub fn log_as_json(lookup: impl Fn(&str) -> Option<String>) {
    let level = lookup("AWS_LAMBDA_LOG_LEVEL")
        .and_then(|text| text.parse::<Level>().ok())
        .unwrap_or(Level::INFO);
    // A second call, in a test, keeps the first subscriber.
    let lines = JsonLines::new(level, lookup("STACK_NAME"), write_to_stdout);
    let _ = tracing::subscriber::set_global_default(lines);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

/// One system call for one line. A line that cannot be written is lost, the webhook is not.
fn write_to_stdout(line: &[u8]) {
    let _ = io::stdout().lock().write_all(line);
}

/// A subscriber that makes each event a line: `timestamp` and `level`, under which Lambda looks for them, the
/// message, the event's fields, and `target`. If some of the fields are metrics, CloudWatch is told so in the same line.
/// Spans are not kept: nothing here reads them, and each would cost a
/// request some microseconds. That is why it stands in for `tracing-subscriber`, see docs/decisions/0011.
#[derive(Debug)]
pub struct JsonLines<W> {
    level: LevelFilter,
    stack: Option<String>,
    write: W,
}

impl<W: Fn(&[u8])> JsonLines<W> {
    /// Lines of this project's crates at `level` and above, of all others at `WARN` and above, and lines with metrics at
    /// any level, so that no alarm hangs on how much is logged. The metrics are those of `stack`. `write` gets each line with its newline.
    pub const fn new(level: Level, stack: Option<String>, write: W) -> Self {
        Self {
            level: LevelFilter::from_level(level),
            stack,
            write,
        }
    }

    fn shown(&self, target: &str) -> LevelFilter {
        let package = target.split("::").next().unwrap_or_default();
        if OURS.contains(&package) {
            self.level
        } else {
            self.level.min(LevelFilter::WARN)
        }
    }
}

impl<W: Fn(&[u8]) + 'static> Subscriber for JsonLines<W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_shown = *metadata.level() <= self.shown(metadata.target());
        metadata.is_event() && (is_shown || has_metrics(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Lines with metrics are at this level or above.
        Some(self.level.max(LevelFilter::INFO))
    }

    fn event(&self, event: &Event<'_>) {
        if let Ok(line) = line(event, self.stack.as_deref()) {
            (self.write)(&line);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn has_metrics(metadata: &Metadata<'_>) -> bool {
    metadata
        .fields()
        .iter()
        .any(|field| metric_of(field.name()).is_some())
}

fn line(event: &Event<'_>, stack: Option<&str>) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = Vec::with_capacity(LINE_BYTES);
    let mut json = serde_json::Serializer::new(&mut line);
    let mut fields = Fields {
        map: json.serialize_map(None)?,
        metrics: Vec::new(),
        failure: None,
    };
    let now_ms = SystemClock.now_ms().as_millis();
    fields.put("timestamp", &rfc3339(now_ms));
    fields.put("level", event.metadata().level().as_str());
    event.record(&mut fields);
    fields.put("target", event.metadata().target());
    if let Some(stack) = stack.filter(|_| !fields.metrics.is_empty()) {
        let directives = Directives::of(&fields.metrics, now_ms);
        fields.put(STACK, stack);
        fields.put("_aws", &directives);
    }
    if let Some(error) = fields.failure {
        return Err(error);
    }
    fields.map.end()?;
    line.push(b'\n');
    Ok(line)
}

fn rfc3339(ms: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// Writes an event's fields as entries of an object.
struct Fields<M: SerializeMap> {
    map: M,
    metrics: Vec<&'static Metric>,
    failure: Option<M::Error>,
}

impl<M: SerializeMap> Fields<M> {
    fn put(&mut self, name: &str, value: &(impl serde::Serialize + ?Sized)) {
        if let Err(error) = self.map.serialize_entry(name, value) {
            self.failure = Some(error);
        }
    }

    fn put_number(&mut self, name: &str, value: &impl serde::Serialize) {
        self.metrics.extend(metric_of(name));
        self.put(name, value);
    }
}

impl<M: SerializeMap> Visit for Fields<M> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put_number(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put_number(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put_number(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), &format!("{value:?}"));
    }
}

/// How a function's process ends: an error is logged with its message, which names what to mend, and not as the
/// type that `main` would print.
pub fn exit_code(outcome: Result<(), Box<dyn Error + Send + Sync>>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "the function cannot run");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    /// What is written while `work` is done.
    fn written(level: Level, work: impl FnOnce()) -> Vec<Value> {
        written_by(level, Some("a-stack"), work)
    }

    fn written_by(level: Level, stack: Option<&str>, work: impl FnOnce()) -> Vec<Value> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        let subscriber = JsonLines::new(level, stack.map(str::to_owned), move |line: &[u8]| {
            assert_eq!(line.last(), Some(&b'\n'));
            into.lock()
                .unwrap()
                .push(serde_json::from_slice(line).unwrap());
        });
        tracing::subscriber::with_default(subscriber, work);
        Arc::into_inner(lines).unwrap().into_inner().unwrap()
    }

    #[test]
    fn an_event_is_one_flat_object_with_what_lambda_looks_for() {
        let lines = written(Level::INFO, || {
            let nothing = None::<&str>;
            tracing::warn!(count = 3_u64, is_new = true, error = %"a \"b\"", nothing, "said {}", 1);
        });

        let mut line = lines[0].clone();
        let timestamp = line["timestamp"].take();
        assert!(OffsetDateTime::parse(timestamp.as_str().unwrap(), &Rfc3339).is_ok());
        assert_eq!(
            line,
            json!({
                "timestamp": null, "level": "WARN", "message": "said 1", "count": 3, "is_new": true,
                "error": "a \"b\"", "target": "aws::logging::tests",
            })
        );
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn of_other_crates_only_warnings_are_shown_and_of_none_what_is_below_the_level() {
        let lines = written(Level::INFO, || {
            tracing::debug!("ours, below the level");
            tracing::info!("ours");
            tracing::info!(target: "aws_smithy_runtime::client", "what may be in a request");
            tracing::warn!(target: "aws_smithy_runtime::client", "theirs");
        });
        let said: Vec<_> = lines.iter().map(|line| &line["message"]).collect();
        assert_eq!(said, ["ours", "theirs"]);

        let lines = written(Level::ERROR, || {
            tracing::warn!(target: "hyper", "theirs, below the level");
            tracing::error!("ours");
        });
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn a_span_is_no_line_and_hides_none() {
        let lines = written(Level::INFO, || {
            tracing::info_span!("a span").in_scope(|| tracing::info!("within"));
        });
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn fields_that_are_metrics_are_named_to_cloudwatch_by_their_dimensions() {
        let log = || {
            tracing::info!(
                provider = "armada",
                Accepted = 1_u64,
                RecordMs = 2_u64,
                "kept"
            )
        };

        let mut line = written(Level::INFO, log)[0].clone();

        assert!(line["_aws"]["Timestamp"].take().is_u64());
        let expected = json!([
            { "Namespace": "DeliveryWebhooks", "Dimensions": [["stack"]], "Metrics": [{ "Name": "RecordMs", "Unit": "Milliseconds" }] },
            { "Namespace": "DeliveryWebhooks", "Dimensions": [["stack", "provider"]], "Metrics": [{ "Name": "Accepted", "Unit": "Count" }] },
        ]);
        assert_eq!(line["_aws"]["CloudWatchMetrics"], expected);
        assert_eq!(
            (&line["stack"], &line["Accepted"], &line["RecordMs"]),
            (&json!("a-stack"), &json!(1), &json!(2))
        );

        let without_stack = &written_by(Level::INFO, None, log)[0];
        assert!(without_stack["_aws"].is_null());
        assert_eq!(without_stack["Accepted"], 1);
    }

    #[test]
    fn metrics_do_not_depend_on_the_level() {
        let lines = written(Level::ERROR, || {
            tracing::info!(Applied = 1_u64, "a metric");
            tracing::info!("no metric");
        });
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn a_field_that_is_not_there_is_no_metric() {
        let lines = written(Level::INFO, || {
            tracing::info!(Duplicate = None::<u64>, "nothing counted");
        });
        assert!(lines[0]["_aws"].is_null());
    }
}
