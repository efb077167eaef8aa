//! `drill compare` and `drill advise`, as a user has them, and the page that is kept of the first.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/drill.rs"]
#[expect(dead_code, reason = "a part of what the tests of the command line use")]
mod support;

use std::path::Path;

use support::Folder;

/// The page of the repository.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/strategies.md");

/// The bytes of the whole page are compared by what must hold before a change lands, in a release
/// build; here a page of three plans shows that the command writes the same again.
#[test]
fn a_page_is_the_same_again_and_has_a_row_for_each_strategy() {
    let folder = Folder::new();
    for file in ["one.md", "two.md"] {
        folder.drill(&format!("compare --runs 3 --seed 9 --markdown {file}")).exits(0);
    }
    assert_eq!(folder.read("one.md"), folder.read("two.md"));
    let page = std::fs::read_to_string(PAGE).unwrap();
    for strategy in scenarios::strategies::ALL {
        let row = format!("| `{}` |", strategy.name);
        assert!(page.contains(&row), "no row {row}");
    }
}

#[test]
fn the_page_links_to_counterexamples_that_exist() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let links: Vec<&str> =
        page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 10, "{links:?}");
    for link in links {
        let file = Path::new(PAGE).parent().unwrap().join(link);
        assert!(file.is_file(), "{link} is no file");
    }
}

#[test]
fn what_is_compared_does_not_depend_on_the_number_of_threads() {
    let folder = Folder::new();
    let compare = |jobs: &str| {
        folder.drill(&format!("compare --runs 4 --jobs {jobs} --format json")).exits(0).json()
    };
    let (one, three) = (compare("1"), compare("3"));
    assert_eq!(one, three);
    let rows = one["strategies"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["all"]["runs"] == 4));
    let durable = rows.iter().find(|row| row["strategy"] == "durable").unwrap();
    assert_eq!(durable["all"]["broken"], serde_json::json!({}));
    assert_eq!(durable["together"]["completed"], 19);
}

#[test]
fn a_comparison_keeps_the_smallest_plan_of_each_broken_promise_and_it_replays() {
    let folder = Folder::new();
    let line = "compare --strategy single-transaction --runs 8 --out kept --format json";
    let compared = folder.drill(line).exits(0).json();
    let kept = compared["counterexamples"].as_array().unwrap();
    assert!(!kept.is_empty());
    let file = kept[0]["file"].as_str().unwrap();
    assert!(file.starts_with("kept/single-transaction/"), "{file}");
    folder.drill(&format!("replay {file}")).exits(1);
}

#[test]
fn advice_follows_the_seeds_tree_and_carries_its_evidence() {
    let folder = Folder::new();
    let line = "advise --no-prompt --all-or-nothing no --event-driven yes --high-consistency yes \
                --new-infrastructure no --callee books-again --format json";
    let advice = folder.drill(line).exits(0).json();
    assert_eq!(advice["advice"], "outbox");
    let evidence = advice["evidence"].as_array().unwrap();
    assert_eq!(evidence.len(), 2, "beside the recommended one");
    assert!(evidence[0]["broken_share"].as_object().is_some_and(|broken| !broken.is_empty()));
    assert_eq!(evidence[1]["broken_share"], serde_json::json!({}));
    let drill = evidence[0]["drill"].as_str().unwrap();
    assert!(drill.starts_with("cargo drill replay scenarios/counterexamples/outbox/"), "{drill}");
}

#[test]
fn a_question_that_nobody_answers_is_a_usage_error_that_names_its_flag() {
    let ran = Folder::new().drill("advise --no-prompt --all-or-nothing no").exits(2);
    assert!(ran.err.contains("--event-driven yes|no is needed"), "{}", ran.err);
    assert_eq!(ran.out, "");
}
