//! The caller's address is banned.

use super::Spec;
use crate::fault::Field;
use crate::script::{Reply, Script};

pub(super) const SPEC: Spec = Spec::call(
    "ban",
    "the caller's address is banned, for `by` or as long as the API bans",
    |fault| {
        let reply = Reply::Made(|making| making.api.ban(making.call.client, making.fault.by));
        Script::answering(fault, reply)
    },
)
.optional(&[Field::By, Field::Processed]);
