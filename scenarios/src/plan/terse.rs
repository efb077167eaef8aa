//! A plan written out short: what is default is left out.

use serde::Serialize;
use toml::{Table, Value};

use super::Plan;
use super::workload::Workload;

/// What a plan's file says first, and in which order.
const HEAD: &[&str] = &[
    "version",
    "name",
    "title",
    "why",
    "seed",
    "start",
    "strategy",
    "sabotage",
    "sign_up",
    "replay_hash",
    "heal_after",
];
/// The tables that follow it.
const TABLES: &[&str] = &[
    "workload",
    "world",
    "carrier",
    "gateway",
    "oms",
    "neighbour",
    "scan",
    "fault",
    "operation",
    "expect",
];
/// What has no default.
const ALWAYS: &[&str] = &["version", "name", "why"];

impl Plan {
    /// The plan as TOML, without what is default. Reading it again gives the same plan.
    pub fn to_terse_toml(&self) -> String {
        let mut rest = self.differences();
        let mut head = Head::default();
        for key in HEAD.iter().copied() {
            head.push(key, rest.remove(key));
        }
        let mut tables = Vec::new();
        for key in TABLES.iter().copied() {
            let value = match key {
                // By the type and not by the tree, which forgets the order of the keys.
                "fault" => written("fault", &self.faults).filter(|_| !self.faults.is_empty()),
                _ => rest.remove(key).and_then(|value| written(key, &value)),
            };
            tables.extend(value);
        }
        // A key that is in neither list is still written.
        for (key, value) in rest.into_iter().filter(|(key, _)| key != "fault") {
            match value {
                Value::Table(_) => tables.extend(written(&key, &value)),
                _ => head.push(&key, Some(value)),
            }
        }
        tables.insert(0, head.0);
        tables.retain(|part| !part.is_empty());
        tables.join("\n")
    }

    /// What this plan says otherwise than a plan that says nothing, as a tree.
    pub(crate) fn differences(&self) -> Table {
        let silent = Plan::healthy(&self.name, Workload::default().orders);
        let silent = Plan { expect: super::Expect::default(), ..silent };
        let mut silent = silent.tree();
        for key in ALWAYS {
            silent.remove(*key);
        }
        let whole = self.tree();
        let mut told = difference(whole.clone(), &silent);
        // A table that is begun takes its other keys from its own type, whose defaults may be
        // others than those of the table around it: what is read otherwise is told too.
        while let Ok(read) = told.clone().try_into::<Plan>() {
            let missing = difference(whole.clone(), &read.tree());
            if missing.is_empty() {
                break;
            }
            merge(&mut told, missing);
        }
        told
    }

    /// The plan as a tree of values.
    pub(crate) fn tree(&self) -> Table {
        // As in `to_toml`: a plan is plain TOML.
        Table::try_from(self).expect("a checked plan is plain TOML")
    }
}

/// `key = value` lines.
#[derive(Default)]
struct Head(String);

impl Head {
    fn push(&mut self, key: &str, value: Option<Value>) {
        self.0.extend(value.and_then(|value| written(key, &value)));
    }
}

/// One key of a document with its value.
fn written(key: &str, value: &impl Serialize) -> Option<String> {
    toml::to_string(&std::collections::BTreeMap::from([(key, value)])).ok()
}

/// What of `tree` is not in `silent`.
fn difference(tree: Table, silent: &Table) -> Table {
    let mut different = Table::new();
    for (key, value) in tree {
        let left = match (value, silent.get(&key)) {
            (Value::Table(inner), Some(Value::Table(silent))) => {
                let inner = difference(inner, silent);
                (!inner.is_empty()).then_some(Value::Table(inner))
            }
            (value, Some(silent)) if value == *silent => None,
            (value, _) => Some(value),
        };
        if let Some(value) = left {
            different.insert(key, value);
        }
    }
    different
}

fn merge(tree: &mut Table, more: Table) {
    for (key, value) in more {
        match (tree.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(more)) => merge(inner, more),
            (_, value) => drop(tree.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn a_healthy_plan_is_a_few_lines() {
        let text = Plan::healthy("p", 20).to_terse_toml();
        assert_eq!(
            text,
            "version = 1\nname = \"p\"\nwhy = \"Nothing goes wrong.\"\n\n\
             [expect]\ncompleted = 20\n"
        );
    }

    #[test]
    fn every_drill_that_is_written_short_is_read_as_the_same_plan() {
        for plan in catalogue::plans().unwrap() {
            let text = plan.to_terse_toml();
            assert_eq!(Plan::parse(&text).unwrap(), plan, "{text}");
            assert!(text.len() < plan.to_toml().len() / 2, "{text}");
        }
    }

    #[test]
    fn settings_far_down_the_tree_are_written_and_their_neighbours_are_not() {
        let mut plan = Plan::healthy("p", 2);
        plan.oms.carrier.calls.attempts = 7;
        plan.bad = vec!["ORD-2".to_owned()];
        plan.heal_after = Some(std::time::Duration::from_secs(600));
        let text = plan.to_terse_toml();
        assert!(text.contains("[oms.carrier.calls]\nattempts = 7\n"), "{text}");
        assert!(
            !text.contains("windows") && !text.contains("deadline") && !text.contains("[world]"),
            "{text}"
        );
        assert_eq!(Plan::parse(&text).unwrap(), plan, "{text}");
    }
}
