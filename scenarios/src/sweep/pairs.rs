//! Every two faults.
//!
//! There are a million pairs of a thousand faults. Those that are known to be the same are run
//! once, and counted:
//! - Two faults at one place: the first of a plan's list wins, so the second cannot happen.
//! - Faults that give the same history when they happen alone are one for pairing. The histories
//!   are compared whole, times and ledgers included, but for the fault's own name and the words and
//!   status of an answer, by which the service decides nothing beyond what the history says too.
//!   Thus crashes between the same two things that happened are one, as are answers of one meaning.
//!
//! Stalls are swept alone: to a pair they add little that a crash or a late answer does not, and
//! they would make it half as many again.
//!
//! What that cannot see: faults that are the same alone, but not after another fault.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Base, Error, Family, Single, Swept, judge, play};
use crate::crew::{self, Stop};
use crate::history::History;

/// Pairs that were not run, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merged {
    /// Both faults at one place.
    pub one_place: u64,
    /// Another pair of faults was run that give the same histories.
    pub same: u64,
}

impl Merged {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.one_place + self.same
    }

    /// Each with its reason.
    pub fn reasons(&self) -> [(u64, &'static str); 2] {
        [
            (self.one_place, "both faults at one place, where only the first can happen"),
            (self.same, "a pair was run of faults that each give the same history alone"),
        ]
    }
}

