//! What a smoke test says: a line for each check, and a summary.

use std::cell::RefCell;
use std::fmt;

use domain::Provider;
use serde::Serialize;
use tokio::time::{Duration, Instant};

use super::check::{Advice, Check, Ended, Entry, Wrong};
use crate::output::{Output, OutputError};

/// Says how checks ended, and remembers it.
#[derive(Debug)]
pub(super) struct Report {
    output: Output,
    began: Instant,
    checks: RefCell<Vec<(Check, Verdict)>>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Passed,
    Failed,
    /// What it builds upon failed, or somebody stopped the command.
    NotTried,
}

impl Report {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            began: Instant::now(),
            checks: RefCell::default(),
        }
    }

    /// Says how a check ended; whether it was passed.
    pub(super) fn ended(
        &self,
        check: Check,
        took: Duration,
        result: Result<(), Ended>,
    ) -> Result<bool, OutputError> {
        let (verdict, wrong) = match result {
            Ok(()) => (Verdict::Passed, None),
            Err(Ended::Wrong(wrong)) => (Verdict::Failed, Some(wrong)),
            Err(Ended::Interrupted) => (Verdict::NotTried, None),
        };
        self.checks.borrow_mut().push((check, verdict));
        self.output.result(&Line {
            check: CheckView::new(check, verdict, took, wrong.as_ref()),
        })?;
        Ok(verdict == Verdict::Passed)
    }

    /// Says how all of them ended. The names of those that failed.
    pub(super) fn end(
        self,
        stack: &str,
        merchant: &str,
        left: Vec<Left>,
    ) -> Result<Vec<String>, OutputError> {
        let checks = self.checks.take();
        let names = |wanted: Verdict| {
            let fitting = checks.iter().filter(|(_, verdict)| *verdict == wanted);
            fitting.map(|(check, _)| check.to_string()).collect()
        };
        let summary = Summary {
            passed: checks.iter().all(|(_, it)| *it == Verdict::Passed),
            stack: stack.to_owned(),
            merchant_id: merchant.to_owned(),
            checks: checks.len(),
            failed: names(Verdict::Failed),
            not_tried: names(Verdict::NotTried),
            ms: millis(self.began.elapsed()),
            left,
        };
        let whole = Whole { summary };
        self.output.result(&whole)?;
        Ok(whole.summary.failed)
    }
}

#[derive(Serialize)]
struct Line {
    check: CheckView,
}

#[derive(Serialize)]
struct CheckView {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
    verdict: Verdict,
    ms: u64,
    #[serde(skip)]
    claim: &'static str,
    #[serde(flatten)]
    fault: Option<Fault>,
}

/// What is wrong, and what to do about it.
#[derive(Serialize)]
struct Fault {
    found: String,
    likely: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    runbook: Option<Entry>,
}

impl CheckView {
    fn new(check: Check, verdict: Verdict, took: Duration, wrong: Option<&Wrong>) -> Self {
        Self {
            name: check.name(),
            provider: check.provider(),
            verdict,
            ms: millis(took),
            claim: check.claim(),
            fault: wrong.map(|wrong| {
                let Advice { likely, entry } = wrong.advice();
                Fault {
                    found: wrong.to_string(),
                    likely,
                    runbook: entry,
                }
            }),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CheckView {
            provider,
            verdict,
            ms,
            claim,
            fault,
            ..
        } = &self.check;
        let provider = provider.map_or_else(String::new, |provider| format!("{provider}: "));
        match verdict {
            Verdict::Passed => write!(f, "ok      {ms:>7} ms  {provider}{claim}"),
            Verdict::Failed => write!(f, "FAILED  {ms:>7} ms  {provider}{claim}"),
            Verdict::NotTried => write!(f, "-                   {provider}{claim}: not tried"),
        }?;
        let Some(Fault {
            found,
            likely,
            runbook,
        }) = fault
        else {
            return Ok(());
        };
        write!(f, "\n          found   {found}\n          likely  {likely}")?;
        match runbook {
            Some(entry) => write!(f, "\n          see     docs/operations.md, {entry}"),
            None => Ok(()),
        }
    }
}

/// Something that could not be removed.
#[derive(Debug, Serialize)]
pub(super) struct Left {
    pub(super) what: String,
    /// Why, and what happens to it by itself.
    pub(super) why: String,
    /// What removes it.
    pub(super) command: String,
}

#[derive(Serialize)]
struct Whole {
    summary: Summary,
}

#[derive(Serialize)]
struct Summary {
    passed: bool,
    stack: String,
    merchant_id: String,
    checks: usize,
    failed: Vec<String>,
    not_tried: Vec<String>,
    ms: u64,
    left: Vec<Left>,
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            passed,
            stack,
            checks,
            failed,
            not_tried,
            ms,
            left,
            ..
        } = &self.summary;
        for Left { what, why, command } in left {
            writeln!(f, "\nleft: {what}\n  {why}\n  {command}")?;
        }
        if *passed {
            return write!(f, "\n{stack}: all {checks} checks passed in {ms} ms");
        }
        write!(
            f,
            "\n{stack}: of {checks} checks {} failed and {} were not tried, in {ms} ms",
            failed.len(),
            not_tried.len()
        )
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::check::NotApplied;
    use super::*;

    #[test]
    fn a_line_tells_what_was_found_and_where_to_read_on() {
        let wrong = Wrong::Record {
            count: 2,
            of: 5,
            state: NotApplied::Pending,
        };
        let lines = [
            (Check::OtherPath, Verdict::Passed, None),
            (
                Check::Records(Provider::Armada),
                Verdict::Failed,
                Some(&wrong),
            ),
            (Check::Order(Provider::Shipday), Verdict::NotTried, None),
        ];
        let shown = lines.map(|(check, verdict, wrong)| {
            let took = Duration::from_millis(1_234);
            let check = CheckView::new(check, verdict, took, wrong);
            Line { check }.to_string()
        });

        expect![[r#"
            ok         1234 ms  another path gets the gateway's 404
            FAILED     1234 ms  armada: its records are applied
                      found   2 of 5 records: pending
                      likely  order-consumer does not close what it applied
                      see     docs/operations.md, R5
            -                   shipday: the order stands where it must: not tried"#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn what_is_left_stands_above_the_last_line_with_its_command() {
        let left = Left {
            what: "the order m#armada#1, with its records".to_owned(),
            why: "its events are not applied yet; when the queue is empty:".to_owned(),
            command: "hookctl erase m armada 1 --timeline --yes".to_owned(),
        };
        let summary = Summary {
            passed: false,
            stack: "prod".to_owned(),
            merchant_id: "m".to_owned(),
            checks: 14,
            failed: vec!["order of armada".to_owned()],
            not_tried: vec!["records of armada".to_owned()],
            ms: 61_000,
            left: vec![left],
        };

        expect![[r#"

            left: the order m#armada#1, with its records
              its events are not applied yet; when the queue is empty:
              hookctl erase m armada 1 --timeline --yes

            prod: of 14 checks 1 failed and 1 were not tried, in 61000 ms"#]]
        .assert_eq(&Whole { summary }.to_string());
    }
}
