//! What a simulation says in the end.

use std::fmt;

use domain::{MerchantId, Provider};
use serde::Serialize;

use super::expectation::{Answered, Expected, Outcome};
use super::plan::Plan;
use super::tally::{Latency, Tally, Unexpected};
use super::watching::{Discrepancy, Findings};
use crate::table;

/// From this part of the wanted rate on, it counts as held: the last webhook may be a little late.
const HELD: f64 = 0.95;

/// The whole result.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) right: bool,
    seed: u32,
    merchant_id: MerchantId,
    orders: Orders,
    answers: Answers,
    rate: Rate,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_latency_ms: Option<Latency>,
}

#[derive(Debug, Serialize)]
struct Orders {
    simulated: u32,
    right: u32,
    wrong: u32,
    not_there: u32,
    /// The first hundred.
    discrepancies: Vec<DiscrepancyView>,
}

#[derive(Debug, Serialize)]
struct DiscrepancyView {
    order: String,
    provider: Provider,
    way: &'static str,
    expected: Outcome,
    found: Option<Outcome>,
    /// The name itself is nobody's business.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    another_driver: bool,
    explained_by: String,
}

/// Every answer, of repeated tries too.
#[derive(Debug, Serialize)]
struct Answers {
    accepted: u64,
    duplicate: u64,
    ignored: u64,
    unreadable_400: u64,
    refused_401: u64,
    throttled_429: u64,
    unavailable_5xx: u64,
    other: u64,
    none: u64,
    /// How many webhooks ended with an answer that was not the right one.
    unexpected: u64,
    /// The first twenty of them.
    examples: Vec<UnexpectedView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_failure: Option<String>,
}

#[derive(Debug, Serialize)]
struct UnexpectedView {
    order: String,
    expected: Expected,
    answered: String,
}

#[derive(Debug, Serialize)]
struct Rate {
    /// Each counted once, however often it was tried.
    webhooks: u64,
    wanted_per_second: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reached_per_second: Option<f64>,
    held: bool,
}

/// What went wrong, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(super) orders: u32,
    pub(super) answers: u64,
}

impl Verdict {
    pub(super) fn new(
        plan: &Plan,
        tally: &Tally,
        findings: Findings,
        wanted_per_second: u32,
        stack_name: Option<&str>,
    ) -> Self {
        let scenario = plan.scenario();
        let reached = tally.reached_rate();
        let mut verdict = Self {
            right: false,
            seed: scenario.seed,
            merchant_id: scenario.merchant.clone(),
            orders: Orders {
                simulated: scenario.orders,
                right: findings.right,
                wrong: findings.wrong,
                not_there: findings.not_there,
                discrepancies: findings
                    .discrepancies
                    .into_iter()
                    .map(|it| DiscrepancyView::new(it, stack_name))
                    .collect(),
            },
            answers: Answers::new(plan, tally),
            rate: Rate {
                webhooks: tally.sent(),
                wanted_per_second,
                reached_per_second: reached,
                held: reached.is_none_or(|it| it >= f64::from(wanted_per_second) * HELD),
            },
            answer_latency_ms: tally.latency(),
        };
        verdict.right = verdict.faults().is_none();
        verdict
    }

    /// What was not as it should be, if anything was. A rate that was not held is no fault of the system.
    pub(super) fn faults(&self) -> Option<Faults> {
        let faults = Faults {
            orders: self.orders.simulated - self.orders.right,
            answers: self.answers.unexpected,
        };
        (faults.orders > 0 || faults.answers > 0).then_some(faults)
    }
}

impl Answers {
    fn new(plan: &Plan, tally: &Tally) -> Self {
        let is_other = |answered: &Answered| matches!(answered, Answered::Other(_));
        let others = tally.answers().iter().filter(|(it, _)| is_other(it));
        Self {
            accepted: tally.count(Answered::Accepted),
            duplicate: tally.count(Answered::Duplicate),
            ignored: tally.count(Answered::Ignored),
            unreadable_400: tally.count(Answered::Unreadable),
            refused_401: tally.count(Answered::Refused),
            throttled_429: tally.count(Answered::Throttled),
            unavailable_5xx: tally.count(Answered::Unavailable),
            other: others.map(|(_, count)| count).sum(),
            none: tally.count(Answered::Nothing),
            unexpected: tally.unexpected(),
            examples: tally
                .examples()
                .iter()
                .map(|it| UnexpectedView::new(plan, it))
                .collect(),
            first_failure: tally.failure().map(str::to_owned),
        }
    }

