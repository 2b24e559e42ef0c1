//! The board in a real browser: webhooks are sent, and the page is looked at and used with its keys.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use domain::Provider;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::Webhook;

use crate::browser::{Browser, DESK, PHONE};
use crate::stack::{Merchant, Stack};
use crate::tests;
use crate::webhooks::answered;

tests![
    a_webhook_moves_its_order_on_the_board_and_the_timeline_says_why,
    what_is_set_aside_is_explained_on_the_board_with_the_command_that_deals_with_it,
    the_board_says_that_its_connection_is_lost_and_recovers_by_itself,
    the_board_fits_a_phone_and_the_night,
];

/// `hookctl board`, as an operator runs it.
pub(crate) struct Served {
    hookctl: Child,
    url: String,
}

impl Served {
    pub(crate) fn start(stack: &Stack, merchant: &Merchant<'_>, port: &str) -> Self {
        let mut hookctl = stack
            .hookctl()
            .args(["board", "--json", "--interval=1", "--read-units=100000"])
            .args(["--port", port, "--merchant", merchant.id.as_str()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(hookctl.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let url = said["url"].as_str().unwrap().to_owned();
        Self { hookctl, url }
    }

    fn port(&self) -> &str {
        self.url.trim_end_matches('/').rsplit(':').next().unwrap()
    }

    /// Ends it as Ctrl-C does; its exit code.
    fn interrupt(mut self) -> Option<i32> {
        let id = Pid::from_child(&self.hookctl);
        kill_process(id, Signal::INT).unwrap();
        self.hookctl.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.hookctl.kill();
        let _ = self.hookctl.wait();
    }
}

/// A browser on the board of one merchant.
pub(crate) fn browser_on(served: &Served, name: &str) -> Browser {
    let browser = Browser::start(&format!("board-{name}"));
    browser.resize(DESK);
    browser.prefer("light");
    browser.open(&served.url);
    browser.until("document.querySelector('#reading')?.className === 'live'");
    browser
}

fn armada(order: &str, status: &str, id: &str, minute: u32) -> Webhook {
    let body = json!({
        "code": order, "status": status, "delivery_fee": 1.25, "currency": "KWD",
        "driver": { "name": "Fahad Fictional", "phone": "00000142" },
    });
    let sent_at = format!("2026-01-07T20:{minute:02}:01.000Z");
    testkit::armada("order.updated", id, &sent_at, body.to_string())
}

fn shipday(order: u64, number: &str, event: &str, status: &str, at_ms: u64) -> Webhook {
    let body = json!({
        "timestamp": at_ms, "event": event, "order_status": status,
        "order": { "id": order, "order_number": number },
        "carrier": { "id": 5071, "name": "Dana Driver", "phone": "+12025550163" },
    });
    testkit::shipday(body.to_string())
}

fn send(merchant: &Merchant<'_>, webhook: Webhook) {
    answered(&merchant.send(webhook), 200, "accepted");
}

/// Whether the order is in the column of this status.
fn is_in(order: &str, status: &str) -> String {
    format!(
        "[...document.querySelectorAll('.status')].some((it) => it.querySelector('h3').textContent.startsWith({}) \
         && [...it.querySelectorAll('.id')].some((id) => id.textContent === {}))",
        json!(status),
        json!(order)
    )
}

fn a_webhook_moves_its_order_on_the_board_and_the_timeline_says_why(stack: &Stack) {
    let merchant = stack.merchant("board-moves");
    send(&merchant, armada("MOVES-1", "accepted", "wh_1", 1));
    merchant.order_with(1, Provider::Armada, "MOVES-1");
    let served = Served::start(stack, &merchant, "0");
    let browser = browser_on(&served, "moves");
    browser.until(&is_in("MOVES-1", "assigned"));
    assert!(!browser.text("#orders").contains("Fahad"));
    assert!(browser.text("#orders").contains("F***, ***42"));

    // Somebody stands on it with the keyboard, filters for it and opens it.
    browser.press(&[
        "j", "j", "j", "k", "k", "/", "v", "e", "s", "-", "1", "Enter",
    ]);
    assert_eq!(
        browser.evaluate("document.querySelector('#filter').value"),
        "ves-1"
    );
    browser.until("document.activeElement.dataset.item === 'order board-moves#armada#MOVES-1'");
    send(&merchant, armada("MOVES-1", "completed", "wh_2", 5));
    browser.until(&is_in("MOVES-1", "delivered"));
    assert_eq!(browser.evaluate(&is_in("MOVES-1", "assigned")), false);
    browser.until("document.activeElement.dataset.item === 'order board-moves#armada#MOVES-1'");
    browser.until("document.querySelector('#said').textContent.includes('MOVES-1: delivered')");

    browser.press(&["Enter"]);
    browser.until("document.querySelectorAll('.timeline li').length === 2");
    let timeline = browser.text(".timeline");
    assert!(
        timeline.contains("applied (forward): assigned -> delivered"),
        "{timeline}"
    );
    // What is late is explained while the timeline is open.
    send(&merchant, armada("MOVES-1", "en_route", "wh_3", 6));
    browser.until("document.querySelectorAll('.timeline li').length === 3");
    let timeline = browser.text(".timeline");
    assert!(
        timeline.contains("not applied: delivered is final"),
        "{timeline}"
    );
    let panel = browser.text("#panel");
    assert!(
        panel.contains("order show board-moves armada MOVES-1"),
        "{panel}"
    );
    assert!(!panel.contains("Fahad") && !panel.contains("00000142"));
    browser.screenshot("timeline");

    browser.press(&["Escape"]);
    browser.until("document.querySelector('#panel').hidden");
    browser.until("document.activeElement.dataset.item === 'order board-moves#armada#MOVES-1'");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(served.interrupt(), Some(0));
}

fn what_is_set_aside_is_explained_on_the_board_with_the_command_that_deals_with_it(stack: &Stack) {
    let merchant = stack.merchant("board-aside");
    let served = Served::start(stack, &merchant, "0");
    let browser = browser_on(&served, "aside");
    browser.until(
        "document.querySelector('#orders-note').textContent === 'no order in the last 24 h'",
    );
    // A provider's text is a text, whatever it looks like.
    let markup = "<img src=x onerror=\"document.title='owned'\">";
    send(
        &merchant,
        shipday(
            77,
            markup,
            "ORDER_ASSIGNED",
            "NOT_STARTED_YET",
            1_767_816_000_000,
        ),
    );
    merchant.order_with(1, Provider::Shipday, "77");
    send(&merchant, armada("ASIDE-1", "accepted", "wh_1", 1));
    send(&merchant, armada("ASIDE-1", "teleported", "wh_2", 2));

    browser.until("document.querySelector('#waiting-unmapped b').textContent === '1'");
    browser.until(&is_in("ASIDE-1", "assigned"));
    browser.until(&format!(
        "document.querySelector('#orders').textContent.includes({})",
        json!(markup)
    ));
    assert_eq!(browser.evaluate("document.images.length"), 0);
    browser.evaluate("document.querySelector('#waiting-unmapped summary').focus()");
    browser.press(&["Enter"]);
    browser.until("document.querySelector('#waiting-unmapped').open");
    let group = browser.text("#waiting-unmapped");
    for part in [
        "unmapped: unknown_status `teleported`",
        "webhook replay --state unmapped --merchant board-aside --yes",
    ] {
        assert!(group.contains(part), "{part}: {group}");
    }
    browser.screenshot("unmapped");

    // The order says it too, and leads to the webhook with what a replay would do.
    browser.evaluate("[...document.querySelectorAll('.item')].find((it) => it.dataset.item?.endsWith('armada#ASIDE-1')).click()");
    browser.until("document.querySelector('.set-aside') !== null");
    let aside = browser.text(".set-aside");
    let key = "board-aside#order.updated#wh_2";
    for part in [
        "unmapped: unknown_status `teleported`".to_owned(),
        "add the word to the mapping".to_owned(),
        format!("webhook replay 'armada#{key}'"),
        format!("webhook close 'armada#{key}' --reason REASON"),
        format!("--stack-name {}", stack.stack_name()),
    ] {
        assert!(aside.contains(&part), "{part}: {aside}");
    }
    browser.screenshot("set-aside");
    // The last command of it, by the keyboard alone.
    browser.allow_clipboard(&served.url);
    browser.evaluate("document.querySelector('.set-aside .link').focus()");
    browser.press(&["Tab", "Tab", "Tab", "Enter"]);
    browser.until("document.querySelector('#said').textContent === 'copied'");
    let copied = browser.evaluate("navigator.clipboard.readText()");
    let close = format!("webhook close 'armada#{key}' --reason REASON");
    assert!(copied.as_str().unwrap().ends_with(&close), "{copied}");
    browser.evaluate("document.querySelector('.set-aside .link').click()");
    browser.until("document.querySelector('#panel .facts')?.innerText.includes('reads as')");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

fn the_board_says_that_its_connection_is_lost_and_recovers_by_itself(stack: &Stack) {
    let merchant = stack.merchant("board-lost");
    let served = Served::start(stack, &merchant, "0");
    let port = served.port().to_owned();
    let browser = browser_on(&served, "lost");

    assert_eq!(served.interrupt(), Some(0));

    browser.until(
        "document.querySelector('#trouble').textContent.startsWith('hookctl does not answer')",
    );
    browser.screenshot("lost");
    let _again = Served::start(stack, &merchant, &port);
    browser.until("document.querySelector('#trouble').hidden");
    send(&merchant, armada("LOST-1", "accepted", "wh_1", 1));
    browser.until(&is_in("LOST-1", "assigned"));
}

fn the_board_fits_a_phone_and_the_night(stack: &Stack) {
    let merchant = stack.merchant("board-full");
    let statuses = [
        "pending",
        "dispatched",
        "en_route",
        "completed",
        "failed",
        "canceled",
    ];
    for (n, status) in statuses.iter().cycle().take(15).enumerate() {
        let (order, minute) = (format!("7F3A09C2{n:02}"), u32::try_from(n).unwrap());
        send(
            &merchant,
            armada(&order, status, &format!("wh_{n}"), minute),
        );
    }
    send(&merchant, armada("7F3A09C200", "teleported", "wh_90", 40));
    assert_eq!(merchant.send(testkit::shipday("{")).status, 400);
    let served = Served::start(stack, &merchant, "0");
    let browser = browser_on(&served, "full");
    browser.until("document.querySelectorAll('#orders .item').length === 15");
    // Not `innerWidth`: a phone's grows with what does not fit.
    let fits = |(width, _): (u32, u32)| {
        let needed = browser.evaluate("document.documentElement.scrollWidth");
        assert!(needed.as_u64() <= Some(width.into()), "{needed} of {width}");
    };
    for (scheme, size, name) in [
        ("light", DESK, "desk-light"),
        ("dark", DESK, "desk-dark"),
        ("dark", PHONE, "phone-dark"),
        ("light", PHONE, "phone-light"),
    ] {
        browser.prefer(scheme);
        browser.resize(size);
        fits(size);
        browser.screenshot(name);
    }
    browser.evaluate("for (const it of document.querySelectorAll('details')) it.open = true");
    fits(PHONE);
    browser.screenshot("phone-waiting");
    browser.evaluate("document.querySelector('#orders .badge').closest('.item').click()");
    browser.until("document.querySelector('.timeline li') !== null");
    fits(PHONE);
    browser.prefer("dark");
    browser.screenshot("phone-order-dark");
    browser.resize(DESK);
    browser.screenshot("desk-order-dark");
    browser.press(&["Escape", "?"]);
    browser.until("document.querySelector('#help').open");
    browser.screenshot("desk-help-dark");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
