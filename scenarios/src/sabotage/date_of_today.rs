//! The date in a request to the carrier is the date on which it is sent.

use std::sync::Arc;

use clockwork::Clock;
use serde_json::Value;

use super::tapped_transport::{Fields, TappedTransport};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "date-of-today",
    family: Family::ClockAndMidnight,
    why: "`RCPT_YMD` is `LocalDate.now()` in the builder of every request: a cancellation after \
          midnight names a booking that the carrier has under yesterday's date",
    breaks: "everything-settles",
    seen_in: &["called-back-after-midnight"],
    seams: |env, _| {
        for endpoint in ["RegBook", "CnclBook"] {
            let clock = env.clock.clone();
            let date = move |fields: &mut Fields| date_anew(fields, &*clock);
            env.carrier = Arc::new(TappedTransport::new(env.carrier.clone(), endpoint, date));
        }
    },
    ..Sabotage::NONE
};

fn date_anew(fields: &mut Fields, clock: &dyn Clock) {
    let Some(Value::Object(data)) = fields.get_mut("DATA") else { return };
    let text = |data: &Fields, name: &str| {
        data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let today = clock.now().seoul_date();
    let key = format!("{today}_{}_{}", text(data, "CUST_ID"), text(data, "CUST_USE_NO"));
    data.insert("RCPT_YMD".to_owned(), Value::from(today));
    data.insert("MPCK_KEY".to_owned(), Value::from(key));
}
