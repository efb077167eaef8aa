//! The command that runs a drill again.

use std::path::Path;

use super::{Settings, Soak};
use crate::history::{History, Mode};
use crate::{catalogue, live};

/// The very plan where it was kept, else the drill by its name or file.
pub(super) fn command(history: &History, settings: &Settings, kept: Option<&Path>) -> String {
    let plan = &history.plan;
    let mut words = vec!["cargo drill".to_owned()];
    match (kept, &settings.soak, history.mode) {
        (Some(kept), _, Mode::Simulated) => words.extend(["replay".to_owned(), quoted(kept)]),
        (Some(kept), _, Mode::Live) => words.extend(["run".to_owned(), quoted(kept)]),
        (None, Some(soak), mode) => words.extend(soaked(soak, plan.seed, mode)),
        (None, None, _) => {
            words.push("run".to_owned());
            words.extend(named(&plan.name, settings));
            words.push(format!("--seed {}", plan.seed));
            let patience = settings.patience.map(|it| humantime::format_duration(it).to_string());
            words.extend(patience.map(|it| format!("--patience {}", it.replace(' ', ""))));
        }
    }
    if let Some(orders) = &settings.orders {
        words.push(format!("--orders {}", quoted(&orders.file)));
    }
    if history.mode == Mode::Live {
        // A soak is live as long as nothing else is said.
        let is_live = settings.soak.is_some() && kept.is_none();
        words.extend((!is_live).then(|| "--live".to_owned()));
        if history.clock_factor != live::SPEED {
            words.push(format!("--speed {}", history.clock_factor));
        }
    }
    // The plan's own may be another than the one that was asked for.
    let asked = settings.strategy.map(|strategy| strategy.name);
    if let Some(strategy) = asked.or(plan.strategy.as_deref()) {
        words.push(format!("--strategy {strategy}"));
    }
    if let Some(sabotage) = &plan.sabotage {
        words.push(format!("--sabotage {sabotage}"));
    }
    words.join(" ")
}

/// What `drill soak` was given. A server's URL may hold a password, which is not repeated.
fn soaked(soak: &Soak, seed: u64, mode: Mode) -> Vec<String> {
    let store = soak.store.as_ref().map(|url| match url.strip_prefix("sqlite:") {
        Some(file) => format!("--store {}", quoted(Path::new(&format!("sqlite:{file}")))),
        None => "--store postgres://…".to_owned(),
    });
    let kills = format!("soak --kills {} --seed {seed}", soak.kills);
    let restarts = soak.restarts.then(|| "--restarts".to_owned());
    let simulated = (mode == Mode::Simulated).then(|| "--simulated".to_owned());
    [Some(kills), restarts, store, simulated].into_iter().flatten().collect()
}

/// What `drill run` was, or could have been, given; nothing for a run of the user's orders alone.
fn named(name: &str, settings: &Settings) -> Option<String> {
    match &settings.plan_file {
        Some(file) => Some(quoted(file)),
        None => catalogue::FILES.iter().any(|file| file.name == name).then(|| name.to_owned()),
    }
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::runner::Orders;
    use crate::testing::Builder;

    fn settings() -> Settings {
        Settings { plan_file: Some(PathBuf::from("my plans/it's.toml")), ..Settings::default() }
    }

    #[test]
    fn a_plan_of_a_file_is_named_by_its_file_and_one_of_the_catalogue_by_its_name() {
        let history = Builder::clean(1).history();
        assert_eq!(
            command(&history, &settings(), None),
            r"cargo drill run 'my plans/it'\''s.toml' --seed 1"
        );
        let history = Builder::clean(1).plan(|plan| plan.name = "seed-batch".to_owned()).history();
        let again = command(&history, &Settings::default(), None);
        assert_eq!(again, "cargo drill run seed-batch --seed 1");
        let kept = Path::new("out/seed-batch/plan.toml");
        let again = command(&history, &settings(), Some(kept));
        assert_eq!(again, "cargo drill replay out/seed-batch/plan.toml");
    }

    #[test]
    fn a_soak_is_named_by_its_kills_and_what_else_it_was_given() {
        let asked = |restarts, store: Option<&str>| {
            let soak = Soak { kills: 10, restarts, store: store.map(str::to_owned) };
            Settings { soak: Some(soak), ..Settings::default() }
        };
        let soak = || Builder::clean(1).plan(|plan| plan.name = "soak".to_owned());
        let simulated = command(&soak().history(), &asked(true, None), None);
        assert_eq!(simulated, "cargo drill soak --kills 10 --seed 1 --restarts --simulated");
        let live = soak().live(60.0).history();
        assert_eq!(
            command(&live, &asked(false, Some("sqlite:my drills/a.db")), None),
            "cargo drill soak --kills 10 --seed 1 --store 'sqlite:my drills/a.db' --speed 60"
        );
        let server = command(&live, &asked(false, Some("postgres://me:secret@host/db")), None);
        assert!(server.contains(" --store postgres://… ") && !server.contains("secret"));
        let kept = Path::new("out/soak/plan.toml");
        assert_eq!(
            command(&live, &asked(false, None), Some(kept)),
            "cargo drill run out/soak/plan.toml --live --speed 60"
        );
        let slow = soak().live(live::SPEED).history();
        let bare = command(&slow, &asked(false, None), None);
        assert_eq!(bare, "cargo drill soak --kills 10 --seed 1");
    }

    #[test]
    fn what_was_asked_for_is_asked_for_again() {
        let history = Builder::clean(1)
            .plan(|plan| {
                plan.name = "your-orders".to_owned();
                plan.strategy = Some("durable".to_owned());
                plan.sabotage = Some("limiter-off".to_owned());
            })
            .live(60.0)
            .history();
        let file = PathBuf::from("orders.csv");
        let orders = Some(Orders { file, orders: [].into() });
        let patience = Some(Duration::from_secs(90));
        let settings = Settings { orders, patience, ..Settings::default() };
        assert_eq!(
            command(&history, &settings, None),
            "cargo drill run --seed 1 --patience 1m30s --orders orders.csv --live --speed 60 \
             --strategy durable --sabotage limiter-off"
        );
        assert_eq!(
            command(&history, &settings, Some(Path::new("out/plan.toml"))),
            "cargo drill run out/plan.toml --orders orders.csv --live --speed 60 \
             --strategy durable --sabotage limiter-off"
        );
    }
}
