//! Exhaustive before random: every fault at every place of a small workload, and every two of them.
//!
//! An order of events is a seed and a depth of priorities (`sim/turns.rs`). For each of them the
//! workload is run once without faults; what happened there says where faults can hit, so that
//! each schedule hits exactly one call, one operation of the store, or one scheduling point. Up to
//! there a schedule is that first run, so its fault always fires.

mod pairs;
mod places;
pub mod power;
mod singles;
mod table;

pub use pairs::Merged;
pub use places::{CallPlace, CommitPlace, Places};
pub use table::{Kept, human, json};

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::time::Duration;

use faults::Fault;

use crate::crew::{self, Stop};
use crate::evidence::Evidence;
use crate::history::History;
use crate::plan::{Expect, Plan, Site, World};
use crate::sim::{self, Run};
use crate::verdict::{self, Judgement, Verdict, describe_fault};

/// Depths of priorities, by turns: 0 is the order in which tasks became ready.
const DEPTHS: [u32; 4] = [0, 1, 2, 3];

/// The greatest depth among so many orders of events.
fn deepest(seeds: u32) -> u32 {
    DEPTHS.into_iter().take(seeds as usize).max().unwrap_or_default()
}

/// Idle workers look at the database this often. The default, a second, fills a run with claims of
/// nothing; what is due is waited for all the same, so no step comes later.
const POLL: Duration = Duration::from_secs(10);

/// What is swept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Orders of the workload, one message each.
    pub orders: u32,
    /// Over so many orders of events.
    pub seeds: u32,
    /// Every two faults instead of every one.
    pub pairs: bool,
    /// The strategy, by name; the recommended one without it.
    pub strategy: Option<String>,
    /// The planted bug, by name.
    pub sabotage: Option<String>,
    /// Runs at once.
    pub jobs: NonZeroUsize,
}

/// A sweep that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A run that could not be made.
    #[error("run of a schedule")]
    Run(#[from] sim::Error),
}

/// What kind of place a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// A request to a fake, or its connection.
    Call,
    /// An operation of the store.
    Commit,
    /// A message on its way through the broker.
    Queue,
    /// A node dies at a scheduling point.
    Crash,
    /// A node stands still at a scheduling point.
    Stall,
    /// The power goes at an operation of the disk.
    PowerCut,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Call => "call",
            Family::Commit => "commit",
            Family::Queue => "queue",
            Family::Crash => "crash",
            Family::Stall => "stall",
            Family::PowerCut => "power cut",
        })
    }
}

/// One fault at one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Single {
    /// What kind of place it hits.
    pub family: Family,
    /// The fault.
    pub fault: Fault,
    /// It is a final refusal, by this API: its order does not complete.
    pub refuses: Option<Site>,
}

/// The workload under one order of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Base {
    /// The plan without faults.
    pub plan: Plan,
    /// Every fault at every place. None when a promise falls without any fault: what is stuck tries
    /// for ever, and there is nothing that faults could show.
    pub singles: Vec<Single>,
}

impl Base {
    /// The workload under the order of events of this number, from 0.
    ///
    /// # Errors
    /// [`Error::Run`].
    pub fn of(options: &Options, number: u32) -> Result<Base, Error> {
        let plan = plan(options, number);
        let sound = judge(play(&plan)?).fate != Fate::Violated;
        let singles = if sound { singles::all(&Places::of(&plan)?) } else { Vec::new() };
        Ok(Base { plan, singles })
    }

    /// The plan of the schedule in which these faults happen.
    pub fn schedule(&self, faults: &[&Single]) -> Plan {
        let mut plan = self.plan.clone();
        plan.faults = faults.iter().map(|single| single.fault.clone()).collect();
        plan.expect = expected(u64::from(plan.workload.orders), faults);
        plan
    }
}

/// What must come of the orders: all complete, but for those that are refused. One refusal hits the
/// first request of its order, and is final. Beside a second fault it may hit a repetition, which
/// finds what the first had done.
fn expected(orders: u64, faults: &[&Single]) -> Expect {
    let refusals: Vec<Site> = faults.iter().filter_map(|single| single.refuses).collect();
    let refused = orders.min(refusals.len() as u64);
    let mut expect = Expect { completed: orders - refused, ..Expect::default() };
    match (faults, refusals.as_slice()) {
        ([_], [Site::Messenger]) => expect.notify_failed = refused,
        ([_], [_]) => expect.delivery_failed = refused,
        _ => expect.undecided = refused,
    }
    expect
}

