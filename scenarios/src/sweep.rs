//! Exhaustive plans.
