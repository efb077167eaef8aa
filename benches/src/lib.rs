//! Nothing but benches: `cargo bench --package benches`.
