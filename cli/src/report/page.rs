//! The figures as one page that needs no other file and no network. Every number of a chart is also text, and every
//! text that came from outside is escaped.

use std::fmt::Write as _;

use super::figures::{Promise, Span};
use super::text::{NOTHING, duration, promised, rate, title};
use super::told::{Told, ToldGroup};

/// Most merchants, and most drivers, that a chart gets.
const MOST_IN_CHARTS: usize = 20;
/// Most merchants, and most drivers, that a table gets.
const MOST_IN_TABLES: usize = 500;
/// How many units a bar is wide; the browser stretches them to the page.
const WIDTH: u64 = 10_000;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(super) fn page(told: &Told) -> String {
    let body = if told.all.orders == 0 {
        format!("<p>{NOTHING}</p>\n")
    } else {
        [tiles(told), charts(told), tables(told)].concat()
    };
    let words = escaped(&told.extent.words());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{words}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>What became of the orders</h1>\n\
         <p class=\"quiet\">{words}. An order belongs to the time of its first event; times are UTC.</p>\n\
         {body}</main>\n</body>\n</html>\n"
    )
}

/// The text as text, in an element and in an attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

// ---------------------------------------------------------------- in short

fn tiles(told: &Told) -> String {
    let all = &told.all;
    let whole_way = all.durations(Span::AssignedToDelivery);
    let tiles = [
        ("Orders", all.orders.to_string()),
        ("Completed, of the closed", rate(all.completion_rate)),
        ("Failed, of the closed", rate(all.failure_rate)),
        (
            "Delivered on time, of the promised",
            rate(all.punctuality(Promise::Delivery).on_time_rate),
        ),
        ("Half are delivered within", duration(whole_way.p50_seconds)),
    ];
    let tiles = tiles.map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"));
    format!("<dl class=\"tiles\">\n{}</dl>\n", tiles.concat())
}

// ---------------------------------------------------------------- charts

/// A part of a bar: its class and name, from where to where it reaches, and its number in words.
struct Part {
    class: &'static str,
    from: u64,
    to: u64,
    words: String,
}

fn charts(told: &Told) -> String {
    let mut html = chart(
        told,
        "How orders end",
        "All orders of a group are a whole bar.",
        &[
            ("delivered", "delivered"),
            ("failed", "failed"),
            ("canceled", "canceled"),
            ("returned", "returned"),
            ("under-way", "under way"),
            ("without-status", "without status"),
        ],
        |group| (stacked(&outcome_parts(group)), None),
    );
    for span in Span::ALL {
        let longest = in_charts(told).filter_map(|(_, it)| it.durations(span).p99_seconds);
        let longest = longest.max().unwrap_or_default();
        html.push_str(&chart(
            told,
            title(span),
            &format!("A whole bar is {}.", duration(Some(longest))),
            &[
                ("p50", "half take at most"),
                ("p90", "nine of ten"),
                ("p99", "ninety-nine of a hundred"),
            ],
            |group| {
                let of = format!("of {} orders", group.durations(span).orders);
                (duration_parts(group, span, longest), Some(of))
            },
        ));
    }
    for promise in Promise::ALL {
        html.push_str(&chart(
            told,
            promised(promise),
            "All with a promised time are a whole bar.",
            &[("on-time", "on time"), ("late", "late")],
            |group| {
                let it = group.punctuality(promise);
                let counts = [
                    ("on-time", "on time", it.on_time),
                    ("late", "late", it.late),
                ];
                let unpromised = format!("no promise {}", it.no_promise);
                (stacked(&counts), Some(unpromised))
            },
        ));
    }
    html
}

fn in_charts(told: &Told) -> impl Iterator<Item = (&'static str, &ToldGroup)> {
    let all = std::iter::once(&told.all).chain(&told.providers);
    let merchants = told.merchants.iter().take(MOST_IN_CHARTS);
    let drivers = told.drivers.iter().take(MOST_IN_CHARTS);
    let all = all.map(|it| ("Providers", it));
    let merchants = merchants.map(|it| ("Merchants", it));
    all.chain(merchants)
        .chain(drivers.map(|it| ("Drivers", it)))
}

fn chart(
    told: &Told,
    title: &str,
    scale: &str,
    key: &[(&str, &str)],
    parts: impl Fn(&ToldGroup) -> (Vec<Part>, Option<String>),
) -> String {
    let mut html = format!("<section>\n<h2>{title}</h2>\n<p class=\"quiet\">{scale}</p>\n");
    html.push_str("<ul class=\"key\">\n");
    for (class, name) in key {
        let square = "<svg viewBox=\"0 0 1 1\" aria-hidden=\"true\"><rect width=\"1\" height=\"1\"";
        let _ = writeln!(html, "<li>{square} class=\"{class}\"/></svg>{name}</li>"); // writing to a String cannot fail
    }
    html.push_str("</ul>\n");
    let mut heading = "";
    for (of, group) in in_charts(told) {
        if of != heading {
            let _ = writeln!(html, "<h3>{of}</h3>");
            heading = of;
        }
        let (parts, remark) = parts(group);
        html.push_str(&bar(&escaped(&group.whose.name()), &parts, remark));
    }
    for (what, all) in [("merchants", &told.merchants), ("drivers", &told.drivers)] {
        html.push_str(&left_out(all.len(), MOST_IN_CHARTS, what));
    }
    html.push_str("</section>\n");
    html
}

