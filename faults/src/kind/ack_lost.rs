//! The broker never hears that a message was worked on.

use super::{Spec, Target};

pub(super) const SPEC: Spec = Spec::new(
    "ack-lost",
    "the queue: the acknowledgement does not arrive, so the message is delivered again in time",
    Target::Queue,
)
.at("ack");
