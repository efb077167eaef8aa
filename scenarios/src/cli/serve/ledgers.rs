//! What the ledgers alone can tell of an order system of which nothing else is known.

use std::collections::BTreeMap;

use faults::Fired;
use serde_json::{Value, json};

use super::super::Format;
use crate::promises;
use crate::verdict::{Verdict, describe_fault};

/// What came out.
pub(super) struct Judgement {
    /// By promise, sentences; none where it held.
    broken: BTreeMap<&'static str, Vec<String>>,
    /// Why nothing is proved.
    doubts: Vec<String>,
}

/// Judges the ledgers, and whether the faults that were asked for came about.
pub(super) fn judge(
    carrier: &fake_cj::Ledger,
    gateway: &fake_kakao::Ledger,
    fired: &[Fired],
) -> Judgement {
    let mut doubts = Vec::new();
    if carrier.bookings.is_empty() && gateway.messages.is_empty() {
        doubts.push("nothing was booked and no message sent".to_owned());
    }
    let lost = carrier.totals.bookings.saturating_sub(carrier.bookings.len() as u64);
    if lost > 0 {
        doubts.push(format!("the carrier's ledger has dropped {lost} bookings"));
    }
    let unnamed = gateway.sends.iter().filter(|sends| sends.reference.is_none());
    let unnamed: u64 = unnamed.map(|sends| sends.accepted).sum();
    if unnamed > 0 {
        doubts.push(format!("of {unnamed} messages no `ref` says what they are about"));
    }
    let dropped = gateway.totals.messages_dropped;
    if dropped > 0 {
        doubts.push(format!("the gateway's ledger has dropped {dropped} messages"));
    }
    let missing = fired.iter().filter(|fired| fired.times == 0);
    doubts.extend(missing.map(|fired| format!("{} never fired", describe_fault(&fired.fault))));
    Judgement {
        broken: BTreeMap::from([
            ("no-double-shipment", shipments(carrier)),
            ("no-double-notification", messages(gateway)),
            ("quota-kept", bans(carrier)),
        ]),
        doubts,
    }
}

fn shipments(carrier: &fake_cj::Ledger) -> Vec<String> {
    let mut live: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for booking in carrier.bookings.iter().filter(|booking| booking.is_live()) {
        live.entry(&booking.cust_use_no).or_default().push(&booking.invoice_no);
    }
    let twice = live.into_iter().filter(|(_, invoices)| invoices.len() > 1);
    let told = twice.map(|(key, invoices)| {
        format!("{key} has {} live bookings: {}", invoices.len(), invoices.join(", "))
    });
    told.collect()
}

fn messages(gateway: &fake_kakao::Ledger) -> Vec<String> {
    let told = gateway.sends.iter().filter(|sends| sends.accepted > 1).filter_map(|sends| {
        let about = sends.reference.as_deref()?;
        Some(format!("{} was told {} times of {about}", sends.to_masked, sends.accepted))
    });
    told.collect()
}

/// Bans that the caller's own calls brought on, at that very moment; a fault's are not its doing.
fn bans(carrier: &fake_cj::Ledger) -> Vec<String> {
    let own = carrier.bans.iter().filter(|ban| {
        let mut violations = carrier.violations.iter();
        violations.any(|one| one.client == ban.client && one.at == ban.from)
    });
    own.map(|ban| format!("{} was banned at {}", ban.client, ban.from)).collect()
}

impl Judgement {
    /// What it comes to.
    pub(super) fn verdict(&self) -> Verdict {
        if self.broken.values().any(|sentences| !sentences.is_empty()) {
            Verdict::Violated
        } else if !self.doubts.is_empty() {
            Verdict::Inconclusive
        } else {
            Verdict::Held
        }
    }

    /// As `format` has it; JSON in one line.
    pub(super) fn told(&self, format: Format) -> String {
        match format {
            Format::Json => format!("{}\n", self.to_json()),
            Format::Human => self.to_human(),
        }
    }

    fn to_json(&self) -> Value {
        let promise = |(id, says): (&&str, &Vec<String>)| {
            let verdict = if says.is_empty() { Verdict::Held } else { Verdict::Violated };
            json!({ "id": id, "verdict": verdict, "violations": says })
        };
        let promises: Vec<Value> = self.broken.iter().map(promise).collect();
        let verdict = self.verdict();
        json!({
            "verdict": verdict,
            "exit_code": verdict.exit_code(),
            "reasons": self.doubts,
            "promises": promises,
        })
    }

    fn to_human(&self) -> String {
        let promises = self.broken.iter().map(|(id, says)| match says.is_empty() {
            true => format!("{id}: held\n"),
            false => says.iter().map(|said| format!("{id}: {said}\n")).collect(),
        });
        let doubts = self.doubts.iter().map(|doubt| format!("{doubt}\n"));
        let verdict = self.verdict();
        let all = promises::ALL.len();
        let judged = self.broken.len();
        promises
            .chain(doubts)
            .chain([format!("{verdict}: {judged} of {all} promises show in the ledgers alone\n")])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use faults::{Fault, Kind};

    use super::*;
    use crate::testing::Builder;

    #[track_caller]
    fn check(builder: Builder, fired: &[Fired], verdict: Verdict, says: &str) {
        let evidence = builder.evidence();
        let judgement = judge(&evidence.carrier, &evidence.messenger, fired);
        assert_eq!(judgement.verdict(), verdict);
        let told = judgement.told(Format::Human);
        assert!(told.contains(says), "{told}");
        let json: Value = serde_json::from_str(&judgement.told(Format::Json)).unwrap();
        assert_eq!(json["exit_code"], verdict.exit_code());
    }

    #[test]
    fn ledgers_in_which_nothing_stands_twice_are_held() {
        check(Builder::clean(2), &[], Verdict::Held, "held: 3 of 15 promises");
    }

    #[test]
    fn two_live_bookings_of_one_parcel_are_told() {
        let twice = Builder::clean(2).booking("ORD-1-1", "650000000999", 2_000);
        check(twice, &[], Verdict::Violated, "ORD-1-1 has 2 live bookings: 650000000011, 65000");
    }

    #[test]
    fn ledgers_without_an_entry_and_faults_that_never_fired_prove_nothing() {
        let nothing = "nothing was booked and no message sent\n";
        check(Builder::clean(0), &[], Verdict::Inconclusive, nothing);
        let fault = Fault { endpoint: Some("RegBook".to_owned()), ..Fault::new(Kind::Empty) };
        let fired = |times| [Fired { fault: fault.clone(), times }];
        let never = "empty RegBook never fired\n";
        check(Builder::clean(1), &fired(0), Verdict::Inconclusive, never);
        check(Builder::clean(1), &fired(1), Verdict::Held, "held: 3 of 15 promises");
    }
}
