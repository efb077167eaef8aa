//! Whoever publishes is not told what became of the message.

use super::{Spec, Target};
use crate::fault::Field;

pub(super) const SPEC: Spec = Spec::new(
    "publish-unknown",
    "the queue: the publisher gets no answer; whether the message is kept is told by `processed`",
    Target::Queue,
)
.at("publish")
.optional(&[Field::Processed]);
