//! A plan written out whole: what is default stands there too.

use super::Plan;

impl Plan {
    /// The whole plan as TOML. Reading it again gives the same plan.
    pub fn to_toml(&self) -> String {
        // Texts, numbers and tables: nothing in a plan that TOML cannot say, but for a seed of
        // more than 63 bits, which `problems` refuses.
        toml::to_string(self).expect("a checked plan is plain TOML")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_expanded_plan_is_read_as_the_same_plan() {
        let mut plan = Plan::parse(
            r#"
            version = 1
            name = "expanded"
            why = "Everything that can be written is written."
            bad = ["ORD-2"]
            workload = { orders = 2, over = "1m 30s", order = [{ index = 2, phone = "02-1-2" }] }
            neighbour = { from = "10s", for = "30s", calls_per_second = 20.0 }
            expect = { completed = 1, refused = 1, must_reach = ["ban"] }
            scan = [{ order = 1, at = "3s" }]
            fault = [{ kind = "reset-after", on = "carrier", endpoint = "RegBook", rate = 0.02 }]
            "#,
        )
        .unwrap();
        plan.oms.service.lease = Duration::from_secs(40);
        let text = plan.to_toml();
        assert_eq!(Plan::parse(&text).unwrap(), plan, "{text}");
        for key in ["latency_max = \"60ms\"", "[oms.carrier.calls.breaker]", "[carrier]"] {
            assert!(text.contains(key), "{key} in {text}");
        }
    }
}
