//! Failure drills: a plan is run, simulated or live, and judged from evidence.
//!
//! Read in this order: [`plan`] (what is to happen), [`catalogue`] (the plans that ship), [`sim`]
//! and [`live`] (the two ways to run one), [`history`] (what happened), [`evidence`] (what is
//! judged), [`promises`] (what must hold), [`reach`] (what a run came through), [`verdict`] (what it
//! comes to), [`report`] (how it is told), [`sabotage`] (bugs planted to show that the net holds).
//!
//! Then what looks for the plan that breaks a promise: [`trial`] (one run judged), [`explore`]
//! (generated plans), [`sweep`] (every fault at every place), [`shrink`] (plans made small),
//! [`prove`] (planted bugs are found), [`mod@bench`] (how fast it all is). And what answers which way
//! to use: [`strategies`] (the ways), [`compare`] (side by side), [`advise`] (the decision tree, with the evidence).

pub mod advise;
pub mod bench;
pub mod catalogue;
pub mod cli;
pub mod compare;
mod credentials;
pub mod crew;
pub mod evidence;
pub mod explore;
pub mod history;
pub mod live;
mod offering;
pub mod plan;
pub mod promises;
pub mod prove;
pub mod queue;
pub mod reach;
mod recorder;
pub mod report;
pub mod runner;
pub mod sabotage;
pub mod server;
mod settled;
pub mod shrink;
pub mod sign_up;
pub mod sim;
mod skew;
pub mod soak;
pub mod strategies;
pub mod sweep;
pub mod trial;
pub mod verdict;
pub mod workload;

#[cfg(test)]
mod testing;
