//! What goes wrong with nodes and fakes, and when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use clockwork::Timestamp;
use faults::{CrashSignal, Fault, Fired, Kind};

use super::{World, background};
use crate::history::{Phase, Step};
use crate::plan::Site;
use crate::sim::host::Host;
use crate::sim::network::Fall;
use crate::sim::node::Mark;

/// By chance a node dies at none of its scheduling points beyond this one.
const POINTS_MAX: u64 = 100_000;

impl World<'_> {
    /// When the server of `site` is down.
    pub(super) fn falls(&self, site: Site) -> Vec<Fall> {
        let heals_at = self.heals_at().unwrap_or(Timestamp::from_micros(i64::MAX));
        let fall = |(_, fault): (usize, &Fault)| {
            let from = self.start + fault.from.unwrap_or_default();
            Fall { from, until: (from + fault.by.unwrap_or_default()).min(heals_at) }
        };
        let restarts = self.plan().faults_at(site);
        let restarts = restarts.filter(|(_, fault)| fault.kind == Kind::ApiRestart);
        restarts.map(fall).filter(|fall| fall.from < heals_at).collect()
    }

    /// Counts the restarts of the fakes, and has them forget what they say.
    pub(super) fn restart_fakes(&self) {
        for site in [Site::Carrier, Site::Messenger] {
            let faults = self.plan().faults_at(site).enumerate();
            for (place, (_, fault)) in faults {
                let at = self.start + fault.from.unwrap_or_default();
                if fault.kind != Kind::ApiRestart
                    || self.heals_at().is_some_and(|heals| heals <= at)
                {
                    continue;
                }
                let (clock, forgets) = (self.clock.clone(), fault.forgets == Some(true));
                let (carrier, gateway) = (self.carrier.clone(), self.gateway.clone());
                background(async move {
                    clock.sleep_until(at).await;
                    match site {
                        Site::Messenger => {
                            gateway.injector().note_fired(place);
                            forgets.then(|| gateway.forget());
                        }
                        _ => {
                            carrier.injector().note_fired(place);
                            forgets.then(|| carrier.forget());
                        }
                    }
                });
            }
        }
    }

    /// What happens to a node at its scheduling points.
    pub(super) fn marks(&self, number: u32) -> BTreeMap<u64, Mark> {
        let mine = self.node_faults.iter().filter(|fault| hits(fault, number));
        mine.flat_map(|fault| self.marks_of(fault)).collect()
    }

    fn marks_of(&self, fault: &Fault) -> BTreeMap<u64, Mark> {
        let mark = match (fault.kind, fault.by) {
            (Kind::Crash, _) => Mark::Crash,
            (Kind::Stall, Some(length)) => Mark::Stall(length),
            _ => return BTreeMap::new(),
        };
        if let Some(rate) = fault.rate {
            let chance = self.entropy().fork("crash", fault.node);
            let hit = |point: &u64| chance.fork("point", *point).chance(rate);
            let times = usize::try_from(fault.times.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
            return (1..POINTS_MAX).filter(hit).take(times).map(|point| (point, mark)).collect();
        }
        fault.point.map(|point| (point, mark)).into_iter().collect()
    }

    /// Kills and stalls nodes at their times, and whenever a fake sees the call that they wait for.
    pub(super) fn disturb_nodes(&self, hosts: &Arc<[Arc<Host>]>) {
        for injector in [self.carrier.injector(), self.gateway.injector()] {
            let hosts = hosts.clone();
            injector.on_crash(Arc::new(move |signal: CrashSignal| fell(&hosts, &signal.fault)));
        }
        // A clock jumps by itself.
        let falls = |fault: &&Fault| !at_points(fault) && fault.kind != Kind::ClockSkew;
        for fault in self.node_faults.iter().filter(falls) {
            let Some(from) = fault.from else { continue };
            let (clock, at) = (self.clock.clone(), self.start + from);
            let (hosts, fault) = (hosts.clone(), fault.clone());
            if self.heals_at().is_some_and(|heals_at| heals_at <= at) {
                continue;
            }
            background(async move {
                clock.sleep_until(at).await;
                fell(&hosts, &fault);
            });
        }
    }

    /// When the chaos ends, if the plan says so.
    pub(super) fn heals_at(&self) -> Option<Timestamp> {
        self.plan().heal_after.map(|after| self.start + after)
    }

    /// From one moment on no fault fires any more and every node runs. What is under way by then
    /// still arrives, and a clock that is wrong stays wrong: it would have to jump.
    pub(super) fn heal_in_time(&self, hosts: &Arc<[Arc<Host>]>) {
        let Some(heals_at) = self.heals_at() else { return };
        let (clock, recorder) = (self.clock.clone(), self.recorder.clone());
        let injectors = [self.carrier.injector(), self.gateway.injector()];
        let (store_faults, broker) = (self.store_faults.clone(), self.broker.clone());
        let hosts = hosts.clone();
        background(async move {
            clock.sleep_until(heals_at).await;
            recorder.drill(clock.now(), None, Step::Phase { phase: Phase::Heal });
            for injector in injectors {
                injector.heal();
            }
            store_faults.heal();
            broker.heal();
            for host in hosts.iter() {
                host.heal();
            }
        });
    }

    pub(super) fn node_fired(&self, hosts: &[Arc<Host>], fault: &Fault) -> Fired {
        let passed = |host: &&Arc<Host>| hits(fault, host.number());
        let passed = hosts.iter().find(passed).map_or(0, |host| host.points());
        let times = match (at_points(fault), fault.from) {
            (true, _) => self.marks_of(fault).range(..=passed).count() as u64,
            (false, Some(from)) => {
                let at = self.start + from;
                let healed = self.heals_at().is_some_and(|heals_at| heals_at <= at);
                u64::from(!healed && at <= self.clock.now())
            }
            // A clock is wrong from the start.
            (false, None) => u64::from(fault.kind == Kind::ClockSkew),
        };
        Fired { fault: fault.clone(), times }
    }
}

/// Whether a node's fault happens at scheduling points.
fn at_points(fault: &Fault) -> bool {
    fault.point.is_some() || fault.rate.is_some()
}

/// Whether a node's fault hits the node of this number; without one it is the first.
fn hits(fault: &Fault, number: u32) -> bool {
    fault.node.unwrap_or(0) == number
}

/// Does to its node what the fault says.
fn fell(hosts: &Arc<[Arc<Host>]>, fault: &Fault) {
    let Some(host) = hosts.iter().find(|host| hits(fault, host.number())).cloned() else { return };
    match (fault.kind, fault.by) {
        (Kind::Stall, Some(length)) => background(async move { host.stall(length).await }),
        _ => host.kill(),
    }
}