/// The workload without faults under the order of events of this number.
fn plan(options: &Options, number: u32) -> Plan {
    let mut plan = Plan::healthy("sweep", options.orders);
    plan.why = "A schedule of the sweep.".to_owned();
    plan.seed = 1 + u64::from(number);
    plan.strategy.clone_from(&options.strategy);
    plan.sabotage.clone_from(&options.sabotage);
    plan.workload.over = Duration::ZERO;
    plan.oms.service.poll = POLL;
    let priorities = DEPTHS[number as usize % DEPTHS.len()];
    plan.world = World { nodes: 2, priorities, ..World::default() };
    plan
}

/// How a schedule came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// All promises held, and all faults fired.
    Held,
    /// All promises held; of two faults the first kept the second from happening.
    Prevented,
    /// Nothing broke, and it proves nothing.
    Inconclusive,
    /// A promise fell.
    Violated,
}

/// How the schedules of a family came out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// So many schedules there are.
    pub exist: u64,
    /// So many were run.
    pub ran: u64,
    /// All promises held in so many.
    pub held: u64,
    /// In so many of two faults one did not happen, since the other did; all promises held.
    pub prevented: u64,
    /// So many prove nothing.
    pub inconclusive: u64,
    /// In so many a promise fell.
    pub violated: u64,
}

/// A schedule that did not hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallen {
    /// Its plan.
    pub plan: Plan,
    /// The promises that fell; none of an inconclusive one.
    pub promises: Vec<&'static str>,
    /// Why, a sentence each.
    pub says: Vec<String>,
}

/// What came of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Swept {
    /// What was swept.
    pub options: Options,
    /// How each family came out, in order.
    pub families: BTreeMap<String, Tally>,
    /// What was not run, since it is known to be the same as something that was.
    pub merged: Merged,
    /// The first schedules that did not hold, at most [`SHOWN_MAX`].
    pub fallen: Vec<Fallen>,
    /// Virtual time of all runs.
    pub virtual_time: Duration,
    /// It was told to stop, or a planted bug was found, before all schedules were run.
    pub stopped: bool,
    /// Whether it came to the pairs, and counted how many there are.
    pub pairs_begun: bool,
}

/// At most so many schedules that did not hold are kept; all are counted.
pub const SHOWN_MAX: usize = 20;

impl Swept {
    fn new(options: &Options) -> Swept {
        Swept {
            options: options.clone(),
            families: BTreeMap::new(),
            merged: Merged::default(),
            fallen: Vec::new(),
            virtual_time: Duration::ZERO,
            stopped: false,
            pairs_begun: false,
        }
    }

    /// All families together.
    pub fn total(&self) -> Tally {
        self.families.values().fold(Tally::default(), |sum, tally| Tally {
            exist: sum.exist + tally.exist,
            ran: sum.ran + tally.ran,
            held: sum.held + tally.held,
            prevented: sum.prevented + tally.prevented,
            inconclusive: sum.inconclusive + tally.inconclusive,
            violated: sum.violated + tally.violated,
        })
    }

    /// What it comes to: the worst of all schedules. One that was not run proves nothing.
    pub fn verdict(&self) -> Verdict {
        let total = self.total();
        if total.violated > 0 {
            Verdict::Violated
        } else if total.inconclusive > 0 || self.stopped {
            Verdict::Inconclusive
        } else {
            Verdict::Held
        }
    }

    fn tally(&mut self, family: &str) -> &mut Tally {
        self.families.entry(family.to_owned()).or_default()
    }

