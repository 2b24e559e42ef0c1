//! The figures as they are told, in every form: a group for all, each provider, each merchant and each driver.

use domain::{Provider, Status};
use serde::Serialize;

use super::figures::{
    DriverGroup, DriverId, Durations, Figures, Group, Promise, Punctuality, Span, ten_thousandths,
};
use crate::arguments::Report;
use crate::moment;

/// What a report is about.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Extent {
    pub(super) stack: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<String>,
    /// Only these; all when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) of_merchants: Vec<String>,
}

impl Extent {
    pub(super) fn new(stack: &str, options: &Report) -> Self {
        Self {
            stack: stack.to_owned(),
            since: options.since.map(moment::show),
            until: options.until.map(moment::show),
            of_merchants: options.merchant.iter().map(ToString::to_string).collect(),
        }
    }

    /// In words.
    pub(super) fn words(&self) -> String {
        let mut words = format!("Report of {}", self.stack);
        let parts = [("since", &self.since), ("until", &self.until)];
        for (name, value) in parts {
            if let Some(value) = value {
                words.push_str(&format!(", {name} {value}"));
            }
        }
        for merchant in &self.of_merchants {
            words.push_str(&format!(", merchant {merchant}"));
        }
        words
    }
}

/// A report.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    #[serde(flatten)]
    pub(super) extent: Extent,
    pub(super) all: ToldGroup,
    pub(super) providers: Vec<ToldGroup>,
    /// The one with the most orders first.
    pub(super) merchants: Vec<ToldGroup>,
    /// Likewise.
    pub(super) drivers: Vec<ToldGroup>,
}

/// Whose figures they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Whose {
    All {},
    Provider {
        provider: Provider,
    },
    Merchant {
        merchant: String,
    },
    Driver {
        provider: Provider,
        /// `null` for orders that nobody drives.
        driver: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
}

impl Whose {
    /// The word for what kind of group it is.
    pub(super) const fn scope(&self) -> &'static str {
        match self {
            Self::All {} => "all",
            Self::Provider { .. } => "provider",
            Self::Merchant { .. } => "merchant",
            Self::Driver { .. } => "driver",
        }
    }

    /// Its kind and its name.
    pub(super) fn label(&self) -> String {
        match self {
            Self::All {} => self.name(),
            Self::Provider { .. } | Self::Merchant { .. } | Self::Driver { .. } => {
                format!("{} {}", self.scope(), self.name())
            }
        }
    }

    /// Its name within its kind, without what would not be a character on a screen.
    pub(super) fn name(&self) -> String {
        let name = match self {
            Self::All {} => "all".to_owned(),
            Self::Provider { provider } => provider.to_string(),
            Self::Merchant { merchant } => merchant.clone(),
            Self::Driver {
                provider,
                driver,
                name,
            } => {
                let driver = driver.as_deref().unwrap_or("nobody");
                match name {
                    Some(name) => format!("{provider} {driver} {name}"),
                    None => format!("{provider} {driver}"),
                }
            }
        };
        name.replace(char::is_control, "\u{fffd}")
    }
}

/// A group and its figures.
#[derive(Debug, Serialize)]
pub(super) struct ToldGroup {
    #[serde(flatten)]
    pub(super) whose: Whose,
    pub(super) orders: u64,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) canceled: u64,
    pub(super) returned: u64,
    pub(super) under_way: u64,
    pub(super) without_status: u64,
    pub(super) completion_rate: Option<Rate>,
    pub(super) failure_rate: Option<Rate>,
    pub(super) cancellation_rate: Option<Rate>,
    pub(super) reversed: u64,
    pub(super) backward: u64,
    pub(super) reopened: u64,
    pub(super) corrected: u64,
    pub(super) standing_still: u64,
    pub(super) durations: ToldSpans,
    pub(super) promises: ToldPromises,
}

#[derive(Debug, Serialize)]
pub(super) struct ToldSpans {
    assigned_to_pickup: ToldDurations,
    pickup_to_delivery: ToldDurations,
    assigned_to_delivery: ToldDurations,
}

