//! The request lies about before it is processed.

use super::Spec;
use crate::fault::Field;
use crate::script::{Reply, Script};

pub(super) const SPEC: Spec =
    Spec::call("delay-before", "the request is processed `by` late, and then answered", |fault| {
        Script { delay_before: fault.by.unwrap_or_default(), ..Script::processed(Reply::Own) }
    })
    .required(&[Field::By]);
