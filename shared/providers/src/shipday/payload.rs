//! The body of an order update, in Shipday's spelling. Only fields we use; all of them optional and of any
//! type; the customer (`delivery_details`) is not even looked at.

use serde::Deserialize;

use crate::lenient_json::Field;

#[derive(Deserialize)]
pub(super) struct Update<'a> {
    /// The event's own time.
    #[serde(borrow)]
    pub(super) timestamp: Field<'a>,
    #[serde(borrow)]
    pub(super) event: Field<'a>,
    /// The order's status after the event. At the top level, not under `order`.
    #[serde(borrow)]
    pub(super) order_status: Field<'a>,
    #[serde(borrow)]
    pub(super) order: Field<'a>,
    #[serde(borrow)]
    pub(super) company: Field<'a>,
    #[serde(borrow)]
    pub(super) carrier: Field<'a>,
    #[serde(rename = "thirdPartyDeliveryOrder", borrow)]
    pub(super) third_party: Field<'a>,
}

#[derive(Default, Deserialize)]
pub(super) struct Order<'a> {
    /// Unique; `order_number` is not.
    #[serde(borrow)]
    pub(super) id: Field<'a>,
    #[serde(borrow)]
    pub(super) order_number: Field<'a>,
    /// The order this one repeats; 0 for none.
    #[serde(borrow)]
    pub(super) parent_id: Field<'a>,
    #[serde(borrow)]
    pub(super) total_cost: Field<'a>,
    #[serde(borrow)]
    pub(super) delivery_fee: Field<'a>,
    #[serde(rename = "podUrls", borrow)]
    pub(super) pod_urls: Field<'a>,
    #[serde(borrow)]
    pub(super) eta: Field<'a>,
    #[serde(borrow)]
    pub(super) placement_time: Field<'a>,
    #[serde(borrow)]
    pub(super) expected_pickup_time: Field<'a>,
    #[serde(borrow)]
    pub(super) expected_delivery_time: Field<'a>,
    #[serde(borrow)]
    pub(super) assigned_time: Field<'a>,
    #[serde(borrow)]
    pub(super) start_time: Field<'a>,
    #[serde(borrow)]
    pub(super) pickedup_time: Field<'a>,
    #[serde(borrow)]
    pub(super) arrived_time: Field<'a>,
    #[serde(borrow)]
    pub(super) delivery_time: Field<'a>,
    // Documented beside `order`; accepted inside it too, where a reader of the field list would look.
    #[serde(borrow)]
    pub(super) company: Field<'a>,
    #[serde(borrow)]
    pub(super) carrier: Field<'a>,
    #[serde(rename = "thirdPartyDeliveryOrder", borrow)]
    pub(super) third_party: Field<'a>,
}

#[derive(Deserialize)]
pub(super) struct Company<'a> {
    #[serde(borrow)]
    pub(super) id: Field<'a>,
    /// ISO 4217, numeric.
    #[serde(borrow)]
    pub(super) currency_code: Field<'a>,
}

#[derive(Deserialize)]
pub(super) struct Carrier<'a> {
    #[serde(borrow)]
    pub(super) id: Field<'a>,
    #[serde(borrow)]
    pub(super) name: Field<'a>,
    #[serde(borrow)]
    pub(super) phone: Field<'a>,
}

#[derive(Deserialize)]
pub(super) struct ThirdParty<'a> {
    #[serde(rename = "thirdPartyName", borrow)]
    pub(super) name: Field<'a>,
    #[serde(rename = "referenceId", borrow)]
    pub(super) reference_id: Field<'a>,
    /// A vocabulary of its own, and it lags.
    #[serde(borrow)]
    pub(super) status: Field<'a>,
    /// In seconds, where every other time is in milliseconds.
    #[serde(rename = "insertedAt", borrow)]
    pub(super) inserted_at: Field<'a>,
    #[serde(rename = "thirdPartyFee", borrow)]
    pub(super) fee: Field<'a>,
    #[serde(rename = "driverName", borrow)]
    pub(super) driver_name: Field<'a>,
    #[serde(rename = "driverPhone", borrow)]
    pub(super) driver_phone: Field<'a>,
}
