//! The figures for a terminal.

use std::fmt;

use super::figures::{Promise, Span};
use super::told::{Rate, Told, ToldGroup};
use crate::table;

/// Most merchants, and most drivers, that a terminal gets.
const MOST_SHOWN: usize = 20;

/// What is said when there is nothing to say.
pub(super) const NOTHING: &str = "No order had its first event in this time.";

/// How the milestones of a span are called.
pub(super) const fn title(span: Span) -> &'static str {
    match span {
        Span::AssignedToPickup => "From assignment to pickup",
        Span::PickupToDelivery => "From pickup to delivery",
        Span::AssignedToDelivery => "From assignment to delivery",
    }
}

/// How a promise is called.
pub(super) const fn promised(promise: Promise) -> &'static str {
    match promise {
        Promise::Pickup => "Pickups against the promised time",
        Promise::Delivery => "Deliveries against the promised time",
    }
}

/// Hours, minutes and seconds; a dash where there is no duration.
pub(super) fn duration(seconds: Option<u64>) -> String {
    seconds.map_or_else(
        || "-".to_owned(),
        |it| format!("{}:{:02}:{:02}", it / 3_600, it / 60 % 60, it % 60),
    )
}

/// A dash where there is none.
pub(super) fn rate(rate: Option<Rate>) -> String {
    rate.map_or_else(|| "-".to_owned(), Rate::percent)
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.extent.words())?;
        if self.all.orders == 0 {
            return writeln!(f, "{NOTHING}");
        }
        let groups = self.shown();
        writeln!(f, "Orders\n\n{}", outcomes(&groups))?;
        writeln!(
            f,
            "Shares of the orders that are closed\n\n{}",
            shares(&groups)
        )?;
        writeln!(
            f,
            "Orders that went another way than forward\n\n{}",
            reversals(&groups)
        )?;
        for span in Span::ALL {
            writeln!(f, "{}\n\n{}", title(span), durations(&groups, span))?;
        }
        for promise in Promise::ALL {
            writeln!(
                f,
                "{}\n\n{}",
                promised(promise),
                punctuality(&groups, promise)
            )?;
        }
        for (what, all) in [("merchants", &self.merchants), ("drivers", &self.drivers)] {
            if let Some(more) = all.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
                writeln!(f, "{more} more {what}: --csv, --html and --json tell all")?;
            }
        }
        Ok(())
    }
}

impl Told {
    fn shown(&self) -> Vec<&ToldGroup> {
        let all = std::iter::once(&self.all).chain(&self.providers);
        let merchants = self.merchants.iter().take(MOST_SHOWN);
        let drivers = self.drivers.iter().take(MOST_SHOWN);
        all.chain(merchants).chain(drivers).collect()
    }
}

/// A table with a row for each group, under these heads.
fn rows<const COLUMNS: usize>(
    groups: &[&ToldGroup],
    heads: [&str; COLUMNS],
    cells: impl Fn(&ToldGroup) -> [String; COLUMNS],
) -> String {
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(groups.iter().map(|group| cells(group)));
    table::align_numbers("  ", &rows)
}

fn outcomes(groups: &[&ToldGroup]) -> String {
    let heads = [
        "",
        "orders",
        "delivered",
        "failed",
        "canceled",
        "returned",
        "under way",
        "no status",
    ];
    rows(groups, heads, |it| {
        [
            it.whose.label(),
            it.orders.to_string(),
            it.delivered.to_string(),
            it.failed.to_string(),
            it.canceled.to_string(),
            it.returned.to_string(),
            it.under_way.to_string(),
            it.without_status.to_string(),
        ]
    })
}

fn shares(groups: &[&ToldGroup]) -> String {
    let heads = ["", "completed", "failed", "canceled"];
    rows(groups, heads, |it| {
        [
            it.whose.label(),
            rate(it.completion_rate),
            rate(it.failure_rate),
            rate(it.cancellation_rate),
        ]
    })
}

fn reversals(groups: &[&ToldGroup]) -> String {
    let heads = [
        "",
        "orders",
        "steps backward",
        "reopened",
        "corrected",
        "beyond the bound",
    ];
    rows(groups, heads, |it| {
        [
            it.whose.label(),
            it.reversed.to_string(),
            it.backward.to_string(),
            it.reopened.to_string(),
            it.corrected.to_string(),
            it.standing_still.to_string(),
        ]
    })
}

fn durations(groups: &[&ToldGroup], span: Span) -> String {
    let heads = ["", "orders", "p50", "p90", "p99", "skipped", "out of order"];
    rows(groups, heads, |group| {
        let it = group.durations(span);
        [
            group.whose.label(),
            it.orders.to_string(),
            duration(it.p50_seconds),
            duration(it.p90_seconds),
            duration(it.p99_seconds),
            it.skipped.to_string(),
            it.out_of_order.to_string(),
        ]
    })
}

fn punctuality(groups: &[&ToldGroup], promise: Promise) -> String {
    let heads = [
        "",
        "on time",
        "late",
        "no promise",
        "on-time rate",
        "late by p50",
        "p90",
        "p99",
    ];
    rows(groups, heads, |group| {
        let it = group.punctuality(promise);
        [
            group.whose.label(),
            it.on_time.to_string(),
            it.late.to_string(),
            it.no_promise.to_string(),
            rate(it.on_time_rate),
            duration(it.late_by_p50_seconds),
            duration(it.late_by_p90_seconds),
            duration(it.late_by_p99_seconds),
        ]
    })
}
