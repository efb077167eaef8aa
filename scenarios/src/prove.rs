//! Planted bugs are found.
