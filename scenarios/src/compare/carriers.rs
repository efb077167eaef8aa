//! The three kinds of carrier, and what no strategy can promise under each.

use fake_cj::config::Duplicates;
use serde::Serialize;

use crate::plan::Plan;

/// What a carrier does with a booking that it has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// Refuses it, and says that it has it.
    Rejects,
    /// Answers as it did the first time.
    Replays,
    /// Books again.
    BooksAgain,
}

impl Carrier {
    /// All of them, from the easiest to the worst.
    pub const ALL: [Carrier; 3] = [Carrier::Replays, Carrier::Rejects, Carrier::BooksAgain];

    /// The carrier of a plan.
    pub fn of(plan: &Plan) -> Carrier {
        match plan.carrier.duplicates {
            Duplicates::Reject => Carrier::Rejects,
            Duplicates::Replay => Carrier::Replays,
            Duplicates::Accept => Carrier::BooksAgain,
        }
    }

    /// In a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Carrier::Rejects => "a carrier that rejects duplicates",
            Carrier::Replays => "a carrier that replays its answer",
            Carrier::BooksAgain => "a carrier that books again",
        }
    }

    /// What nobody can promise there, however the calls are placed.
    pub const fn beyond_anyone(self) -> &'static str {
        match self {
            Carrier::Replays => {
                "Sending the same request again is safe, as long as it is the same: a new invoice \
                 number, or the date of the next day, makes it another one. What nobody can \
                 promise: how soon an unknown outcome is known, for that is when the carrier \
                 answers again."
            }
            Carrier::Rejects => {
                "Sending the same request again is safe, and its rejection is an answer: with the \
                 only invoice number ever used it means booked. Who takes it for a failure has a \
                 parcel under way that no row knows of. What nobody can promise: that a refusal \
                 for another reason says anything of the first request."
            }
            Carrier::BooksAgain => {
                "Sending again books again, so an unknown outcome may only be asked about, and \
                 \"not found\" proves something only once no request can be under way any longer. \
                 Such a carrier that cannot be asked either leaves one choice to every strategy: \
                 to send again and risk two parcels, or not to and risk none. What it does not \
                 tell, no strategy can know; a person must ask the carrier."
            }
        }
    }
}
