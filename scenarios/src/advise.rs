//! Which way should I use? The decision tree of the first seed, as questions, and the evidence.
//!
//! The tree is the seed's own (its section 어떤 방식을 선택해야 할까?), with its saga for several
//! systems that must agree. What it advises is then measured: the same generated plans under the
//! advised strategy and under the recommended one.

use serde::Serialize;

use crate::strategies::{self, Strategy};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Several external effects must all happen or none.
    AllOrNothing,
    /// 이벤트 기반 아키텍처인가?
    EventDriven,
    /// 복잡한 후처리 로직이 있는가?
    ComplexFollowUp,
    /// 높은 정합성이 필요한가?
    HighConsistency,
    /// 인프라 추가 가능한가?
    NewInfrastructure,
}

impl Question {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Question; 5] = [
        Question::AllOrNothing,
        Question::EventDriven,
        Question::ComplexFollowUp,
        Question::HighConsistency,
        Question::NewInfrastructure,
    ];

    /// The flag that answers it.
    pub const fn flag(self) -> &'static str {
        match self {
            Question::AllOrNothing => "all-or-nothing",
            Question::EventDriven => "event-driven",
            Question::ComplexFollowUp => "complex-follow-up",
            Question::HighConsistency => "high-consistency",
            Question::NewInfrastructure => "new-infrastructure",
        }
    }

    /// The question in words.
    pub const fn words(self) -> &'static str {
        match self {
            Question::AllOrNothing => {
                "Must several external effects happen all or none, as a flight and a hotel?"
            }
            Question::EventDriven => "Is the architecture built on events?",
            Question::ComplexFollowUp => "Does much have to be done after the commit?",
            Question::HighConsistency => "Is losing a message out of the question?",
            Question::NewInfrastructure => "May infrastructure be added, such as a broker?",
        }
    }
}

/// What the tree says.
#[derive(Debug, Clone, Copy)]
pub enum Advice {
    /// This question is to be answered first.
    Ask(Question),
    /// This strategy.
    Use(&'static Strategy),
}

/// A place in the tree.
enum Node {
    /// A question, and where "yes" and "no" lead.
    Asks(Question, &'static Node, &'static Node),
    /// A strategy's name.
    Names(&'static str),
}

/// The tree.
const TREE: Node = Node::Asks(Question::AllOrNothing, &Node::Names("saga"), &EVENTS);

const EVENTS: Node = Node::Asks(
    Question::EventDriven,
    &Node::Asks(Question::HighConsistency, &INFRASTRUCTURE, &Node::Names("event-listener")),
    &Node::Asks(
        Question::ComplexFollowUp,
        &Node::Names("after-commit"),
        &Node::Names("requires-new"),
    ),
);

const INFRASTRUCTURE: Node =
    Node::Asks(Question::NewInfrastructure, &Node::Names("message-queue"), &Node::Names("outbox"));

/// Walks the tree as far as it is answered.
pub fn advise(answer: impl Fn(Question) -> Option<bool>) -> Advice {
    let mut node = &TREE;
    loop {
        match node {
            Node::Names(name) => {
                // A test walks to every leaf, so each name has a strategy.
                let strategy = strategies::named(name).unwrap_or_else(strategies::recommended);
                return Advice::Use(strategy);
            }
            Node::Asks(question, yes, no) => match answer(*question) {
                None => return Advice::Ask(*question),
                Some(true) => node = yes,
                Some(false) => node = no,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the answers lead; the last one is a strategy or a question's flag.
    fn leads(answers: &[(Question, bool)]) -> &'static str {
        let answer = |question| answers.iter().find(|(q, _)| *q == question).map(|(_, yes)| *yes);
        match advise(answer) {
            Advice::Ask(question) => question.flag(),
            Advice::Use(strategy) => strategy.name,
        }
    }

    #[test]
    fn the_tree_is_the_seeds() {
        use Question::{
            AllOrNothing, ComplexFollowUp, EventDriven, HighConsistency, NewInfrastructure,
        };
        let alone = (AllOrNothing, false);
        let (events, no_events) = ((EventDriven, true), (EventDriven, false));
        let strict = (HighConsistency, true);
        assert_eq!(leads(&[]), "all-or-nothing");
        assert_eq!(leads(&[(AllOrNothing, true)]), "saga");
        assert_eq!(leads(&[alone]), "event-driven");
        assert_eq!(leads(&[alone, no_events]), "complex-follow-up");
        assert_eq!(leads(&[alone, no_events, (ComplexFollowUp, false)]), "requires-new");
        assert_eq!(leads(&[alone, no_events, (ComplexFollowUp, true)]), "after-commit");
        assert_eq!(leads(&[alone, events]), "high-consistency");
        assert_eq!(leads(&[alone, events, (HighConsistency, false)]), "event-listener");
        assert_eq!(leads(&[alone, events, strict]), "new-infrastructure");
        let with_broker = [alone, events, strict, (NewInfrastructure, true)];
        assert_eq!(leads(&with_broker), "message-queue");
        let without = [alone, events, strict, (NewInfrastructure, false)];
        assert_eq!(leads(&without), "outbox");
    }
}
