//! Generated plans.
