//! The body of `order.updated` and of v2's `delivery.*`, in Armada's spelling. Only fields we use; all of
//! them optional, of any type, and the customer is not even looked at.

use serde::Deserialize;

use crate::lenient_json::Field;

#[derive(Deserialize)]
pub(super) struct Order<'a> {
    /// Armada's id of the delivery.
    #[serde(borrow)]
    pub(super) code: Field<'a>,
    #[serde(borrow)]
    pub(super) status: Field<'a>,
    /// The order's value; KWD and BHD have three decimal places.
    #[serde(borrow)]
    pub(super) amount: Field<'a>,
    #[serde(borrow)]
    pub(super) delivery_fee: Field<'a>,
    #[serde(borrow)]
    pub(super) currency: Field<'a>,
    #[serde(borrow)]
    pub(super) created_at: Field<'a>,
    #[serde(borrow)]
    pub(super) driver: Field<'a>,
    #[serde(borrow)]
    pub(super) logistics: Field<'a>,
}

#[derive(Deserialize)]
pub(super) struct Driver<'a> {
    #[serde(borrow)]
    pub(super) name: Field<'a>,
    #[serde(borrow)]
    pub(super) phone: Field<'a>,
}

#[derive(Deserialize)]
pub(super) struct Logistics<'a> {
    #[serde(borrow)]
    pub(super) tracking_url: Field<'a>,
}
