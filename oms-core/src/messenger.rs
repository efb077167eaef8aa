//! messenger: to be written.
