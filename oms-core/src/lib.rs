//! The order management core: books parcels with a carrier, tells customers, keeps its promises.
//!
//! Read in this order: [`state`] (what can happen), [`store`] (what is kept), [`mod@env`] (how the
//! world is reached), [`call`] (how an external call is made), [`carrier`] and [`messenger`] (which
//! calls), [`flow`] (one step of work each), [`service`] (who takes the steps), [`http`] and
//! [`intake`] (how orders and members come in), [`traces`] (what becomes of an order, for people who look
//! at it elsewhere), [`cli`].

pub mod call;
pub mod carrier;
pub mod cli;
pub mod config;
pub mod env;
pub mod flow;
pub mod http;
pub mod intake;
pub mod member;
pub mod messenger;
pub mod order;
pub mod policy;
pub mod presence;
pub mod saga;
pub mod service;
pub mod state;
pub mod store;
pub mod telemetry;
pub mod traces;
