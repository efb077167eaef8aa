//! What a database does. Their triggers name an operation as `endpoint`.

use super::{Spec, Target};
use crate::fault::Field;

pub(super) const BUSY: Spec =
    Spec::new("busy", "another writer holds the database: nothing was written", Target::Store);

pub(super) const COMMIT_FAILS: Spec =
    Spec::new("commit-fails", "the commit fails: nothing was written", Target::Store);

pub(super) const COMMIT_UNKNOWN: Spec = Spec::new(
    "commit-unknown",
    "the transaction is committed and the answer is lost",
    Target::Store,
);

pub(super) const DISCONNECT: Spec =
    Spec::new("disconnect", "the connection ends: nothing was written", Target::Store);

pub(super) const SLOW: Spec =
    Spec::new("slow", "the operation takes `by` longer", Target::Store).required(&[Field::By]);
