//! Nobody listens.

use super::{Spec, Target};

pub(super) const SPEC: Spec =
    Spec::new("connect-refused", "the connection is refused: nothing was sent", Target::Connection);
