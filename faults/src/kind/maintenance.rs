//! The API is being maintained.

use super::Spec;
use crate::fault::Field;
use crate::script::{Reply, Script};

pub(super) const SPEC: Spec =
    Spec::call("maintenance", "what the API answers while it is being maintained", |fault| {
        let reply = Reply::Made(|making| making.api.maintenance(making.call));
        Script::answering(fault, reply)
    })
    .optional(&[Field::Processed]);
