//! What a report reads of the `orders` table: of an event only when it was, of a state what figures are made of.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{EpochMillis, MerchantId, OrderKey, OrderState, PortError};

use super::{Item, OrdersTable, STATE, from_item};
use crate::error::port_error;
use crate::scan::{Page, Part, page, scan};

/// The attributes that are read. Those of a state that are left out are at their defaults.
const READ: &str = "pk, sk, #status, reversals, milestones, driver, schedule";

/// One item of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// Whose it is.
    pub order: OrderKey,
    /// What it says.
    pub item: ReportedItem,
}

/// What an item says to a report.
#[derive(Clone, Debug, PartialEq)]
pub enum ReportedItem {
    /// An event, of this time.
    Event(EpochMillis),
    /// The state: status, reversals, milestones, driver and schedule of it.
    State(Box<OrderState>),
    /// It cannot be read.
    Damaged,
}

impl OrdersTable {
    /// The items in a part of the table: an order's events, the earliest first, and behind them its state. The items of
    /// an order stand together, perhaps on two pages.
    ///
    /// # Errors
    /// When the table did not answer.
    pub async fn scan_reported(
        &self,
        merchants: &[MerchantId],
        part: Part<'_>,
    ) -> Result<Page<Reported>, PortError> {
        let mut request = scan(&self.client, &self.table, part)
            .projection_expression(READ)
            .expression_attribute_names("#status", "status");
        let names = (0..merchants.len()).map(|n| format!(":merchant{n}"));
        let names: Vec<String> = names.collect();
        if !names.is_empty() {
            let any = names.iter().map(|name| format!("begins_with(pk, {name})"));
            request = request.filter_expression(any.collect::<Vec<_>>().join(" OR "));
        }
        for (name, merchant) in names.into_iter().zip(merchants) {
            let beginning = AttributeValue::S(format!("{merchant}#"));
            request = request.expression_attribute_values(name, beginning);
        }
        let call = "orders scan";
        let answer = request.send().await;
        let answer = answer.map_err(|error| port_error(call, &error))?;
        page(call, answer, &["pk", "sk"], |item| reported(call, item))
    }
}

/// `None` for what is under no order's key.
fn reported(call: &'static str, item: Item) -> Option<Reported> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let order = OrderKey::parse(text("pk")?).ok()?;
    let sort_key = text("sk")?;
    let item = if sort_key == STATE {
        from_item(call, item).map_or(ReportedItem::Damaged, ReportedItem::State)
    } else {
        event_time(sort_key).map_or(ReportedItem::Damaged, ReportedItem::Event)
    };
    Some(Reported { order, item })
}

/// The time in a timeline's key, see [`domain::TimelineEntry::sort_key`].
fn event_time(sort_key: &str) -> Option<EpochMillis> {
    let millis = sort_key.strip_prefix("event#")?.split('#').next()?;
    millis.parse().ok().map(EpochMillis::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(sort_key: &str, more: Option<(&str, AttributeValue)>) -> Item {
        let mut item = Item::from([
            ("pk".to_owned(), AttributeValue::S("m#armada#1".to_owned())),
            ("sk".to_owned(), AttributeValue::S(sort_key.to_owned())),
        ]);
        item.extend(more.map(|(name, value)| (name.to_owned(), value)));
        item
    }

    fn read(item: Item) -> Option<ReportedItem> {
        reported("test", item).map(|it| it.item)
    }

    #[test]
    fn an_event_is_its_time_and_a_state_has_what_was_asked_for() {
        let status = AttributeValue::S("delivered".to_owned());
        let state = OrderState {
            status: Some(domain::Status::Delivered),
            ..OrderState::default()
        };

        assert_eq!(
            read(item("event#0000000000007#pending#wh_1", None)),
            Some(ReportedItem::Event(EpochMillis::new(7)))
        );
        assert_eq!(
            read(item(STATE, Some(("status", status)))),
            Some(ReportedItem::State(Box::new(state)))
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_and_what_is_no_order_is_left_out() {
        let status = AttributeValue::S("teleported".to_owned());
        let mut stranger = item(STATE, None);
        stranger.insert("pk".to_owned(), AttributeValue::S("m".to_owned()));

        assert_eq!(
            read(item(STATE, Some(("status", status)))),
            Some(ReportedItem::Damaged)
        );
        assert_eq!(read(item("event#soon", None)), Some(ReportedItem::Damaged));
        assert_eq!(read(stranger), None);
    }
}
