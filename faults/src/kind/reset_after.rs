//! The connection breaks after the request was processed.

use super::Spec;
use crate::script::{Reply, Script};

pub(super) const SPEC: Spec = Spec::call(
    "reset-after",
    "the request is processed, then the connection is reset: the reply is lost",
    |_| Script::processed(Reply::Reset),
);
