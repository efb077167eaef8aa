//! carrier: to be written.