/// A bar with its label, and its numbers in words, with what no part of the bar says behind them.
fn bar(label: &str, parts: &[Part], remark: Option<String>) -> String {
    let words = parts.iter().map(|part| part.words.clone());
    let words: Vec<String> = words.chain(remark).collect();
    let words = words.join(" · ");
    let rects = parts.iter().map(|part| {
        let (class, from, width) = (part.class, part.from, part.to.saturating_sub(part.from));
        let title = &part.words;
        format!(
            "<rect class=\"{class}\" x=\"{from}\" width=\"{width}\" height=\"10\"><title>{title}</title></rect>"
        )
    });
    let rects: String = rects.collect();
    format!(
        "<div class=\"bar\"><span class=\"label\">{label}</span>\
         <svg viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}: {words}\">{rects}</svg>\
         <span class=\"numbers\">{words}</span></div>\n"
    )
}

fn outcome_parts(group: &ToldGroup) -> [(&'static str, &'static str, u64); 6] {
    let [
        delivered,
        failed,
        canceled,
        returned,
        under_way,
        without_status,
    ] = group.outcomes();
    let part = |class, (name, count)| (class, name, count);
    [
        part("delivered", delivered),
        part("failed", failed),
        part("canceled", canceled),
        part("returned", returned),
        part("under-way", under_way),
        part("without-status", without_status),
    ]
}

/// Counts side by side, which fill the bar; those that are zero are left out.
fn stacked(counts: &[(&'static str, &'static str, u64)]) -> Vec<Part> {
    let whole: u64 = counts.iter().map(|(_, _, count)| count).sum();
    let mut before = 0;
    let mut parts = Vec::new();
    for (class, name, count) in counts.iter().filter(|(_, _, count)| *count > 0) {
        let from = before * WIDTH / whole;
        before += count;
        parts.push(Part {
            class,
            from,
            to: before * WIDTH / whole,
            words: format!("{name} {count}"),
        });
    }
    parts
}

/// The percentiles one behind the other: the half is in front of the nine of ten.
fn duration_parts(group: &ToldGroup, span: Span, longest: u64) -> Vec<Part> {
    let it = group.durations(span);
    let percentiles = [
        ("p50", it.p50_seconds),
        ("p90", it.p90_seconds),
        ("p99", it.p99_seconds),
    ];
    let mut before = 0;
    let mut parts = Vec::new();
    for (class, seconds) in percentiles {
        let Some(seconds) = seconds else { continue };
        let from = std::mem::replace(&mut before, seconds * WIDTH / longest.max(1));
        parts.push(Part {
            class,
            from,
            to: before,
            words: format!("{class} {}", duration(Some(seconds))),
        });
    }
    parts
}

// ---------------------------------------------------------------- tables

fn tables(told: &Told) -> String {
    let merchants = told.merchants.iter().take(MOST_IN_TABLES);
    let drivers = told.drivers.iter().take(MOST_IN_TABLES);
    let groups: Vec<&ToldGroup> = std::iter::once(&told.all)
        .chain(&told.providers)
        .chain(merchants)
        .chain(drivers)
        .collect();
    let mut html = "<section>\n<h2>All numbers</h2>\n".to_owned();
    html.push_str(&table("Orders", &groups, |it| {
        vec![
            ("orders", it.orders.to_string()),
            ("delivered", it.delivered.to_string()),
            ("failed", it.failed.to_string()),
            ("canceled", it.canceled.to_string()),
            ("returned", it.returned.to_string()),
            ("under way", it.under_way.to_string()),
            ("without status", it.without_status.to_string()),
            ("completion", rate(it.completion_rate)),
            ("failure", rate(it.failure_rate)),
            ("cancellation", rate(it.cancellation_rate)),
        ]
    }));
    html.push_str(&table("Another way than forward", &groups, |it| {
        vec![
            ("orders", it.reversed.to_string()),
            ("steps backward", it.backward.to_string()),
            ("reopened", it.reopened.to_string()),
            ("corrected", it.corrected.to_string()),
            ("beyond the bound", it.standing_still.to_string()),
        ]
    }));
    for span in Span::ALL {
        html.push_str(&table(title(span), &groups, |group| {
            let it = group.durations(span);
            vec![
                ("orders", it.orders.to_string()),
                ("p50", duration(it.p50_seconds)),
                ("p90", duration(it.p90_seconds)),
                ("p99", duration(it.p99_seconds)),
                ("skipped", it.skipped.to_string()),
                ("out of order", it.out_of_order.to_string()),
            ]
        }));
    }
    for promise in Promise::ALL {
        html.push_str(&table(promised(promise), &groups, |group| {
            let it = group.punctuality(promise);
            vec![
                ("on time", it.on_time.to_string()),
                ("late", it.late.to_string()),
                ("no promise", it.no_promise.to_string()),
                ("on-time rate", rate(it.on_time_rate)),
                ("late by p50", duration(it.late_by_p50_seconds)),
                ("p90", duration(it.late_by_p90_seconds)),
                ("p99", duration(it.late_by_p99_seconds)),
            ]
        }));
    }
    for (what, all) in [("merchants", &told.merchants), ("drivers", &told.drivers)] {
        html.push_str(&left_out(all.len(), MOST_IN_TABLES, what));
    }
    html.push_str("</section>\n");
    html
}

