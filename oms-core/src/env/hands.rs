//! The proof that no transaction is open while a call is made, checked by the compiler.

/// The hands of one task: they hold a transaction, or they make calls, and never both.
///
/// [`Store::begin`](crate::store::Store::begin) borrows them mutably for as long as its
/// transaction lives. Every call, down to [`Transport::call`](super::Transport::call), borrows them
/// shared. So a call inside a transaction does not compile:
///
/// ```compile_fail,E0502
/// # use oms_core::{call::Context, carrier::Carrier, env::Hands, store::{Intent, Result, Store}};
/// async fn books_inside(
///     hands: &mut Hands, store: &dyn Store, carrier: &Carrier, context: &Context, intent: &Intent,
/// ) -> Result<()> {
///     let transaction = store.begin(hands).await?;
///     let _booked = carrier.book(hands, context, intent).await;
///     transaction.commit().await?;
///     Ok(())
/// }
/// ```
///
/// The same with the transaction ended before the call does:
///
/// ```
/// # use oms_core::{call::Context, carrier::Carrier, env::Hands, store::{Intent, Result, Store}};
/// async fn books_after(
///     hands: &mut Hands, store: &dyn Store, carrier: &Carrier, context: &Context, intent: &Intent,
/// ) -> Result<()> {
///     let transaction = store.begin(hands).await?;
///     transaction.commit().await?;
///     let _booked = carrier.book(hands, context, intent).await;
///     Ok(())
/// }
/// ```
///
/// Nor does a message, nor a bare request through the transport:
///
/// ```compile_fail,E0502
/// # use oms_core::{call::Context, env::Hands, messenger::Messenger};
/// # use oms_core::store::{NoticeWork, Result, Store};
/// async fn tells_inside(
///     hands: &mut Hands, store: &dyn Store, to: &Messenger, context: &Context, what: &NoticeWork,
/// ) -> Result<()> {
///     let transaction = store.begin(hands).await?;
///     let _sent = to.send(hands, context, what).await;
///     transaction.commit().await?;
///     Ok(())
/// }
/// ```
/// ```
/// # use oms_core::{call::Context, env::Hands, messenger::Messenger};
/// # use oms_core::store::{NoticeWork, Result, Store};
/// async fn tells_after(
///     hands: &mut Hands, store: &dyn Store, to: &Messenger, context: &Context, what: &NoticeWork,
/// ) -> Result<()> {
///     let transaction = store.begin(hands).await?;
///     transaction.commit().await?;
///     let _sent = to.send(hands, context, what).await;
///     Ok(())
/// }
/// ```
/// ```compile_fail,E0502
/// # use bytes::Bytes;
/// # use oms_core::{env::{Deadlines, Hands, Transport}, store::{Result, Store}};
/// async fn asks_inside(
///     hands: &mut Hands, store: &dyn Store, way: &dyn Transport, within: Deadlines,
/// ) -> Result<()> {
///     let transaction = store.begin(hands).await?;
///     let _answer = way.call(hands, http::Request::new(Bytes::new()), within).await;
///     drop(transaction);
///     Ok(())
/// }
/// ```
/// ```
/// # use bytes::Bytes;
/// # use oms_core::{env::{Deadlines, Hands, Transport}, store::{Result, Store}};
/// async fn asks_after(
///     hands: &mut Hands, store: &dyn Store, way: &dyn Transport, within: Deadlines,
/// ) -> Result<()> {
///     let transaction = store.begin(hands).await?;
///     drop(transaction);
///     let _answer = way.call(hands, http::Request::new(Bytes::new()), within).await;
///     Ok(())
/// }
/// ```
///
/// There is one pair a task, made where the task begins. Whoever makes a second pair gets around
/// the proof, so that is banned by clippy, and the lab says at each place why it does. What gets
/// around it is still seen in the history (`no-io-in-transaction`).
#[derive(Debug)]
pub struct Hands(());

impl Hands {
    /// The hands of a task that begins here.
    pub fn of_a_new_task() -> Hands {
        Hands(())
    }
}
