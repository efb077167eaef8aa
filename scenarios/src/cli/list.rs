//! `drill list`.

use clap::Args;
use serde_json::json;

use super::{Error, Format, print};
use crate::verdict::exit;
use crate::{catalogue, promises, sabotage, sign_up, strategies};

/// The version of the JSON.
const SCHEMA_VERSION: u32 = 1;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// How the answer looks; json has promises, strategies and sabotages too
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn list(args: &ListArgs) -> Result<u8, Error> {
    let plans = catalogue::plans().map_err(Error::Plan)?;
    let text = match args.format {
        Format::Human => plans.iter().map(|p| format!("{:<28}{}\n", p.name, p.why)).collect(),
        Format::Json => {
            let named = |name: &str, says: &str| json!({ "name": name, "says": says });
            let lists = json!({
                "schema_version": SCHEMA_VERSION,
                "exit_code": exit::HELD,
                "drills": plans.iter().map(|p| named(&p.name, &p.why)).collect::<Vec<_>>(),
                "promises": promises::ALL.iter().map(|p| named(p.id, p.says)).collect::<Vec<_>>(),
                "strategies": strategies::ALL
                    .iter()
                    .map(|s| {
                        json!({ "name": s.name, "says": s.says, "seed": s.seed, "breaks": s.breaks })
                    })
                    .collect::<Vec<_>>(),
                "sign_ups": sign_up::ALL
                    .iter()
                    .map(|f| {
                        json!({ "name": f.name, "says": f.says, "seed": f.seed, "breaks": f.breaks })
                    })
                    .collect::<Vec<_>>(),
                "sabotages": sabotage::ALL
                    .iter()
                    .map(|s| json!({ "name": s.name, "says": s.why, "breaks": s.breaks }))
                    .collect::<Vec<_>>(),
            });
            format!("{lists:#}\n")
        }
    };
    print(&text)?;
    Ok(exit::HELD)
}
