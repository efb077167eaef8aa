//! The caller's credentials expire early.

use super::Spec;
use crate::fault::Field;
use crate::script::{Reply, Script};

pub(super) const SPEC: Spec = Spec::call(
    "auth-expired",
    "the caller's credentials are revoked; 401 as the API says it",
    |fault| {
        let reply = Reply::Made(|making| making.api.expire_credentials(making.call));
        Script::answering(fault, reply)
    },
)
.optional(&[Field::Processed]);
