//! What the run's database lies on, and the power of the machine that it is in.
//!
//! A plan without power cuts, and whose disk is never full, has it in memory. Else it lies on a [`Disk`], and all nodes are
//! processes of the machine with that disk: when the power goes, all die at once, and the first that
//! boots again finds what was synced.

use std::sync::{Arc, OnceLock, Weak};

use clockwork::{Clock, Entropy};
use faults::{Fault, Kind};
use lossy_disk::Disk;
use oms_core::store::group_commit::SchedulingPoint;
use oms_core::store::sqlite::{SharedDatabase, Synchronous};
use oms_core::store::{self};

use super::Error;
use super::host::Host;
use super::node::scheduling_point;
use crate::history::Step;
use crate::plan::Plan;
use crate::recorder::Recorder;

/// The name of the database's file.
const FILE: &str = "oms.db";

/// The database of a run. Clones share it.
#[derive(Clone)]
pub struct Storage {
    database: SharedDatabase,
    power: Option<Arc<Power>>,
}

/// The power of the machine with the disk.
pub struct Power {
    disk: Disk,
    database: SharedDatabase,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    /// Weak, for the hosts know the way to their database, and so this.
    hosts: OnceLock<Weak<[Arc<Host>]>>,
}

impl Storage {
    /// The database that `plan` needs, new and migrated.
    pub fn new(
        plan: &Plan,
        synchronous: Synchronous,
        clock: Arc<dyn Clock>,
        recorder: Recorder,
    ) -> Result<Storage, Error> {
        let cuts = || plan.faults.iter().filter(|fault| fault.kind == Kind::PowerCut);
        let fills = |fault: &Fault| fault.kind == Kind::DiskFull;
        if cuts().next().is_none() && !plan.faults.iter().any(fills) {
            return Ok(Storage { database: SharedDatabase::fresh(), power: None });
        }
        let disk =
            template()?.copy(Entropy::new(plan.seed).fork("disk", 0)).map_err(Error::Disk)?;
        let database = open(&disk, synchronous).map_err(Error::Database)?;
        for operation in cuts().filter_map(|fault| fault.point) {
            disk.cut_at(operation);
        }
        let hosts = OnceLock::new();
        let power = Power { disk, database: database.clone(), clock, recorder, hosts };
        Ok(Storage { database, power: Some(Arc::new(power)) })
    }

    /// The database, from outside of all nodes.
    pub fn database(&self) -> &SharedDatabase {
        &self.database
    }

    /// The power, where it can go.
    pub fn power(&self) -> Option<Arc<Power>> {
        self.power.clone()
    }

    /// Whether the database can be reached.
    pub fn has_power(&self) -> bool {
        self.power.as_ref().is_none_or(|power| power.disk.has_power())
    }

    /// Sees to it that the database can be reached.
    ///
    /// # Errors
    /// When not even an empty database can be made.
    pub fn power_on(&self) -> store::Result<()> {
        self.power.as_ref().map_or(Ok(()), |power| power.on())
    }

    /// Operations of the disk so far; none of a database in memory.
    pub fn operations(&self) -> u64 {
        self.power.as_ref().map_or(0, |power| power.disk.operations())
    }

    /// What a node's store awaits around each job: there the power's end is noticed, by the task
    /// whose write met it, before that task or any other goes on.
    pub fn scheduling_point(&self) -> SchedulingPoint {
        let Some(power) = self.power.clone() else { return Arc::new(scheduling_point) };
        Arc::new(move || {
            if power.disk.has_power() {
                return scheduling_point();
            }
            power.lights_out();
            Box::pin(std::future::pending())
        })
    }
}

/// A disk with a new, migrated database, made once: a machine is not switched off while it is set
/// up.
fn template() -> Result<&'static Disk, Error> {
    static TEMPLATE: OnceLock<Disk> = OnceLock::new();
    if let Some(disk) = TEMPLATE.get() {
        return Ok(disk);
    }
    let disk = Disk::new(Entropy::new(0)).map_err(Error::Disk)?;
    // Its end writes everything into the database's own file.
    drop(open(&disk, Synchronous::Full).map_err(Error::Database)?);
    Ok(TEMPLATE.get_or_init(|| disk))
}

fn open(disk: &Disk, synchronous: Synchronous) -> store::Result<SharedDatabase> {
    SharedDatabase::on(lossy_disk::VFS, &disk.path(FILE), synchronous)
}

impl Power {
    /// Who dies when it goes.
    pub fn feeds(&self, hosts: &Arc<[Arc<Host>]>) {
        // Said once, at the run's start.
        let _ = self.hosts.set(Arc::downgrade(hosts));
    }

    /// The power goes, now.
    pub fn cut(&self) {
        self.disk.power_cut();
        self.lights_out();
    }

    /// It goes at none of the operations to come.
    pub fn heal(&self) {
        self.disk.forget_cuts();
    }

    /// How often it went because of `fault`, which names an operation.
    pub fn times(&self, fault: &Fault) -> u64 {
        let cuts = self.disk.cuts();
        cuts.iter().filter(|operation| fault.point == Some(**operation)).count() as u64
    }

    /// What the end of the power is for everybody but the disk.
    fn lights_out(&self) {
        self.record_cut();
        let hosts = self.hosts.get().and_then(Weak::upgrade);
        for host in hosts.iter().flat_map(|hosts| hosts.iter()) {
            host.kill();
        }
        // Reopened when it is back; without memory for an empty one the dead connection stays.
        let _ = self.database.close();
    }

    /// The power is back, if it was out.
    fn on(&self) -> store::Result<()> {
        while !self.disk.has_power() {
            self.disk.power_on();
            let Err(_) = self.database.reopen() else { return Ok(()) };
            if self.disk.has_power() {
                // Whoever has no backup begins with nothing.
                self.recorder.drill(self.clock.now(), None, Step::DatabaseBroken);
                self.disk.erase();
                let Err(error) = self.database.reopen() else { return Ok(()) };
                if self.disk.has_power() {
                    return Err(error);
                }
            }
            // It went again, while the database was being recovered.
            self.record_cut();
        }
        Ok(())
    }

    fn record_cut(&self) {
        let operation = self.disk.operations();
        self.recorder.drill(self.clock.now(), None, Step::PowerCut { operation });
    }
}