/// Runs every fault alone, then every two of those that differ.
pub(super) fn sweep(
    bases: &[Base],
    stop: &Stop,
    swept: &mut Swept,
    progress: &mut impl FnMut(u64, u64),
) -> Result<(), Error> {
    for base in bases {
        let Some(classes) = alone(base, stop, swept, progress)? else { return Ok(()) };
        swept.pairs_begun = true;
        let pairs = pairs(base, &classes, swept);
        if together(base, &pairs, stop, swept, progress)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// Faults that give the same history alone, by their places in the list.
type Class = Vec<usize>;

/// Runs every fault alone. `None` when it was told to stop, or a planted bug was found.
fn alone(
    base: &Base,
    stop: &Stop,
    swept: &mut Swept,
    progress: &mut impl FnMut(u64, u64),
) -> Result<Option<Vec<Class>>, Error> {
    let singles = &base.singles;
    for single in singles {
        swept.tally(&single.family.to_string()).exist += 1;
    }
    let count = singles.len() as u64;
    let work = |number: u64| {
        let history = play(&base.schedule(&[&singles[number as usize]]))?;
        Ok((signature(&history), judge(history)))
    };
    let mut classes: BTreeMap<[u8; 32], Class> = BTreeMap::new();
    let (mut failed, mut ran) = (None, 0);
    crew::run(swept.options.jobs, count, stop, work, |number, came| {
        progress(number + 1, count);
        let (signature, came) = match came {
            Ok(came) => came,
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        };
        ran += 1;
        let single = &singles[number as usize];
        classes.entry(signature).or_default().push(number as usize);
        swept.count(&single.family.to_string(), || base.schedule(&[single]), &came)
    });
    match failed {
        Some(error) => Err(error),
        None => {
            let mut classes: Vec<Class> = classes.into_values().collect();
            // By the first of each, not by hash: in the order in which they are listed.
            classes.sort();
            Ok((ran == count && !swept.stopped).then_some(classes))
        }
    }
}

/// Two faults for every two classes, and for every class with another of its own. Counts all pairs
/// that there are, by family.
fn pairs(base: &Base, classes: &[Class], swept: &mut Swept) -> Vec<(usize, usize)> {
    let singles = &base.singles;
    let places: Vec<Place> = singles.iter().map(Place::of).collect();
    let mut exist: BTreeMap<String, u64> = BTreeMap::new();
    let mut one_place = 0;
    let paired = |number: &usize| singles[*number].family != Family::Stall;
    let classes: Vec<Class> = classes
        .iter()
        .map(|class| class.iter().copied().filter(paired).collect::<Class>())
        .filter(|class| !class.is_empty())
        .collect();
    let singles: Vec<&Single> =
        singles.iter().filter(|single| single.family != Family::Stall).collect();
    let families: Vec<_> = singles.iter().map(|single| single.family).collect();
    let mut by_family = BTreeMap::new();
    for family in families {
        *by_family.entry(family).or_insert(0_u64) += 1;
    }
    for (family, count) in &by_family {
        *exist.entry(format!("{family} × {family}")).or_default() += count * (count - 1) / 2;
        for (other, others) in by_family.range(*family..).skip(1) {
            *exist.entry(format!("{family} × {other}")).or_default() += count * others;
        }
    }
    let mut at: BTreeMap<&Place, u64> = BTreeMap::new();
    for (place, _) in places.iter().zip(&base.singles).filter(|(_, s)| s.family != Family::Stall) {
        let others = at.entry(place).or_default();
        one_place += *others;
        *others += 1;
    }
    let mut chosen = Vec::new();
    for (number, class) in classes.iter().enumerate() {
        for other in &classes[number..] {
            let apart = |one: &usize, two: &usize| places[*one] != places[*two];
            let mut two = class.iter().flat_map(|one| other.iter().map(move |two| (one, two)));
            chosen.extend(two.find(|(one, two)| apart(one, two)).map(|(one, two)| (*one, *two)));
        }
    }
    let all: u64 = exist.values().sum();
    for (family, count) in exist {
        swept.tally(&family).exist += count;
    }
    swept.merged.one_place += one_place;
    swept.merged.same += all - one_place - chosen.len() as u64;
    chosen
}

fn together(
    base: &Base,
    pairs: &[(usize, usize)],
    stop: &Stop,
    swept: &mut Swept,
    progress: &mut impl FnMut(u64, u64),
) -> Result<ControlFlow<()>, Error> {
    let singles = &base.singles;
    let two = |number: u64| {
        let (one, two) = pairs[number as usize];
        [&singles[one], &singles[two]]
    };
    let work = |number: u64| play(&base.schedule(&two(number))).map(judge);
    let (count, mut failed) = (pairs.len() as u64, None);
    crew::run(swept.options.jobs, count, stop, work, |number, came| {
        progress(number + 1, count);
        match came {
            Ok(came) => swept.count(&family(two(number)), || base.schedule(&two(number)), &came),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    match failed {
        Some(error) => Err(error),
        None if swept.stopped || stop.is_told() => Ok(ControlFlow::Break(())),
        None => Ok(ControlFlow::Continue(())),
    }
}

fn family(two: [&Single; 2]) -> String {
    let (one, two) = (two[0].family, two[1].family);
    format!("{} × {}", one.min(two), one.max(two))
}

/// What a fault hits. Of two faults that hit the same only one can happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    on: Option<String>,
    endpoint: Option<String>,
    nth: Option<u64>,
    node: Option<u32>,
    point: Option<u64>,
}

impl Place {
    fn of(single: &Single) -> Place {
        let fault = &single.fault;
        // A node that falls because of a call is named, but it is the call that is hit.
        let node = fault.node.filter(|_| fault.point.is_some());
        let (on, endpoint) = (fault.on.clone(), fault.endpoint.clone());
        Place { on, endpoint, nth: fault.nth, node, point: fault.point }
    }
}

/// What tells one history from another, but for the name of its fault and the words of an answer.
fn signature(history: &History) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut add = |part: &mut Value| {
        strip(part);
        digest.update(part.to_string());
    };
    for record in &history.records {
        add(&mut value(record));
    }
    let reads = &history.reads;
    add(&mut value(&reads.at));
    add(&mut value(&reads.carrier));
    add(&mut value(&reads.messenger));
    add(&mut value(&reads.rows));
    add(&mut value(&reads.queue));
    digest.finalize().into()
}

fn value(part: &impl Serialize) -> Value {
    // A part that cannot be written would be `null` in all histories: then they count as one, and
    // the writer of histories, which writes the same parts, fails too.
    serde_json::to_value(part).unwrap_or_default()
}

/// The fault's own name, and an answer's status and words. What the service made of them stays.
const WORDS: [&str; 5] = ["fault", "faulted", "status", "statuses", "reason"];

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !WORDS.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}
