//! Somebody ends all connections to the database.

use super::{Spec, Target};

pub(super) const SPEC: Spec = Spec::new(
    "connections-ended",
    "the database's server ends every connection of the processes, which may connect again",
    Target::Server,
);
