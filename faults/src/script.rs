//! What a fault does to a call, as data that the layer plays.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use clockwork::Clock;

use crate::api::{Api, Call};
use crate::fault::{Fault, When};

/// The part that a fault plays: wait, process, wait, reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    /// How long the request lies about before it is processed.
    pub delay_before: Duration,
    /// Whether the handler runs. Once it has the request, no caller that hangs up undoes it.
    pub process: bool,
    /// How long the reply lies about.
    pub delay_after: Duration,
    /// On which side of the processing the runner is told to fell the node.
    pub signal: Option<When>,
    /// What the caller gets.
    pub reply: Reply,
}

/// What the caller gets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    /// What the handler answered.
    Own,
    /// A connection reset.
    Reset,
    /// Nothing, for ever.
    Hang,
    /// Another reply.
    Made(fn(&Making<'_>) -> Response),
    /// The reply, altered: the handler's own, or the API's refusal when it did not run.
    Altered(fn(&Making<'_>, Whole) -> Response),
    /// As `Altered`, with a body that breaks off.
    Broken(fn(&Making<'_>, Whole) -> Response),
}

/// What a reply is made from.
pub(crate) struct Making<'a> {
    pub fault: &'a Fault,
    pub call: &'a Call,
    pub uri: &'a http::Uri,
    pub api: &'a dyn Api,
    pub clock: &'a Arc<dyn Clock>,
}

/// A reply with its whole body.
pub(crate) struct Whole {
    pub head: http::response::Parts,
    pub body: Bytes,
}

impl Script {
    /// Not processed, and answered by `reply`.
    pub(crate) fn unprocessed(reply: Reply) -> Script {
        Script {
            delay_before: Duration::ZERO,
            process: false,
            delay_after: Duration::ZERO,
            signal: None,
            reply,
        }
    }

    /// Processed, and answered by `reply`.
    pub(crate) fn processed(reply: Reply) -> Script {
        Script { process: true, ..Script::unprocessed(reply) }
    }

    /// Processed if `fault` says so, and answered by `reply` either way.
    pub(crate) fn answering(fault: &Fault, reply: Reply) -> Script {
        Script { process: fault.processed.unwrap_or(false), ..Script::unprocessed(reply) }
    }
}
