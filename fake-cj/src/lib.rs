//! fake-cj