    fn rows(&self) -> Vec<[String; 2]> {
        [
            ("200 accepted", self.accepted),
            ("200 duplicate", self.duplicate),
            ("200 ignored", self.ignored),
            ("400", self.unreadable_400),
            ("401", self.refused_401),
            ("429, sent again", self.throttled_429),
            ("5xx, sent again", self.unavailable_5xx),
            ("any other", self.other),
            ("none, sent again", self.none),
            ("not the right one", self.unexpected),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| [name.to_owned(), count.to_string()])
        .collect()
    }
}

impl UnexpectedView {
    fn new(plan: &Plan, unexpected: &Unexpected) -> Self {
        let key = plan.order(unexpected.order).map(|order| order.key);
        Self {
            order: key.map_or_else(|_| unexpected.order.to_string(), |key| key.to_string()),
            expected: unexpected.expected,
            answered: unexpected.answered.to_string(),
        }
    }
}

impl DiscrepancyView {
    fn new(discrepancy: Discrepancy, stack_name: Option<&str>) -> Self {
        let Discrepancy {
            order,
            way,
            expected,
            found,
        } = discrepancy;
        let stack = stack_name.map_or_else(String::new, |name| format!("--stack-name {name} "));
        Self {
            explained_by: format!(
                "hookctl {stack}order show {} {} {}",
                order.merchant_id, order.provider, order.order_id
            ),
            another_driver: found
                .as_ref()
                .is_some_and(|found| found.driver != expected.driver),
            order: order.order_id.to_string(),
            provider: order.provider,
            way,
            expected,
            found,
        }
    }
}

// ---------------------------------------------------------------- for people

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.right { "Right" } else { "WRONG" };
        writeln!(
            f,
            "{word}: {} of {} orders of {} are as simulated (seed {})\n",
            self.orders.right, self.orders.simulated, self.merchant_id, self.seed
        )?;
        f.write_str(&table::align("  ", &self.facts()))?;
        writeln!(f, "\nAnswers\n")?;
        f.write_str(&table::align("  ", &self.answers.rows()))?;
        self.write_unexpected(f)?;
        self.write_discrepancies(f)
    }
}