fn table(
    title: &str,
    groups: &[&ToldGroup],
    cells: impl Fn(&ToldGroup) -> Vec<(&'static str, String)>,
) -> String {
    let mut html = format!("<h3>{title}</h3>\n<div class=\"wide\"><table>\n");
    for (n, group) in groups.iter().enumerate() {
        let cells = cells(group);
        if n == 0 {
            let heads = cells
                .iter()
                .map(|(head, _)| format!("<th scope=\"col\">{head}</th>"));
            let heads: String = heads.collect();
            let _ = writeln!(html, "<thead><tr><th></th>{heads}</tr></thead>\n<tbody>");
        }
        let label = escaped(&group.whose.label());
        let cells: String = cells
            .iter()
            .map(|(_, value)| format!("<td>{value}</td>"))
            .collect();
        let _ = writeln!(html, "<tr><th scope=\"row\">{label}</th>{cells}</tr>");
    }
    html.push_str("</tbody>\n</table></div>\n");
    html
}

fn left_out(all: usize, most: usize, what: &str) -> String {
    match all.checked_sub(most) {
        None | Some(0) => String::new(),
        Some(more) => format!("<p class=\"quiet\">{more} more {what} are not shown here.</p>\n"),
    }
}

#[cfg(test)]
mod tests {
    use domain::{Driver, EpochMillis, OrderKey, OrderState, Status};

    use super::super::figures::Figures;
    use super::super::told::Extent;
    use super::*;

    fn order() -> OrderKey {
        OrderKey::parse("shop-1#shipday#1").unwrap()
    }

    fn extent() -> Extent {
        Extent {
            stack: "STACK".to_owned(),
            since: None,
            until: None,
            of_merchants: vec!["shop-1".to_owned()],
        }
    }

    fn told(names: &[&str]) -> Told {
        let mut figures = Figures::default();
        for name in names {
            let mut state = OrderState {
                status: Some(Status::Delivered),
                ..OrderState::default()
            };
            let (id, name) = (Some((*name).to_owned()), Some((*name).to_owned()));
            let phone = None;
            state.details.driver = Some(Driver { id, name, phone });
            figures.count(&order(), &state, 1).unwrap();
        }
        Told::new(extent(), &figures, true)
    }

    #[test]
    fn what_a_provider_sends_is_text_and_never_markup() {
        let page = page(&told(&[
            "<script>alert(1)</script>",
            "\" onload=\"x",
            "a&b'c",
        ]));

        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("\" onload"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("a&amp;b&#39;c"));
    }

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere() {
        let page = page(&told(&["7"]));

        for outside in [
            "http:", "https:", "src=", "href=", "url(", "@import", "<link",
        ] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn bars_fill_their_width_and_percentiles_stand_one_behind_the_other() {
        let parts = stacked(&[("a", "a", 1), ("b", "b", 0), ("c", "c", 2)]);
        let reach = |parts: &[Part]| -> Vec<(u64, u64)> {
            parts.iter().map(|part| (part.from, part.to)).collect()
        };

        assert_eq!(reach(&parts), [(0, 3_333), (3_333, 10_000)]);
        assert_eq!(stacked(&[("a", "a", 0)]).len(), 0, "nothing is no bar");

        let mut figures = Figures::default();
        for minutes in [1, 2, 4] {
            let at = |minutes: u64| EpochMillis::new(minutes * 60_000);
            let milestones = [(Status::Assigned, at(0)), (Status::Delivered, at(minutes))];
            let state = OrderState {
                milestones: milestones.into(),
                ..OrderState::default()
            };
            figures.count(&order(), &state, 1).unwrap();
        }
        let told = Told::new(extent(), &figures, true);
        let parts = duration_parts(&told.all, Span::AssignedToDelivery, 480);

        assert_eq!(reach(&parts), [(0, 2_500), (2_500, 5_000), (5_000, 5_000)]);
        assert_eq!(parts[1].words, "p90 0:04:00");
    }

    #[test]
    fn a_time_without_orders_is_said_in_a_sentence() {
        let page = page(&told(&[]));

        assert!(page.contains(NOTHING) && !page.contains("<table>"));
    }
}
