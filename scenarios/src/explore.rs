//! Generated plans: many runs, each with another world, workload and set of faults.
//!
//! Read in this order: [`generate`] (a plan from a seed and a number), [`expect`] (what must come of
//! it), [`coverage`] (what a set of runs must come through together), [`search`] (the runs, until a
//! promise falls or time is up).

pub mod coverage;
mod dice;
mod expect;
mod generate;
mod powers;
mod report;
mod search;
mod seed;
mod tally;

pub(crate) use dice::Dice;
pub use expect::expect;
pub use generate::generate;
pub use powers::Powers;
pub use report::{Counterexample, Report};
pub use search::{Budget, Error, Failure, Finding, Options, Outcome, plan_under, search};
pub use seed::{NoSeed, Seed};
pub use tally::{Doubt, Tally};
