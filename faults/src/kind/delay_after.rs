//! The reply lies about.

use super::Spec;
use crate::fault::Field;
use crate::script::{Reply, Script};

pub(super) const SPEC: Spec =
    Spec::call("delay-after", "the request is processed at once and answered `by` late", |fault| {
        Script { delay_after: fault.by.unwrap_or_default(), ..Script::processed(Reply::Own) }
    })
    .required(&[Field::By]);
