//! Settings put back to their defaults: all, then a table at a time, then one by one.

use toml::{Table, Value};

use crate::plan::Plan;

/// What else of a plan is a setting, beside all that is in tables of its own.
const LOOSE: &[&str] = &["start", "heal_after", "bad", "neighbour", "scan", "operation", "seed"];
/// The tables of settings.
const TABLES: &[&str] = &["world", "carrier", "gateway", "oms"];
/// Settings of which both sides must say the same.
const PAIRS: &[(&str, &str)] = &[
    ("carrier", "oms.carrier"),
    ("carrier", "oms"),
    ("gateway", "oms.messenger"),
    ("carrier.duplicates", "oms.carrier.duplicates"),
    ("carrier.windows", "oms.carrier.calls.windows"),
];

/// Plans that say less, from coarse to fine.
pub(super) fn candidates(plan: &Plan) -> Vec<Plan> {
    let told = plan.differences();
    let silent = Plan::healthy(&plan.name, plan.workload.orders).tree();
    let mut groups: Vec<Vec<String>> = Vec::new();
    let whole = LOOSE.iter().chain(TABLES).map(|key| (*key).to_owned());
    groups.push(whole.collect());
    groups.extend(PAIRS.iter().map(|(a, b)| vec![(*a).to_owned(), (*b).to_owned()]));
    let mut paths = Vec::new();
    for (key, value) in &told {
        let is_setting = LOOSE.contains(&key.as_str()) || TABLES.contains(&key.as_str());
        if is_setting {
            collect(key, value, &mut paths);
        }
    }
    if let Some(Value::Table(workload)) = told.get("workload") {
        let keys = workload.keys().filter(|key| *key != "orders");
        paths.extend(keys.map(|key| format!("workload.{key}")));
    }
    // A table stands before what is in it: its path is shorter.
    paths.sort_by_key(|path| path.matches('.').count());
    groups.extend(paths.into_iter().map(|path| vec![path]));
    let plain = groups.into_iter().filter_map(|group| {
        let mut tree = plan.tree();
        for path in &group {
            put_back(&mut tree, &silent, path);
        }
        tree.try_into::<Plan>().ok()
    });
    plain.filter(|candidate| candidate != plan).collect()
}

fn collect(path: &str, value: &Value, paths: &mut Vec<String>) {
    paths.push(path.to_owned());
    if let Value::Table(table) = value {
        for (key, value) in table {
            collect(&format!("{path}.{key}"), value, paths);
        }
    }
}

/// Makes what is at `path` as it is in `silent`; away with it, where that says nothing.
fn put_back(tree: &mut Table, silent: &Table, path: &str) {
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    match (rest, tree.get_mut(key), silent.get(key)) {
        (Some(rest), Some(Value::Table(tree)), Some(Value::Table(silent))) => {
            put_back(tree, silent, rest);
        }
        (Some(_), _, _) => {}
        (None, _, Some(value)) => drop(tree.insert(key.to_owned(), value.clone())),
        (None, _, None) => drop(tree.remove(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_put_back_alone_and_all_of_them_first() {
        let mut plan = Plan::healthy("p", 2);
        plan.world.nodes = 3;
        plan.oms.carrier.calls.attempts = 9;
        plan.carrier.ban_after = 2;
        plan.seed = 7;
        let candidates = candidates(&plan);
        assert_eq!(candidates[0], Plan::healthy("p", 2));
        let only = |change: fn(&mut Plan)| {
            let mut expected = plan.clone();
            change(&mut expected);
            assert!(candidates.contains(&expected));
        };
        only(|plan| plan.world.nodes = 1);
        only(|plan| {
            let usual = oms_core::config::Config::default();
            plan.oms.carrier.calls.attempts = usual.carrier.calls.attempts;
        });
        only(|plan| plan.carrier.ban_after = 5);
        only(|plan| plan.seed = 1);
        assert!(!candidates.contains(&plan));
    }
}
