//! The ways to place what belongs to a sign-up around a transaction.
//!
//! The recommended one is the service's own: member, profile, consents and the outbox row of the
//! welcome message commit together, and nothing is called. The others are how engineers really do
//! it, each as its text has it, in place of the store's `sign-up`. Adding one: a file here, and a
//! line in [`ALL`].

mod apart;
mod desk;
mod logged_apart;
mod logged_in_one_transaction;
mod no_transaction;
mod one_transaction;
mod other_service;

use std::sync::Arc;

use oms_core::config::Config;
use oms_core::env::Env;

/// A way to sign a member up.
#[derive(Debug)]
pub struct Form {
    /// Its name in plans.
    pub name: &'static str,
    /// What it does, in two sentences.
    pub says: &'static str,
    /// Where it is described.
    pub seed: &'static str,
    /// The promises that it is known to break.
    pub breaks: &'static [&'static str],
    /// Puts it in place of the store's own.
    pub seams: fn(&mut Env, &Arc<Config>),
}

/// All of them.
pub const ALL: &[Form] = &[
    one_transaction::FORM,
    apart::FORM,
    no_transaction::FORM,
    logged_in_one_transaction::FORM,
    logged_apart::FORM,
    other_service::FORM,
];

/// The one called `name`.
pub fn named(name: &str) -> Option<&'static Form> {
    ALL.iter().find(|form| form.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::promises;

    #[test]
    fn each_form_has_a_name_of_its_own_and_breaks_promises_that_exist() {
        let names: BTreeSet<&str> = ALL.iter().map(|form| form.name).collect();
        assert_eq!(names.len(), ALL.len());
        for form in ALL {
            for id in form.breaks {
                assert!(promises::named(id).is_some(), "{}: no promise {id}", form.name);
            }
        }
    }
}
