//! The orders of a plan: how many, when, and which are out of the ordinary.

use std::time::Duration;

use clockwork::Entropy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// How many.
    pub orders: u32,
    /// How many people sign up, beside.
    #[serde(skip_serializing_if = "is_zero")]
    pub members: u32,
    /// They come in over so long; `0s` is a burst.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub over: Duration,
    /// How they are spread over that time.
    pub pattern: Pattern,
    /// What their ids begin with: `ORD` gives `ORD-1`, `ORD-2` and so on.
    pub prefix: String,
    /// Parcels of each order.
    pub parcels: u32,
    /// What is different about single orders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<OrderOverride>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How orders are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// At equal distances.
    #[default]
    Even,
    /// Each at a moment drawn from the seed.
    Random,
}

/// What is different about one order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderOverride {
    /// Its place in the workload, from 1.
    pub index: u32,
    /// When it comes in, since the run's start.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Duration>,
    /// How many parcels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parcels: Option<u32>,
    /// The customer's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The customer's phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The postcode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postcode: Option<String>,
    /// The first line of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line1: Option<String>,
    /// It is called back so long after it came in.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub cancel_after: Option<Duration>,
    /// Who sells it; orders that name nobody are of one seller too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<String>,
}

impl OrderOverride {
    /// Whether the order may end otherwise than a healthy one.
    pub fn makes_bad(&self) -> bool {
        let OrderOverride { name, phone, postcode, line1, cancel_after, .. } = self;
        let data = [name, phone, postcode, line1].into_iter().any(Option::is_some);
        data || cancel_after.is_some()
    }

    /// Takes away what makes the order bad.
    pub(super) fn heal(&mut self) {
        let OrderOverride { index, at, parcels, .. } = *self;
        let seller = self.seller.take();
        *self = OrderOverride { index, at, parcels, seller, ..OrderOverride::default() };
    }
}

impl Default for Workload {
    fn default() -> Workload {
        Workload {
            orders: 20,
            members: 0,
            over: Duration::from_secs(10),
            pattern: Pattern::Even,
            prefix: "ORD".to_owned(),
            parcels: 1,
            order: Vec::new(),
        }
    }
}

impl Workload {
    /// The id of the order at `index`, from 1.
    pub fn id(&self, index: u32) -> String {
        format!("{}-{index}", self.prefix)
    }

    /// The ids of all orders.
    pub fn ids(&self) -> impl Iterator<Item = String> {
        (1..=self.orders).map(|index| self.id(index))
    }

    /// What is different about the order at `index`.
    pub fn overridden(&self, index: u32) -> Option<&OrderOverride> {
        self.order.iter().find(|order| order.index == index)
    }

    /// How many parcels the order at `index` has.
    pub fn parcels_of(&self, index: u32) -> u32 {
        self.overridden(index).and_then(|order| order.parcels).unwrap_or(self.parcels)
    }

    /// Who sells the order at `index`; empty where nobody is named.
    pub fn seller_of(&self, index: u32) -> &str {
        let named = self.overridden(index).and_then(|order| order.seller.as_deref());
        named.unwrap_or_default()
    }

    /// Whether orders of more than one seller come in.
    pub fn has_sellers(&self) -> bool {
        let mut all = (1..=self.orders).map(|index| self.seller_of(index));
        let first = all.next();
        !self.order.is_empty() && all.any(|seller| Some(seller) != first)
    }

    /// When the order at `index` comes in, since the run's start. The first of an even workload
    /// comes at once.
    pub fn arrival(&self, index: u32, entropy: Entropy) -> Duration {
        if let Some(at) = self.overridden(index).and_then(|order| order.at) {
            return at;
        }
        match self.pattern {
            Pattern::Even => self.over * index.saturating_sub(1) / self.orders.max(1),
            Pattern::Random => entropy.fork("arrival", index).duration(Duration::ZERO, self.over),
        }
    }

    /// The id of the member at `index`, from 1.
    pub fn member_id(&self, index: u32) -> String {
        format!("MEM-{index}")
    }

    /// When the member at `index` signs up, since the run's start: at equal distances.
    pub fn sign_up_at(&self, index: u32) -> Duration {
        self.over * index.saturating_sub(1) / self.members.max(1)
    }

    /// When the last order comes in, since the run's start.
    pub fn last_arrival(&self, entropy: Entropy) -> Duration {
        let arrivals = (1..=self.orders).map(|index| self.arrival(index, entropy));
        arrivals.max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_workload_is_spread_evenly_and_a_burst_comes_at_once() {
        let entropy = Entropy::new(1);
        let mut workload = Workload { orders: 4, ..Workload::default() };
        let arrivals = |workload: &Workload| -> Vec<u128> {
            (1..=4).map(|index| workload.arrival(index, entropy).as_millis()).collect()
        };
        assert_eq!(arrivals(&workload), [0, 2_500, 5_000, 7_500]);
        workload.over = Duration::ZERO;
        assert_eq!(arrivals(&workload), [0; 4]);
    }

    #[test]
    fn random_arrivals_stay_in_the_window_and_an_override_is_stronger() {
        let entropy = Entropy::new(1);
        let late = OrderOverride {
            index: 2,
            at: Some(Duration::from_secs(99)),
            ..OrderOverride::default()
        };
        let workload =
            Workload { pattern: Pattern::Random, order: vec![late], ..Workload::default() };
        for index in (1..=20).filter(|index| *index != 2) {
            assert!(workload.arrival(index, entropy) <= workload.over);
        }
        assert_eq!(workload.last_arrival(entropy), Duration::from_secs(99));
    }

    #[test]
    fn only_what_changes_an_orders_end_makes_it_bad() {
        let seller = Some("shop".to_owned());
        let mut order =
            OrderOverride { index: 1, parcels: Some(2), seller, ..OrderOverride::default() };
        assert!(!order.makes_bad());
        order.cancel_after = Some(Duration::ZERO);
        assert!(order.makes_bad());
        order.heal();
        assert!(!order.makes_bad());
        assert_eq!((order.parcels, order.seller.as_deref()), (Some(2), Some("shop")));
    }

    #[test]
    fn whoever_names_no_seller_is_a_seller_too() {
        let mut workload = Workload { orders: 2, ..Workload::default() };
        assert!(!workload.has_sellers());
        let seller = Some("shop".to_owned());
        workload.order = vec![OrderOverride { index: 2, seller, ..OrderOverride::default() }];
        assert!(workload.has_sellers());
        assert_eq!((workload.seller_of(1), workload.seller_of(2)), ("", "shop"));
        workload.order.push(OrderOverride { index: 1, ..workload.order[0].clone() });
        assert!(!workload.has_sellers(), "all are of one");
    }
}
