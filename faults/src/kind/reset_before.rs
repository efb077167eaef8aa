//! The connection breaks before the request is processed.

use super::Spec;
use crate::script::{Reply, Script};

pub(super) const SPEC: Spec =
    Spec::call("reset-before", "the connection is reset; the request is never processed", |_| {
        Script::unprocessed(Reply::Reset)
    });
