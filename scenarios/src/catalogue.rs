//! The drills that ship: each a plan file, in the order in which they are read.
//!
//! Adding one: a file in `plans/`, and a line in [`FILES`].

use crate::plan::{self, Plan};

/// A plan file, as it was compiled in.
pub struct File {
    /// Its name in `plans/`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Compiled in, so that the program needs no files beside it.
macro_rules! files {
    ($($name:literal,)+) => {
        /// All plan files, from the everyday to the exotic.
        pub const FILES: &[File] = &[
            $(File { name: $name, text: include_str!(concat!("../plans/", $name, ".toml")) },)+
        ];
    };
}

files! {
    "seed-batch",
    "burst-of-300",
    "banned-by-a-neighbour",
    "booking-reply-lost",
    "reply-lost-across-midnight",
    "late-delivery",
    "slower-than-every-timeout",
    "carrier-books-duplicates",
    "carrier-down",
    "carrier-restart",
    "carrier-forgets-repeats",
    "carrier-under-maintenance",
    "told-to-wait",
    "token-revoked",
    "garbage-replies",
    "poison-orders",
    "bad-addresses",
    "bundle-refused",
    "called-back",
    "called-back-over-booking",
    "called-back-after-midnight",
    "operator",
    "gateway-down",
    "messenger-restart",
    "messenger-forgets-repeats",
    "message-refused",
    "message-reply-lost",
    "message-lost-at-midnight",
    "only-reports-answer",
    "not-on-kakao",
    "peers-test",
    "crash-around-calls",
    "crash-on-the-worst-carrier",
    "crash-between-steps",
    "sleeps-through-lease",
    "takeover",
    "quota",
    "fairness",
    "database-trouble",
    "database-restart",
    "connections-ended",
    "disk-full",
    "clocks-apart",
    "clock-jump",
    "power-cut",
    "sign-up",
    "sign-up-in-one-transaction",
    "sign-up-apart",
    "sign-up-without-transaction",
    "send-and-log",
    "send-and-log-apart",
    "external-effects-stay",
    "pool-exhaustion",
    "pool-kept-free",
    "queue",
    "queue-event-lost",
    "queue-consumer-dies",
    "queue-broker-restart",
}

/// All plans.
///
/// # Errors
/// The first file that is no plan; a test sees to it that there is none.
pub fn plans() -> Result<Vec<Plan>, plan::Error> {
    FILES.iter().map(|file| Plan::parse_named(file.name, file.text)).collect()
}

/// The plan called `name`.
pub fn named(name: &str) -> Option<Result<Plan, plan::Error>> {
    let file = FILES.iter().find(|file| file.name == name)?;
    Some(Plan::parse_named(file.name, file.text))
}
