//! Plans made small.
