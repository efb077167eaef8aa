//! NATS JetStream behind the queue's seam.
//!
//! One stream keeps all messages, by topic. A durable pull consumer, which the server remembers by
//! its name, hands each message out until it is acknowledged. A message that was delivered in vain as
//! often as its consumer allows is dead: the server says so, once, on a subject of its own, and a
//! second stream keeps what it says, so no dead letter is lost while nobody listens. The message
//! itself stays in the first stream. The server knows real time alone: every duration that it is
//! told is a drill's, divided by the drill's pace.
//!
//! What a server that is killed keeps: every message whose publisher had its answer, and the ids by
//! which it knows repeats. It may forget acknowledgements: one of two seconds before was seen to come
//! again (2.9.10). The operating system must survive: the server syncs its files every two minutes,
//! unless it is told to sync always (from 2.10 on).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::{self, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{Acker, PublishMessage, StreamMessage};
use async_nats::jetstream::{AckKind, Context, stream};
use async_nats::{ConnectOptions, ServerAddr};
use async_trait::async_trait;
use clockwork::{Clock, Timestamp, timeout};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::queue::{ANSWER_WAIT, Consumer, DEDUPE_WINDOW, Delivery, Error, Message, Queue};

/// A connection and the making of a stream may take so long, in real time: they are none of the
/// drill's.
const SET_UP_MAX: Duration = Duration::from_secs(5);

/// A connection that was lost is tried again so soon.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Where a queue is.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// `nats://[USER:PASSWORD@]HOST:PORT`.
    pub url: String,
    /// The stream's name, with which all its subjects begin: letters, digits, hyphens.
    pub name: String,
    /// Drill seconds in a real second.
    pub factor: f64,
}

/// A way to a stream. Connects when it is first used, and again whenever the connection is lost.
pub struct JetStream {
    place: Place,
    clock: Arc<dyn Clock>,
    opened: Mutex<Option<Context>>,
    consumers: Mutex<BTreeMap<&'static str, consumer::Consumer<pull::Config>>>,
}

/// A message, as the stream keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the stream.
    pub sequence: u64,
    /// Its topic.
    pub topic: String,
    /// Its id.
    pub id: String,
    /// When the server took it, in real time.
    pub at: Timestamp,
}

/// What the server says of a message that is delivered no more.
#[derive(Deserialize)]
struct Advisory {
    stream_seq: u64,
}

impl JetStream {
    /// A way to the stream at `place`, on which `clock` says how long answers are waited for.
    pub fn new(place: Place, clock: Arc<dyn Clock>) -> JetStream {
        JetStream { place, clock, opened: Mutex::default(), consumers: Mutex::default() }
    }

    /// Connects, and makes the streams where they are not there yet.
    ///
    /// # Errors
    /// [`Error::NotReached`].
    pub async fn set_up(&self) -> Result<(), Error> {
        self.context().await.map(|_| ())
    }

    /// Takes the streams away, with all that is in them.
    ///
    /// # Errors
    /// [`Error::NotReached`].
    pub async fn take_away(&self) -> Result<(), Error> {
        let context = self.context().await?;
        for name in [self.place.name.clone(), self.dead_letters()] {
            context.delete_stream(name).await.map_err(|error| not_reached(&error))?;
        }
        Ok(())
    }

    /// All messages, as they came.
    ///
    /// # Errors
    /// [`Error::NotReached`].
    pub async fn messages(&self) -> Result<Vec<Stored>, Error> {
        let subject = self.subject("");
        let kept = self.kept(self.place.name.clone()).await?;
        let read = |message: StreamMessage| {
            let topic = message.subject.strip_prefix(&subject).unwrap_or_default();
            Stored {
                sequence: message.sequence,
                id: id_of(topic, Some(&message.headers)),
                topic: topic.to_owned(),
                at: moment(message.time.unix_timestamp_nanos()),
            }
        };
        Ok(kept.into_iter().map(read).collect())
    }

    /// The messages that are delivered no more, by their places in the stream, and since when, in
    /// real time.
    ///
    /// # Errors
    /// [`Error::NotReached`].
    pub async fn dead(&self) -> Result<BTreeMap<u64, Timestamp>, Error> {
        let kept = self.kept(self.dead_letters()).await?;
        let read = |message: StreamMessage| {
            let advisory: Advisory = serde_json::from_slice(&message.payload).ok()?;
            Some((advisory.stream_seq, moment(message.time.unix_timestamp_nanos())))
        };
        Ok(kept.into_iter().filter_map(read).collect())
    }

