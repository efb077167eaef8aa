//! intake: to be written.
