//! A business error inside HTTP 200.

use super::Spec;
use crate::fault::Field;
use crate::script::{Reply, Script};

pub(super) const SPEC: Spec = Spec::call(
    "refuse",
    "a business error inside HTTP 200, with the API's own code in `detail`",
    |fault| {
        let refusal =
            Reply::Made(|making| making.api.refusal(making.call, making.fault.detail.as_deref()));
        Script::answering(fault, refusal)
    },
)
.optional(&[Field::Detail, Field::Processed]);