    /// Whether every message was delivered to every consumer, and is acknowledged or dead.
    ///
    /// # Errors
    /// [`Error::NotReached`].
    pub async fn is_idle(&self) -> Result<bool, Error> {
        let context = self.context().await?;
        let stream = context.get_stream(&self.place.name).await;
        let stream = stream.map_err(|error| not_reached(&error))?;
        let consumers: Vec<_> =
            stream.consumers().try_collect().await.map_err(|error| not_reached(&error))?;
        let rests = |info: &consumer::Info| info.num_pending == 0 && info.num_ack_pending == 0;
        let published = stream.cached_info().state.messages > 0;
        Ok(consumers.iter().all(rests) && !(published && consumers.is_empty()))
    }

    /// Everything that a stream keeps.
    async fn kept(&self, name: String) -> Result<Vec<StreamMessage>, Error> {
        let context = self.context().await?;
        let stream = context.get_stream(name).await.map_err(|error| not_reached(&error))?;
        let state = &stream.cached_info().state;
        let mut kept = Vec::new();
        if state.messages > 0 {
            for sequence in state.first_sequence..=state.last_sequence {
                let message = stream.get_raw_message(sequence).await;
                kept.push(message.map_err(|error| not_reached(&error))?);
            }
        }
        Ok(kept)
    }

    /// The connection, while it stands. What is published without one the client keeps, and sends
    /// later: so nothing is given to it then.
    async fn context(&self) -> Result<Context, Error> {
        let mut opened = self.opened.lock().await;
        let context = match &*opened {
            Some(context) => context.clone(),
            None => opened.insert(self.open().await?).clone(),
        };
        match context.client().connection_state() {
            State::Connected => Ok(context),
            State::Pending | State::Disconnected => Err(Error::NotReached),
        }
    }

    async fn open(&self) -> Result<Context, Error> {
        let server: ServerAddr = self.place.url.parse().map_err(|error| not_reached(&error))?;
        let reconnect_after = self.real(RECONNECT_AFTER);
        let mut options = ConnectOptions::new()
            .connection_timeout(SET_UP_MAX)
            .request_timeout(Some(SET_UP_MAX))
            .reconnect_delay_callback(move |_| reconnect_after);
        // The client does not look for them in the URL.
        options = match (server.username().map(str::to_owned), server.password()) {
            (Some(user), Some(password)) => options.user_and_password(user, password.to_owned()),
            (Some(token), None) => options.token(token),
            (None, _) => options,
        };
        let client = options.connect(server).await.map_err(|error| not_reached(&error))?;
        let mut context = async_nats::jetstream::new(client);
        context.set_timeout(SET_UP_MAX);
        for config in self.streams() {
            context.get_or_create_stream(config).await.map_err(|error| not_reached(&error))?;
        }
        Ok(context)
    }

    fn streams(&self) -> [stream::Config; 2] {
        let name = &self.place.name;
        let dead = format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{name}.*");
        let messages = stream::Config {
            name: name.clone(),
            subjects: vec![self.subject(">")],
            duplicate_window: self.real(DEDUPE_WINDOW),
            ..stream::Config::default()
        };
        let dead_letters = stream::Config {
            name: self.dead_letters(),
            subjects: vec![dead],
            ..stream::Config::default()
        };
        [messages, dead_letters]
    }

    async fn consumer(
        &self,
        context: &Context,
        consumer: &Consumer,
    ) -> Result<consumer::Consumer<pull::Config>, Error> {
        let mut consumers = self.consumers.lock().await;
        if let Some(made) = consumers.get(consumer.name) {
            return Ok(made.clone());
        }
        let config = pull::Config {
            durable_name: Some(consumer.name.to_owned()),
            filter_subject: self.subject(consumer.topic),
            ack_policy: consumer::AckPolicy::Explicit,
            ack_wait: self.real(consumer.ack_wait_of(1)),
            backoff: consumer.backoff.iter().map(|wait| self.real(*wait)).collect(),
            max_deliver: consumer.deliveries_max.into(),
            ..pull::Config::default()
        };
        let made = context.create_consumer_on_stream(config, &self.place.name).await;
        let made = made.map_err(|error| not_reached(&error))?;
        consumers.insert(consumer.name, made.clone());
        Ok(made)
    }