impl Verdict {
    fn facts(&self) -> Vec<[String; 2]> {
        let Rate {
            webhooks,
            wanted_per_second,
            reached_per_second,
            held,
        } = self.rate;
        let mut facts = vec![["webhooks".to_owned(), webhooks.to_string()]];
        let mut add = |name: &str, value: String| facts.push([name.to_owned(), value]);
        if let Some(reached) = reached_per_second {
            let remark = if held {
                String::new()
            } else {
                format!(", {wanted_per_second} were wanted: not held")
            };
            add("rate", format!("{reached:.1} a second{remark}"));
        }
        if let Some(Latency { p50, p90, p99, max }) = self.answer_latency_ms {
            let latency =
                format!("p50 {p50:.1} ms, p90 {p90:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
            add("answered in", latency);
        }
        if self.orders.wrong > 0 {
            add("orders wrong", self.orders.wrong.to_string());
        }
        if self.orders.not_there > 0 {
            add("orders not there", self.orders.not_there.to_string());
        }
        facts
    }

    fn write_unexpected(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answers {
            examples,
            unexpected,
            first_failure,
            ..
        } = &self.answers;
        if !examples.is_empty() {
            writeln!(
                f,
                "\nNot the right answer ({} of {unexpected})\n",
                examples.len()
            )?;
            let rows: Vec<_> = examples
                .iter()
                .map(|it| {
                    let expected = format!("expected {}", it.expected);
                    [it.order.clone(), expected, format!("got {}", it.answered)]
                })
                .collect();
            f.write_str(&table::align("  ", &rows))?;
        }
        match first_failure {
            Some(failure) => writeln!(f, "\nThe first that was not answered: {failure}"),
            None => Ok(()),
        }
    }

    fn write_discrepancies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = &self.orders.discrepancies;
        if listed.is_empty() {
            return Ok(());
        }
        let all = self.orders.wrong + self.orders.not_there;
        writeln!(f, "\nNot as simulated ({} of {all})", listed.len())?;
        for it in listed {
            let found = match &it.found {
                Some(found) if it.another_driver => format!("{found}, another driver"),
                Some(found) => found.to_string(),
                None => "not there".to_owned(),
            };
            writeln!(f, "\n  {} at {}: {}", it.order, it.provider, it.way)?;
            writeln!(f, "    expected  {}", it.expected)?;
            writeln!(f, "    found     {found}")?;
            writeln!(f, "    {}", it.explained_by)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use domain::Status;
    use expect_test::expect;

    use super::super::plan::{Disturbances, Scenario};
    use super::*;

    fn plan() -> Arc<Plan> {
        let scenario = Scenario::demo(7, 3, Disturbances::NONE).unwrap();
        Arc::new(Plan::new(scenario).unwrap())
    }

    fn tally(plan: &Arc<Plan>, last: Answered) -> Tally {
        let mut tally = Tally::default();
        for (number, delivery) in plan.deliveries().enumerate() {
            tally.sends(Duration::from_millis(50 * number as u64));
            let is_last = number as u64 + 1 == plan.webhooks();
            let answered = match delivery.expected {
                _ if is_last => last,
                Expected::Stored => Answered::Accepted,
                Expected::Ignored => Answered::Ignored,
                Expected::Unreadable => Answered::Unreadable,
                Expected::Refused => Answered::Refused,
            };
            tally.answered(answered, Duration::from_micros(12_500), None);
            tally.ends(&delivery, answered);
        }
        tally
    }

    #[test]
    fn a_right_one_is_short() {
        let plan = plan();
        let findings = Findings {
            right: 3,
            ..Findings::default()
        };
        let verdict = Verdict::new(
            &plan,
            &tally(&plan, Answered::Duplicate),
            findings,
            20,
            None,
        );

        assert_eq!((verdict.right, verdict.faults()), (true, None));
        expect![[r#"
            Right: 3 of 3 orders of demo-merchant are as simulated (seed 7)

              webhooks     16
              rate         20.0 a second
              answered in  p50 12.5 ms, p90 12.5 ms, p99 12.5 ms, max 12.5 ms

            Answers

              200 accepted   12
              200 duplicate  1
              200 ignored    3
        "#]]
        .assert_eq(&verdict.to_string());
    }

    #[test]
    fn a_wrong_one_names_every_order_and_the_command_that_explains_it() {
        let plan = plan();
        let discrepancy = |number, found: Option<Outcome>| {
            let planned = plan.order(number).unwrap();
            Discrepancy {
                order: planned.key,
                way: planned.way,
                expected: planned.outcome,
                found,
            }
        };
        let found = Outcome {
            status: Some(Status::InTransit),
            reason: None,
            events: 2,
            driver: Some("Somebody Real".to_owned()),
        };
        let findings = Findings {
            right: 1,
            wrong: 1,
            not_there: 1,
            discrepancies: vec![discrepancy(0, Some(found)), discrepancy(1, None)],
        };
        let tally = tally(&plan, Answered::Unavailable);
        let verdict = Verdict::new(&plan, &tally, findings, 100, Some("prod"));

        let faults = Faults {
            orders: 2,
            answers: 1,
        };
        assert_eq!((verdict.right, verdict.faults()), (false, Some(faults)));
        let json = serde_json::to_string(&verdict).unwrap();
        assert!(!json.contains("Somebody") && !verdict.to_string().contains("Somebody"));
        expect![[r#"
            WRONG: 1 of 3 orders of demo-merchant are as simulated (seed 7)

              webhooks          16
              rate              20.0 a second, 100 were wanted: not held
              answered in       p50 12.5 ms, p90 12.5 ms, p99 12.5 ms, max 12.5 ms
              orders wrong      1
              orders not there  1

            Answers

              200 accepted       12
              200 ignored        3
              5xx, sent again    1
              not the right one  1

            Not the right answer (1 of 1)

              demo-merchant#shipday#900000000070000001  expected 200 accepted or duplicate  got 5xx

            Not as simulated (2 of 2)

              sim-7-0 at armada: delivered
                expected  delivered from 3 event(s)
                found     in_transit from 2 event(s), another driver
                hookctl --stack-name prod order show demo-merchant armada sim-7-0

              900000000070000001 at shipday: delivered
                expected  delivered from 6 event(s)
                found     not there
                hookctl --stack-name prod order show demo-merchant shipday 900000000070000001
        "#]]
        .assert_eq(&verdict.to_string());
    }
}
