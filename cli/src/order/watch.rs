//! `hookctl order show --watch`: an order, and what changes in it.

use std::fmt;

use aws::OrdersTable;
use domain::{OrderKey, Status};
use serde::{Serialize, Serializer};

use super::{OrderError, OrderView, PersonalData, read};
use crate::arguments::Watching;
use crate::output::Output;
use crate::table;

/// Shows the order whenever it is not as before, until it is where it should get to or somebody presses Ctrl-C.
pub(super) async fn watch(
    table: &OrdersTable,
    key: &OrderKey,
    personal_data: PersonalData,
    options: &Watching,
    output: Output,
) -> Result<(), OrderError> {
    tokio::select! {
        reached = follow(table, key, personal_data, options, output) => reached,
        signal = tokio::signal::ctrl_c() => match (signal, options.until) {
            (Err(error), _) => Err(OrderError::Signal(error)),
            (Ok(()), Some(status)) => Err(OrderError::NotReached(status)),
            (Ok(()), None) => Ok(()),
        },
    }
}

async fn follow(
    table: &OrdersTable,
    key: &OrderKey,
    personal_data: PersonalData,
    options: &Watching,
    output: Output,
) -> Result<(), OrderError> {
    let mut before: Option<OrderView> = None;
    let mut is_told = false;
    loop {
        let now = read(table, key, personal_data).await?;
        let is_news = now != before;
        if let Some(view) = now.as_ref().filter(|_| is_news) {
            output.result(&Step {
                before: before.as_ref(),
                view,
            })?;
        }
        if options
            .until
            .is_some_and(|status| has_reached(now.as_ref(), status))
        {
            return Ok(());
        }
        // Not at once: the consumer saves the state a moment after it has put the event.
        if is_news {
            is_told = false;
        } else if !is_told {
            is_told = true;
            if let Some(note) = note(now.as_ref(), key) {
                output.message(note);
            }
        }
        before = now;
        tokio::time::sleep(options.interval).await;
    }
}

/// What is to be said of an order that stays as it is.
fn note(view: Option<&OrderView>, key: &OrderKey) -> Option<String> {
    match view {
        Some(view) => view.warning(),
        None => Some(format!("waiting: no event of {key} has been applied")),
    }
}

fn has_reached(view: Option<&OrderView>, status: Status) -> bool {
    let state = view.and_then(|view| view.state.as_ref());
    state.is_some_and(|it| it.status == Some(status) || it.milestones.contains_key(&status))
}

/// An order as it is now: whole for a program and at first, then only what is new.
struct Step<'a> {
    before: Option<&'a OrderView>,
    view: &'a OrderView,
}

impl Serialize for Step<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.view.serialize(serializer)
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.before {
            None => self.view.fmt(f),
            Some(before) => {
                f.write_str(&table::align("", &events_of(before, self.view)))?;
                f.write_str(&table::align("  ", &facts_of(before, self.view)))
            }
        }
    }
}

/// The events that are new (`+`), or count in another way than before (`~`).
fn events_of(before: &OrderView, now: &OrderView) -> Vec<[String; 4]> {
    let known = |it| before.timeline.iter().find(|old| old.is_same_event(it));
    let events = now.timeline.iter().filter_map(|it| match known(it) {
        None => Some(("+", it)),
        Some(old) if old != it => Some(("~", it)),
        Some(_) => None,
    });
    let rows = events.map(|(mark, it)| {
        let [at, words, decision] = it.row();
        [mark.to_owned(), at, words, decision]
    });
    rows.collect()
}

/// The facts that are new, that differ, or that are no more.
fn facts_of(before: &OrderView, now: &OrderView) -> Vec<[String; 3]> {
    let (old, new) = (before.facts(), now.facts());
    let of = |facts: &[[String; 2]], wanted: &str| {
        let fact = facts.iter().find(|[name, _]| name == wanted);
        fact.map(|[_, value]| value.clone())
    };
    let was = |value: Option<String>| value.map(|it| format!("was {it}")).unwrap_or_default();
    let changed = new.iter().filter(|fact| !old.contains(fact));
    let changed = changed.map(|[name, value]| [name.clone(), value.clone(), was(of(&old, name))]);
    let gone = old.iter().filter(|[name, _]| of(&new, name).is_none());
    let gone =
        gone.map(|[name, value]| [name.clone(), "none".to_owned(), was(Some(value.clone()))]);
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::tests::{entry, key, timeline};
    use super::*;

    fn view(statuses: &[(u64, &str)]) -> OrderView {
        let entries = statuses
            .iter()
            .map(|(minute, status)| entry(*minute, status));
        OrderView::new(&key(), timeline(entries.collect()), PersonalData::Masked)
    }

    #[test]
    fn only_what_is_new_is_shown_of_an_order_that_is_known() {
        let before = view(&[(0, "pending"), (6, "en_route")]);
        let late = view(&[(0, "pending"), (5, "completed"), (6, "en_route")]);
        let step = Step {
            before: Some(&before),
            view: &late,
        };

        expect![[r#"
            +  2026-01-07T20:05:00.000Z  completed  applied (forward): pending -> delivered
            ~  2026-01-07T20:06:00.000Z  en_route   not applied: delivered is final
              status    delivered                 was in_transit
              since     2026-01-07T20:05:00.000Z  was 2026-01-07T20:06:00.000Z
              revision  3, from 3 event(s)        was 2, from 2 event(s)
        "#]]
        .assert_eq(&step.to_string());
    }

    #[test]
    fn a_fact_that_is_no_more_is_said() {
        let before = view(&[(0, "pending")]);
        let unsaved = domain::Timeline {
            entries: vec![entry(0, "pending")],
            ..domain::Timeline::default()
        };
        let now = OrderView::new(&key(), unsaved, PersonalData::Masked);
        let step = Step {
            before: Some(&before),
            view: &now,
        };

        // A first line without a margin, which would be taken off all others.
        expect![[r#"
            |
              status    not saved yet  was pending
              events    1
              since     none           was 2026-01-07T20:00:00.000Z
              revision  none           was 1, from 1 event(s)
              driver    none           was A***, ***09
        "#]]
        .assert_eq(&format!("|\n{step}"));
    }

    #[test]
    fn a_status_is_reached_also_when_it_has_been_passed() {
        let on_the_way = view(&[(0, "pending"), (6, "en_route")]);

        assert!(has_reached(Some(&on_the_way), Status::Pending));
        assert!(!has_reached(Some(&on_the_way), Status::Delivered));
        assert!(!has_reached(None, Status::Pending));
    }
}
