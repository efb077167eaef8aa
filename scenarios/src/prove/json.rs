//! The proof for programs.

use serde::Serialize;

use super::Proof;
use crate::report::SCHEMA_VERSION;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    exit_code: u8,
    complete: bool,
    #[serde(flatten)]
    proof: &'a Proof,
}

impl Proof {
    /// As one JSON document.
    pub fn json(&self) -> String {
        let document = Document {
            schema_version: SCHEMA_VERSION,
            exit_code: self.exit_code(),
            complete: self.is_complete(),
            proof: self,
        };
        // Texts and numbers; map keys are texts.
        serde_json::to_string_pretty(&document).expect("a proof is plain JSON") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::prove::testing;

    #[test]
    fn json_says_the_same_to_programs() {
        let told: Value = serde_json::from_str(&testing::proof().json()).unwrap();
        assert_eq!((&told["exit_code"], &told["complete"]), (&3.into(), &true.into()));
        assert_eq!(told["terms"]["runs_max"], 10_000);
        let first = &told["bugs"][0];
        assert_eq!(first["runs"]["median"]["at"], 5);
        assert_eq!(first["without"][2]["runs"]["median"]["beyond"], 100);
        assert_eq!(first["size"]["orders"], 2);
        assert_eq!(told["powers"][2]["power"], "crash");
        assert_eq!(told["clean"]["accusations"].as_array().unwrap().len(), 0);
    }
}