    /// Counts a run. Breaks off when the bug that was planted is found.
    fn count(&mut self, family: &str, plan: impl FnOnce() -> Plan, came: &Came) -> ControlFlow<()> {
        self.virtual_time += came.virtual_time;
        let tally = self.tally(family);
        tally.ran += 1;
        match came.fate {
            Fate::Held => tally.held += 1,
            Fate::Prevented => tally.prevented += 1,
            Fate::Inconclusive => tally.inconclusive += 1,
            Fate::Violated => tally.violated += 1,
        }
        let fell = matches!(came.fate, Fate::Inconclusive | Fate::Violated);
        if fell && self.fallen.len() < SHOWN_MAX {
            let (promises, says) = (came.promises.clone(), came.says.clone());
            self.fallen.push(Fallen { plan: plan(), promises, says });
        }
        if came.fate == Fate::Violated && self.options.sabotage.is_some() {
            self.stopped = true;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// One run, judged.
struct Came {
    fate: Fate,
    promises: Vec<&'static str>,
    says: Vec<String>,
    virtual_time: Duration,
}

/// Runs a schedule.
fn play(plan: &Plan) -> Result<History, Error> {
    // Without the run that healthy orders are measured against: no order is bad here by name.
    Ok(sim::run(&Run::of(plan))?)
}

fn judge(history: History) -> Came {
    let virtual_time = history.reads.at.since(history.plan.start);
    let judgement = verdict::judge(&Evidence::from(history));
    let broken = judgement.promises.iter().filter(|p| p.verdict == Verdict::Violated);
    let promises: Vec<&'static str> = broken.clone().map(|promise| promise.id).collect();
    let mut says: Vec<String> = broken
        .flat_map(|p| p.violations.iter().map(|told| format!("{}: {}", p.id, told.says)))
        .collect();
    says.extend(judgement.reasons.iter().cloned());
    Came { fate: fate(&judgement), promises, says, virtual_time }
}

fn fate(judgement: &Judgement) -> Fate {
    match judgement.verdict {
        Verdict::Held => Fate::Held,
        Verdict::Violated => Fate::Violated,
        Verdict::Inconclusive => {
            let unfired = judgement.faults.iter().filter(|fault| fault.is_missing()).count();
            let other = judgement.reasons.len() > unfired;
            let one_of_two = judgement.faults.len() == 2 && unfired == 1;
            if one_of_two && !other { Fate::Prevented } else { Fate::Inconclusive }
        }
    }
}

/// Sweeps. `progress` is told how many schedules were run, of how many.
///
/// # Errors
/// [`Error`], when a schedule could not be run.
pub fn sweep(
    options: &Options,
    stop: &Stop,
    mut progress: impl FnMut(u64, u64),
) -> Result<Swept, Error> {
    let bases = (0..options.seeds).map(|number| Base::of(options, number));
    let bases = bases.collect::<Result<Vec<Base>, Error>>()?;
    let mut swept = Swept::new(options);
    if options.pairs {
        pairs::sweep(&bases, stop, &mut swept, &mut progress)?;
    } else {
        sweep_singles(&bases, stop, &mut swept, &mut progress)?;
    }
    swept.stopped |= stop.is_told();
    Ok(swept)
}

fn sweep_singles(
    bases: &[Base],
    stop: &Stop,
    swept: &mut Swept,
    progress: &mut impl FnMut(u64, u64),
) -> Result<(), Error> {
    let mut all: Vec<(&Base, Option<&Single>)> = Vec::new();
    for base in bases {
        all.push((base, None));
        all.extend(base.singles.iter().map(|single| (base, Some(single))));
    }
    for (_, single) in &all {
        swept.tally(&name(*single)).exist += 1;
    }
    let plan = |number: u64| {
        let (base, single) = all[number as usize];
        base.schedule(single.as_slice())
    };
    let work = |number: u64| play(&plan(number)).map(judge);
    let (count, mut failed) = (all.len() as u64, None);
    crew::run(swept.options.jobs, count, stop, work, |number, came| {
        progress(number + 1, count);
        match came {
            Ok(came) => swept.count(&name(all[number as usize].1), || plan(number), &came),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    failed.map_or(Ok(()), Err)
}

/// What the family of a schedule with at most one fault is called.
fn name(single: Option<&Single>) -> String {
    single.map_or("no fault".to_owned(), |single| single.family.to_string())
}

/// A schedule's faults in a few words.
pub fn describe(plan: &Plan) -> String {
    let order = format!("seed {}, depth {}", plan.seed, plan.world.priorities);
    let faults: Vec<String> = plan.faults.iter().map(words).collect();
    format!(
        "{order}: {}",
        if faults.is_empty() { "no fault".to_owned() } else { faults.join("; ") }
    )
}

/// All that tells a fault from the others at its place.
fn words(fault: &Fault) -> String {
    let mut words = describe_fault(fault);
    if let Some(node) = fault.node {
        words += &format!(" node {node}");
    }
    if let Some(processed) = fault.processed {
        words += if processed { ", processed" } else { ", not processed" };
    }
    if let Some(by) = fault.by {
        words += &format!(", {}", humantime::format_duration(by));
    }
    if let Some(after) = &fault.retry_after {
        words += &format!(", retry after {after}");
    }
    words
}