    fn subject(&self, topic: &str) -> String {
        format!("{}.{topic}", self.place.name)
    }

    fn dead_letters(&self) -> String {
        format!("{}-dead", self.place.name)
    }

    /// A duration of the drill's, as the server counts it.
    fn real(&self, duration: Duration) -> Duration {
        duration.div_f64(self.place.factor)
    }

    /// Tells the server something that it does not answer.
    async fn tell(&self, delivery: &Delivery, kind: AckKind) -> Result<(), Error> {
        let context = self.context().await?;
        let acker = Acker::new(context, Some(delivery.receipt.as_str().into()));
        acker.ack_with(kind).await.map_err(|error| not_reached(&*error))
    }
}

/// Tells why, and that nothing came of it.
fn not_reached(why: &dyn std::error::Error) -> Error {
    tracing::warn!(why = %why, "message broker");
    Error::NotReached
}

/// What the server knows a repeat by. It compares over all topics of a stream, the seam within one.
fn message_id(topic: &str, id: &str) -> String {
    format!("{topic}/{id}")
}

fn id_of(topic: &str, headers: Option<&async_nats::HeaderMap>) -> String {
    let id = headers.and_then(|headers| headers.get(NATS_MESSAGE_ID));
    let id = id.map(|id| id.as_str()).unwrap_or_default();
    id.strip_prefix(&message_id(topic, "")).unwrap_or(id).to_owned()
}

fn moment(nanos: i128) -> Timestamp {
    i64::try_from(nanos / 1_000).map_or(Timestamp::MAX, Timestamp::from_micros)
}

#[async_trait]
impl Queue for JetStream {
    async fn publish(&self, message: Message) -> Result<(), Error> {
        let context = self.context().await?;
        let subject = self.subject(message.topic);
        let id = message_id(message.topic, &message.id);
        let publish = PublishMessage::build().payload(message.body.into()).message_id(id);
        let kept = async { context.send_publish(subject, publish).await?.await };
        match timeout(self.clock.as_ref(), ANSWER_WAIT, kept).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => match error.kind() {
                // Nobody listens on its subject, or it was not sent at all.
                PublishErrorKind::StreamNotFound
                | PublishErrorKind::MaxPayloadExceeded
                | PublishErrorKind::MaxAckPending => Err(not_reached(&error)),
                _ => Err(Error::NoAnswer),
            },
            Err(_) => Err(Error::NoAnswer),
        }
    }

    async fn receive(
        &self,
        consumer: &Consumer,
        wait: Duration,
    ) -> Result<Option<Delivery>, Error> {
        let context = self.context().await?;
        let pull = self.consumer(&context, consumer).await?;
        let next = async {
            let mut batch = match wait.is_zero() {
                true => pull.fetch().max_messages(1).messages().await?,
                false => pull.batch().max_messages(1).expires(self.real(wait)).messages().await?,
            };
            batch.try_next().await
        };
        // The server answers when the wait is over; a server that is gone does not.
        match timeout(self.clock.as_ref(), wait + ANSWER_WAIT, next).await {
            Ok(Ok(Some(message))) => delivery(consumer, &message).map(Some),
            Ok(Ok(None)) | Err(_) => Ok(None),
            Ok(Err(error)) => Err(not_reached(&*error)),
        }
    }

    async fn ack(&self, _: &Consumer, delivery: &Delivery) -> Result<(), Error> {
        self.tell(delivery, AckKind::Ack).await
    }

    async fn nack(&self, _: &Consumer, delivery: &Delivery, after: Duration) -> Result<(), Error> {
        self.tell(delivery, AckKind::Nak(Some(self.real(after)))).await
    }
}

fn delivery(
    consumer: &Consumer,
    message: &async_nats::jetstream::Message,
) -> Result<Delivery, Error> {
    let info = message.info().map_err(|error| not_reached(&*error))?;
    Ok(Delivery {
        sequence: info.stream_sequence,
        attempt: u32::try_from(info.delivered).unwrap_or(u32::MAX),
        receipt: message.reply.as_deref().unwrap_or_default().to_owned(),
        message: Message {
            topic: consumer.topic,
            id: id_of(consumer.topic, message.headers.as_ref()),
            body: String::from_utf8_lossy(&message.payload).into_owned(),
        },
    })
}
