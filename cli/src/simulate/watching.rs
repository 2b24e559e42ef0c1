//! Watches the `orders` table until every simulated order stands where the plan says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aws::OrdersTable;
use domain::{OrderKey, Orders as _};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use super::SimulateError;
use super::expectation::Outcome;
use super::plan::Plan;

/// How many orders are read at the same time.
const AT_ONCE: usize = 8;
/// Most discrepancies that are told one by one.
const EXAMPLES: usize = 100;

/// The orders whose webhooks have all been answered, and what was found of them.
#[derive(Debug)]
pub(super) struct Watch {
    plan: Arc<Plan>,
    table: OrdersTable,
    open: VecDeque<u32>,
    /// When an order was last found right, or there was none to look at.
    moved: Instant,
    findings: Findings,
}

/// What became of the orders.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) right: u32,
    pub(super) wrong: u32,
    pub(super) not_there: u32,
    pub(super) discrepancies: Vec<Discrepancy>,
}

/// An order that does not stand where it should.
#[derive(Debug)]
pub(super) struct Discrepancy {
    pub(super) order: OrderKey,
    pub(super) way: &'static str,
    pub(super) expected: Outcome,
    /// `None` where there is no state.
    pub(super) found: Option<Outcome>,
}

/// What a look at an order gave.
enum Look {
    Right,
    /// Not all of its events are in its state.
    Early(Discrepancy),
    /// All of its events are, and it is still something else: it will not change any more.
    Wrong(Discrepancy),
}

impl Watch {
    pub(super) fn new(plan: Arc<Plan>, table: OrdersTable) -> Self {
        Self {
            plan,
            table,
            open: VecDeque::new(),
            moved: Instant::now(),
            findings: Findings::default(),
        }
    }

    /// One order more to look at.
    pub(super) fn add(&mut self, order: u32) {
        self.open.push_back(order);
    }

    /// How many orders were found right so far.
    pub(super) const fn right(&self) -> u32 {
        self.findings.right
    }

    /// Whether every order was found right or wrong.
    pub(super) fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    /// How long no order has been found right.
    pub(super) fn stands_still_for(&self) -> Duration {
        self.moved.elapsed()
    }

    /// Waiting begins now: everything is sent.
    pub(super) fn begin_to_wait(&mut self) {
        self.moved = Instant::now();
    }

    /// Looks at no more than `most` of the open orders, those first that were not looked at for longest.
    pub(super) async fn look(&mut self, most: usize) -> Result<(), SimulateError> {
        let orders: Vec<u32> = self.open.drain(..most.min(self.open.len())).collect();
        for (order, look) in self.look_at(orders).await? {
            match look {
                Look::Right => {
                    self.findings.right += 1;
                    self.moved = Instant::now();
                }
                Look::Early(_) => self.open.push_back(order),
                Look::Wrong(discrepancy) => self.findings.add(discrepancy),
            }
        }
        Ok(())
    }

    /// Looks at every open order for the last time.
    pub(super) async fn end(mut self) -> Result<Findings, SimulateError> {
        let orders: Vec<u32> = self.open.drain(..).collect();
        for (_, look) in self.look_at(orders).await? {
            match look {
                Look::Right => self.findings.right += 1,
                Look::Early(discrepancy) | Look::Wrong(discrepancy) => {
                    self.findings.add(discrepancy);
                }
            }
        }
        Ok(self.findings)
    }

    async fn look_at(&self, orders: Vec<u32>) -> Result<Vec<(u32, Look)>, SimulateError> {
        stream::iter(orders)
            .map(|order| async move { Ok((order, self.look_at_one(order).await?)) })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn look_at_one(&self, order: u32) -> Result<Look, SimulateError> {
        let planned = self.plan.order(order)?;
        let state = self.table.read(&planned.key).await?.state;
        let found = state.as_ref().map(Outcome::of);
        let expected = planned.outcome;
        if found.as_ref() == Some(&expected) {
            return Ok(Look::Right);
        }
        let events = found.as_ref().map_or(0, |found| found.events);
        let is_early = events < expected.events;
        let discrepancy = Discrepancy {
            order: planned.key,
            way: planned.way,
            expected,
            found,
        };
        Ok(if is_early {
            Look::Early(discrepancy)
        } else {
            Look::Wrong(discrepancy)
        })
    }
}

impl Findings {
    fn add(&mut self, discrepancy: Discrepancy) {
        match discrepancy.found {
            Some(_) => self.wrong += 1,
            None => self.not_there += 1,
        }
        if self.discrepancies.len() < EXAMPLES {
            self.discrepancies.push(discrepancy);
        }
    }
}
