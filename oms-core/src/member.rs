//! A member as the shop signs one up.
//!
//! As with orders, a [`Member`] is only ever made valid, and all broken rules are told at once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::order::{
    Error, Key, Kind, NAME_BYTES_MAX, Problem, Rules, hash_of, optional, read_as, required,
};
use crate::store::NoticeKey;

/// What a new member is told: the event of its one notification.
pub const WELCOME: &str = "welcome";
/// Who is younger needs a parent's word, which the shop does not take.
pub const AGE_MIN: u32 = 14;
/// More is a slip of the hand.
pub const AGE_MAX: u32 = 120;

/// A valid member. The name is trimmed, the phone number is digits alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
#[non_exhaustive]
pub struct Member {
    /// The shop's id: 1 to 40 of `A-Z a-z 0-9 - _`.
    pub id: String,
    /// Full name.
    pub name: String,
    /// A Korean phone number, digits only. No two members have the same one.
    pub phone: String,
    /// Years.
    pub age: u32,
    /// What the member agrees to.
    pub consents: Consents,
}

/// A member that nobody has looked at yet; [`Member::try_from`] does.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// The shop's id.
    pub id: String,
    /// Full name.
    pub name: String,
    /// A Korean phone number.
    pub phone: String,
    /// Years.
    pub age: u32,
    /// What the member agrees to.
    pub consents: Consents,
}

/// What a member agrees to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consents {
    /// The shop's terms; there is no membership without.
    pub terms: bool,
    /// That personal data is kept; there is no membership without.
    pub privacy: bool,
    /// Advertisements. The welcome is none, and is sent either way.
    #[serde(default)]
    pub marketing: bool,
}

impl Consents {
    /// Each with its name.
    pub const fn named(&self) -> [(&'static str, bool); 3] {
        [("terms", self.terms), ("privacy", self.privacy), ("marketing", self.marketing)]
    }
}

const MEMBER: &[Key] = &[
    required("id", Kind::Text),
    required("name", Kind::Text),
    required("phone", Kind::Text),
    required("age", Kind::Number(u32::MAX as u64)),
    required("consents", Kind::Object(CONSENTS)),
];

const CONSENTS: &[Key] = &[
    required("terms", Kind::Flag),
    required("privacy", Kind::Flag),
    optional("marketing", Kind::Flag),
];

impl TryFrom<Draft> for Member {
    type Error = Error;

    fn try_from(draft: Draft) -> Result<Member, Error> {
        let (member, problems) = check(draft);
        if problems.is_empty() { Ok(member) } else { Err(Error::Invalid(problems)) }
    }
}

fn check(draft: Draft) -> (Member, Vec<Problem>) {
    let mut rules = Rules::default();
    let Draft { id, mut name, mut phone, age, consents } = draft;
    rules.id(&id);
    rules.text("name", &mut name, 1, NAME_BYTES_MAX);
    rules.phone("phone", &mut phone);
    if !(AGE_MIN..=AGE_MAX).contains(&age) {
        rules.broken("age", format!("must be {AGE_MIN} to {AGE_MAX}"));
    }
    for (needed, given) in [("terms", consents.terms), ("privacy", consents.privacy)] {
        if !given {
            rules.broken(format!("consents.{needed}"), "must be given");
        }
    }
    (Member { id, name, phone, age, consents }, rules.into_problems())
}

impl Member {
    /// A member from JSON text.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what is no JSON, else [`Error::Invalid`] with every unknown key,
    /// missing value, wrong type and broken rule.
    pub fn from_json(text: &[u8]) -> Result<Member, Error> {
        read_as::<Draft, Member>(text, MEMBER)
    }

    /// The SHA-256 of the member's JSON, in hexadecimal: the same request again has the same.
    pub fn content_hash(&self) -> String {
        // Strings, numbers and flags alone: nothing that JSON cannot say.
        hash_of(&serde_json::to_string(self).expect("a member is plain JSON"))
    }

    /// Its welcome message, as the outbox and the gateway know it.
    pub fn welcome(&self) -> NoticeKey {
        NoticeKey::of_member(&self.id, WELCOME)
    }
}

// Personal data stays out of every log.

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member({})", self.id)
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draft(..)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn good() -> Value {
        json!({
            "id": "MEM-1", "name": " 홍길동 ", "phone": "010-1234-5678", "age": 30,
            "consents": { "terms": true, "privacy": true },
        })
    }

    /// The problems of a good member after `change`.
    #[track_caller]
    fn problems(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut tree = good();
        change(&mut tree);
        match Member::from_json(tree.to_string().as_bytes()) {
            Ok(_) => Vec::new(),
            Err(Error::Invalid(problems)) => problems.iter().map(Problem::to_string).collect(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_member_survives_its_own_json_and_hashes_alike_however_it_was_written() {
        let member = Member::from_json(good().to_string().as_bytes()).unwrap();
        assert_eq!((member.name.as_str(), member.phone.as_str()), ("홍길동", "01012345678"));
        let again: Member = serde_json::from_str(&serde_json::to_string(&member).unwrap()).unwrap();
        assert_eq!(again.content_hash(), member.content_hash());
        assert_eq!(member.welcome().to_string(), "member:MEM-1:welcome");
    }

    #[test]
    fn every_rule_names_its_field() {
        assert!(problems(|_| {}).is_empty());
        assert_eq!(
            problems(|member| {
                *member = json!({
                    "id": "회원", "name": " ", "phone": "1588-1234", "age": 13,
                    "consents": { "terms": false, "privacy": false },
                });
            }),
            [
                "id must be 1 to 40 of A-Z a-z 0-9 - _",
                "name must not be empty",
                "phone must be a Korean phone number, not ****-****",
                "age must be 14 to 120",
                "consents.terms must be given",
                "consents.privacy must be given",
            ]
        );
    }

    #[test]
    fn wrong_shapes_are_told_all_at_once_and_repeat_no_value() {
        let found = problems(|member| {
            member["ages"] = json!(1);
            member["phone"] = json!(1_012_345_678);
            member["consents"]["terms"] = json!("yes");
            member.as_object_mut().unwrap().remove("age");
        });
        assert_eq!(
            found,
            [
                "ages is an unknown key; is `age` meant?",
                "phone must be a text, not this number",
                "age is missing",
                "consents.terms must be true or false, not a text",
            ]
        );
    }

    #[test]
    fn debug_shows_no_personal_data() {
        let member = Member::from_json(good().to_string().as_bytes()).unwrap();
        assert_eq!(format!("{member:?}"), "Member(MEM-1)");
    }
}
