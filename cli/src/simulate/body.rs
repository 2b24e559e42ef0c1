//! The bodies of simulated webhooks: the samples of `events/`, with an order's own facts put in.

use std::path::PathBuf;

use domain::{EpochMillis, Provider};
use serde_json::{Map, Value, json};

use super::life::{Life, Moment, driver_name};
use crate::moment;
use crate::samples::{self, SampleError};

type Object = Map<String, Value>;

/// A sample of `events/` cannot be made into a simulated webhook.
#[derive(Debug, thiserror::Error)]
pub enum BodyTemplateError {
    /// There is no such sample.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// It is no JSON object.
    #[error("the sample `{path}` is no JSON object")]
    NoObject {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A part that is filled in is missing.
    #[error("the sample `{path}` has no object `{part}`")]
    NoPart {
        /// Which.
        path: PathBuf,
        /// What is missing.
        part: &'static str,
    },
}

/// The samples, taken apart.
#[derive(Debug)]
pub(super) struct BodyTemplates {
    armada: Object,
    armada_driver: Object,
    armada_position: Object,
    shipday: Object,
    shipday_order: Object,
    shipday_carrier: Object,
    shipday_fleet: Object,
    shipday_position: Object,
}

impl BodyTemplates {
    pub(super) fn load() -> Result<Self, BodyTemplateError> {
        let mut armada = Sample::load(Provider::Armada, "order.updated/dispatched.json")?;
        let position = "order.location.updated/position.json";
        let mut shipday = Sample::load(Provider::Shipday, "ORDER_COMPLETED.json")?;
        let mut documented = Sample::load(Provider::Shipday, "documented.json")?;
        Ok(Self {
            armada_driver: armada.take("driver")?,
            armada: armada.object,
            armada_position: Sample::load(Provider::Armada, position)?.object,
            shipday_order: shipday.take("order")?,
            shipday_carrier: shipday.take("carrier")?,
            shipday: shipday.object,
            shipday_fleet: documented.take("thirdPartyDeliveryOrder")?,
            shipday_position: Sample::load(Provider::Shipday, "LOCATION_UPDATE.json")?.object,
        })
    }

    /// What the provider says at a step.
    pub(super) fn step(&self, life: &Life, moment: &Moment) -> Vec<u8> {
        let body = match life.provider {
            Provider::Armada => self.armada_step(life, moment),
            Provider::Shipday => self.shipday_step(life, moment),
        };
        Value::Object(body).to_string().into_bytes()
    }

    /// Where the driver is.
    pub(super) fn position(&self, life: &Life, at: EpochMillis) -> Vec<u8> {
        let body = match life.provider {
            // Its status is `en_route` all the time, whatever the order's is.
            Provider::Armada => with(&self.armada_position, [("code", life.order_id().into())]),
            Provider::Shipday => with(
                &self.shipday_position,
                [
                    ("orderId", life.shipday_id().into()),
                    ("currentTimeStamp", at.as_millis().into()),
                ],
            ),
        };
        Value::Object(body).to_string().into_bytes()
    }

    fn armada_step(&self, life: &Life, moment: &Moment) -> Object {
        let mut body = with(
            &self.armada,
            [
                ("code", life.order_id().into()),
                ("status", moment.step.status.into()),
                ("created_at", moment::show(life.begins).into()),
            ],
        );
        if let Some(number) = life.driver(moment.step.crew) {
            let driver = with(
                &self.armada_driver,
                [
                    ("name", driver_name(number).into()),
                    ("phone", phone(number).into()),
                ],
            );
            body.insert("driver".to_owned(), driver.into());
        }
        body
    }

    fn shipday_step(&self, life: &Life, moment: &Moment) -> Object {
        let mut body = with(
            &self.shipday,
            [
                ("timestamp", moment.at.as_millis().into()),
                ("event", moment.step.event.into()),
                ("order_status", moment.step.status.into()),
                ("order", self.shipday_order(life, moment).into()),
            ],
        );
        match life.driver(moment.step.crew) {
            None => {}
            Some(number) if life.by_fleet => {
                let fleet = with(
                    &self.shipday_fleet,
                    [
                        ("driverName", driver_name(number).into()),
                        ("driverPhone", phone(number).into()),
                    ],
                );
                body.insert("thirdPartyDeliveryOrder".to_owned(), fleet.into());
            }
            Some(number) => {
                let carrier = with(
                    &self.shipday_carrier,
                    [
                        ("id", number.into()),
                        ("name", driver_name(number).into()),
                        ("phone", phone(number).into()),
                    ],
                );
                body.insert("carrier".to_owned(), carrier.into());
            }
        }
        body
    }

    /// The order with the times of what has happened so far, in whole seconds as in the samples.
    fn shipday_order(&self, life: &Life, now: &Moment) -> Object {
        let number = format!("SIM-{}-{}", life.seed, life.order);
        let mut order = with(
            &self.shipday_order,
            [
                ("id", life.shipday_id().into()),
                ("order_number", number.into()),
                ("placement_time", whole_seconds(life.begins)),
                ("podUrls", json!([""])),
            ],
        );
        for time in [
            "assigned_time",
            "start_time",
            "pickedup_time",
            "arrived_time",
            "delivery_time",
            "expected_pickup_time",
            "expected_delivery_time",
        ] {
            order.remove(time);
        }
        let so_far = life.moments.iter().take_while(|past| past.at <= now.at);
        for Moment { at, step } in so_far {
            let time = match step.event {
                "ORDER_ASSIGNED" => "assigned_time",
                "ORDER_ACCEPTED_AND_STARTED" => "start_time",
                "ORDER_PIKEDUP" => "pickedup_time",
                "ORDER_COMPLETED" => "delivery_time",
                "ORDER_POD_UPLOAD" => {
                    let proof = format!("https://pod.example.com/{}/1.jpg", life.shipday_id());
                    order.insert("podUrls".to_owned(), json!([proof]));
                    continue;
                }
                _ => continue,
            };
            order.insert(time.to_owned(), whole_seconds(*at));
        }
        order
    }
}

struct Sample {
    path: PathBuf,
    object: Object,
}

impl Sample {
    fn load(provider: Provider, name: &str) -> Result<Self, BodyTemplateError> {
        let sample = samples::find(provider, name.as_ref(), None)?;
        match serde_json::from_slice(&sample.body) {
            Ok(object) => Ok(Self {
                path: sample.path,
                object,
            }),
            Err(source) => Err(BodyTemplateError::NoObject {
                path: sample.path,
                source,
            }),
        }
    }

    /// Takes a nested object out.
    fn take(&mut self, part: &'static str) -> Result<Object, BodyTemplateError> {
        match self.object.remove(part) {
            Some(Value::Object(object)) => Ok(object),
            _ => Err(BodyTemplateError::NoPart {
                path: self.path.clone(),
                part,
            }),
        }
    }
}

fn with<const COUNT: usize>(template: &Object, facts: [(&str, Value); COUNT]) -> Object {
    let mut object = template.clone();
    for (name, value) in facts {
        object.insert(name.to_owned(), value);
    }
    object
}

fn phone(driver: u16) -> String {
    format!("00000{driver}")
}

fn whole_seconds(at: EpochMillis) -> Value {
    (at.as_seconds() * 1_000).into()
}
