//! The JSON Schema of plans, for editors. It is shipped as `plan.schema.json`.

use super::Plan;

/// The schema, as it is shipped.
pub fn text() -> String {
    let schema = schemars::schema_for!(Plan);
    // A schema is JSON: it is made as a `serde_json::Value`.
    serde_json::to_string_pretty(&schema).expect("a schema is plain JSON") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_schema_is_fresh() {
        let shipped = include_str!("../../plan.schema.json");
        assert!(shipped == text(), "run `drill schema > scenarios/plan.schema.json`");
    }

    #[test]
    fn the_schema_refuses_unknown_keys_and_knows_every_fault() {
        let schema: serde_json::Value = serde_json::from_str(&text()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        for kind in faults::Kind::ALL {
            assert!(text().contains(&format!("\"{kind}\"")), "{kind}");
        }
    }
}