#[derive(Debug, Serialize)]
pub(super) struct ToldPromises {
    pickup: ToldPunctuality,
    delivery: ToldPunctuality,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct ToldDurations {
    pub(super) orders: u64,
    pub(super) p50_seconds: Option<u64>,
    pub(super) p90_seconds: Option<u64>,
    pub(super) p99_seconds: Option<u64>,
    pub(super) skipped: u64,
    pub(super) out_of_order: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct ToldPunctuality {
    pub(super) on_time: u64,
    pub(super) late: u64,
    pub(super) no_promise: u64,
    pub(super) on_time_rate: Option<Rate>,
    pub(super) late_by_p50_seconds: Option<u64>,
    pub(super) late_by_p90_seconds: Option<u64>,
    pub(super) late_by_p99_seconds: Option<u64>,
}

/// A part of a whole, to four decimal places.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Rate(f64);

impl Rate {
    fn of(part: u64, whole: u64) -> Option<Self> {
        let rate = u16::try_from(ten_thousandths(part, whole)?).unwrap_or(u16::MAX);
        Some(Self(f64::from(rate) / 10_000.0))
    }

    /// In hundredths, with two decimal places.
    pub(super) fn percent(self) -> String {
        format!("{:.2} %", self.0 * 100.0)
    }

    /// As a number between 0 and 1.
    pub(super) const fn value(self) -> f64 {
        self.0
    }
}

impl Told {
    pub(super) fn new(extent: Extent, figures: &Figures, personal_data: bool) -> Self {
        let providers = figures.providers.iter();
        let merchants = figures.merchants.iter().map(|(merchant, group)| {
            let merchant = merchant.to_string();
            ToldGroup::new(Whose::Merchant { merchant }, group)
        });
        let drivers = figures.drivers.iter();
        Self {
            extent,
            all: ToldGroup::new(Whose::All {}, &figures.all),
            providers: providers
                .map(|(provider, group)| {
                    let provider = *provider;
                    ToldGroup::new(Whose::Provider { provider }, group)
                })
                .collect(),
            merchants: most_orders_first(merchants.collect()),
            drivers: most_orders_first(
                drivers
                    .map(|(key, driven)| of_driver(key, driven, personal_data))
                    .collect(),
            ),
        }
    }

    /// Every group, the whole first.
    pub(super) fn groups(&self) -> impl Iterator<Item = &ToldGroup> {
        let parts = [&self.providers, &self.merchants, &self.drivers];
        std::iter::once(&self.all).chain(parts.into_iter().flatten())
    }
}

fn of_driver(
    (provider, driver): &(Provider, Option<DriverId>),
    driven: &DriverGroup,
    personal_data: bool,
) -> ToldGroup {
    let whose = Whose::Driver {
        provider: *provider,
        driver: driver.as_ref().map(|it| it.0.clone()),
        name: driven.name.clone().filter(|_| personal_data),
    };
    ToldGroup::new(whose, &driven.group)
}

fn most_orders_first(mut groups: Vec<ToldGroup>) -> Vec<ToldGroup> {
    // Stable: equal ones stay in the order of their names.
    groups.sort_by_key(|group| std::cmp::Reverse(group.orders));
    groups
}

impl ToldGroup {
    fn new(whose: Whose, group: &Group) -> Self {
        let closed = group.closed();
        let span = |span| ToldDurations::new(group.durations(span));
        let promise = |promise| ToldPunctuality::new(group.punctuality(promise));
        Self {
            whose,
            orders: group.orders,
            delivered: group.delivered,
            failed: group.failed,
            canceled: group.canceled,
            returned: group.returned,
            under_way: group.under_way,
            without_status: group.without_status,
            completion_rate: Rate::of(group.delivered, closed),
            failure_rate: Rate::of(group.failed, closed),
            cancellation_rate: Rate::of(group.canceled, closed),
            reversed: group.reversed,
            backward: group.backward,
            reopened: group.reopened,
            corrected: group.corrected,
            standing_still: group.standing_still,
            durations: ToldSpans {
                assigned_to_pickup: span(Span::AssignedToPickup),
                pickup_to_delivery: span(Span::PickupToDelivery),
                assigned_to_delivery: span(Span::AssignedToDelivery),
            },
            promises: ToldPromises {
                pickup: promise(Promise::Pickup),
                delivery: promise(Promise::Delivery),
            },
        }
    }

    pub(super) const fn durations(&self, span: Span) -> &ToldDurations {
        match span {
            Span::AssignedToPickup => &self.durations.assigned_to_pickup,
            Span::PickupToDelivery => &self.durations.pickup_to_delivery,
            Span::AssignedToDelivery => &self.durations.assigned_to_delivery,
        }
    }

    pub(super) const fn punctuality(&self, promise: Promise) -> &ToldPunctuality {
        match promise {
            Promise::Pickup => &self.promises.pickup,
            Promise::Delivery => &self.promises.delivery,
        }
    }

    /// How many orders are in each of the ends, and in none.
    pub(super) const fn outcomes(&self) -> [(&'static str, u64); 6] {
        [
            (Status::Delivered.as_str(), self.delivered),
            (Status::Failed.as_str(), self.failed),
            (Status::Canceled.as_str(), self.canceled),
            (Status::Returned.as_str(), self.returned),
            ("under way", self.under_way),
            ("without status", self.without_status),
        ]
    }
}

impl ToldDurations {
    fn new(durations: &Durations) -> Self {
        let Durations {
            seconds,
            skipped,
            out_of_order,
        } = durations;
        Self {
            orders: seconds.total(),
            p50_seconds: seconds.percentile(50),
            p90_seconds: seconds.percentile(90),
            p99_seconds: seconds.percentile(99),
            skipped: *skipped,
            out_of_order: *out_of_order,
        }
    }
}

impl ToldPunctuality {
    fn new(punctuality: &Punctuality) -> Self {
        let Punctuality {
            on_time,
            late,
            no_promise,
        } = punctuality;
        Self {
            on_time: *on_time,
            late: late.total(),
            no_promise: *no_promise,
            on_time_rate: Rate::of(*on_time, on_time + late.total()),
            late_by_p50_seconds: late.percentile(50),
            late_by_p90_seconds: late.percentile(90),
            late_by_p99_seconds: late.percentile(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_outside_cannot_steer_a_terminal() {
        let whose = Whose::Driver {
            provider: Provider::Shipday,
            driver: Some("7".to_owned()),
            name: Some("\u{1b}[2JAlia\n".to_owned()),
        };

        assert_eq!(whose.label(), "driver shipday 7 \u{fffd}[2JAlia\u{fffd}");
    }
}
