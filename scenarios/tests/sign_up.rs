//! Every way to sign members up: what it is known to break falls in its drills, and nothing else;
//! the recommended way is acquitted by the same drills.

use std::collections::BTreeSet;

use scenarios::plan::{Expect, Plan};
use scenarios::sign_up;
use scenarios::trial::{Trial, Trials};
use scenarios::verdict::Verdict;
use scenarios::{catalogue, promises};

/// The drills of the catalogue in which members sign up otherwise than is recommended.
fn drills() -> Vec<Plan> {
    let plans = catalogue::plans().expect("plans that are plans");
    plans.into_iter().filter(|plan| plan.sign_up.is_some()).collect()
}

fn judged(plan: &Plan) -> Trial {
    Trials::default().run(plan).expect("a simulation that runs")
}

/// The same drill with another form, and nothing expected to fall.
fn under(plan: &Plan, form: Option<&str>) -> Plan {
    let expect = Expect { violated: Vec::new(), must_reach: Vec::new(), ..plan.expect.clone() };
    Plan { sign_up: form.map(str::to_owned), expect, ..plan.clone() }
}

fn fallen(trial: &Trial) -> BTreeSet<&'static str> {
    let broken = |id: &&'static str| trial.breaks(id);
    promises::ALL.iter().map(|promise| promise.id).filter(broken).collect()
}

#[test]
fn each_form_breaks_what_it_is_known_to_break_and_nothing_else() {
    for form in sign_up::ALL {
        let mut found = BTreeSet::new();
        for plan in drills() {
            found.extend(fallen(&judged(&under(&plan, Some(form.name)))));
        }
        let known: BTreeSet<&str> = form.breaks.iter().copied().collect();
        assert_eq!(found, known, "{}", form.name);
    }
}

#[test]
fn each_drill_convicts_its_own_form_and_acquits_the_recommended_one() {
    for plan in drills() {
        let own = judged(&plan);
        assert_eq!(own.judgement.verdict, Verdict::Held, "{}: {:?}", plan.name, own.judgement);
        let expected: BTreeSet<&str> = plan.expect.violated.iter().map(String::as_str).collect();
        let found = fallen(&judged(&under(&plan, plan.sign_up.as_deref())));
        assert_eq!(found, expected, "{}", plan.name);
        let sound = judged(&under(&plan, None));
        assert_eq!(fallen(&sound), BTreeSet::new(), "{}: {:?}", plan.name, sound.judgement);
    }
}

#[test]
fn without_trouble_every_form_keeps_all_members() {
    for form in sign_up::ALL {
        let mut plan = Plan::healthy("healthy", 0);
        plan.workload.members = 5;
        plan.expect.members = 5;
        plan.sign_up = Some(form.name.to_owned());
        let fallen = fallen(&judged(&plan));
        let allowed = BTreeSet::from(["no-io-in-transaction"]);
        assert!(fallen.is_subset(&allowed), "{}: {fallen:?}", form.name);
    }
}
