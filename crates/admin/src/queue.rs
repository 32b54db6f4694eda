//! The relay's retry queue: what waits, and what an operator wants of it.

use crate::error::ApiError;
use crate::records::{PAGE_MAX, PAGE_USUAL};
use crate::request::{Asked, Name};
use crate::state::Api;
use crate::words::ListJson;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mail_types::DeliveryId;
use ports::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// Knows the retry queue of this node.
pub trait MailQueue: Send + Sync {
    /// So many entries younger than one (0: than none), oldest first.
    fn entries_after(&self, entry: u64, count_max: usize) -> Vec<QueuedJson>;

    /// A message with all who wait for it.
    fn message(&self, id: DeliveryId) -> Option<QueuedJson>;

    /// Carries out an order; what it answered survives a crash.
    fn order(&self, id: DeliveryId, order: QueueOrder) -> BoxFuture<'_, Result<(), QueueRefusal>>;
}

/// What an operator may want of a message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueOrder {
    /// Tried now.
    Retry,
    /// Not tried before it is released.
    Hold,
    /// Tried again.
    Release,
    /// Gone.
    Remove,
}

/// Why not, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueRefusal {
    /// Nobody waits for it.
    Gone(String),
    /// It is in a state in which that means nothing.
    Conflict(String),
    /// Not now.
    Temporary(String),
}

/// A message that waits, or a part of its recipients where they are very many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedJson {
    /// Its delivery id, as in log lines and in its Received header.
    pub id: String,
    /// Its place in the queue; another one when it is moved forward.
    pub entry: u64,
    /// The sender; `<>` of a bounce.
    pub from: String,
    /// Octets.
    pub octets: u64,
    /// When it came into the queue, in seconds since 1970, where that is known.
    pub queued: Option<i64>,
    /// Whether it is not tried before it is released.
    pub held: bool,
    /// When it is tried next, in seconds since 1970.
    pub next: Option<i64>,
    /// Who waits.
    pub recipients: Vec<QueuedRecipientJson>,
}

/// Somebody who waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedRecipientJson {
    /// As the sender wrote it.
    pub recipient: String,
    /// The account's address.
    pub address: String,
    /// The store that has not got it.
    pub store: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next, in seconds since 1970.
    pub next: i64,
    /// What the store said, where it refused for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// How much waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFacts {
    /// Messages; one of very many recipients counts more than once.
    pub messages: usize,
    /// Recipients.
    pub recipients: usize,
    /// Messages that are held.
    pub held: usize,
    /// Since when the oldest waits, in seconds since 1970.
    #[serde(default)]
    pub oldest: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueQuery {
    after: Option<u64>,
    limit: Option<usize>,
}

pub(crate) async fn list(State(api): State<Api>, Asked(query): Asked<QueueQuery>) -> Result<Json<ListJson>, ApiError> {
    let limit = query.limit.unwrap_or(PAGE_USUAL).clamp(1, PAGE_MAX);
    let entries = queue_of(&api)?.entries_after(query.after.unwrap_or(0), limit);
    let next = entries.last().filter(|_| entries.len() == limit).map(|last| last.entry.to_string());
    let items = entries.iter().map(|entry| json!(entry)).collect();
    Ok(Json(ListJson { items, unreadable: Vec::new(), next }))
}

pub(crate) async fn show(State(api): State<Api>, Name(name): Name) -> Result<Json<QueuedJson>, ApiError> {
    let id = id_of(&name)?;
    queue_of(&api)?.message(id).map(Json).ok_or_else(|| gone(&name))
}

/// Answers with what waited before.
pub(crate) async fn order(order: QueueOrder, api: Api, name: &str) -> Result<Json<Value>, ApiError> {
    let id = id_of(name)?;
    let queue = queue_of(&api)?;
    let before = queue.message(id).ok_or_else(|| gone(name))?;
    queue.order(id, order).await?;
    Ok(Json(json!(before)))
}

fn queue_of(api: &Api) -> Result<Arc<dyn MailQueue>, ApiError> {
    let none =
        || ApiError::new(StatusCode::NOT_FOUND, "this node has no retry queue: its relay has no queue configured");
    api.world().queue.clone().ok_or_else(none)
}

fn id_of(name: &str) -> Result<DeliveryId, ApiError> {
    let mistake = || ApiError::field("id", format!("{name:?} is no delivery id: 32 hexadecimal digits"));
    DeliveryId::parse(name).ok_or_else(mistake)
}

fn gone(name: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("no message {name} is in the retry queue"))
}

impl From<QueueRefusal> for ApiError {
    fn from(refusal: QueueRefusal) -> Self {
        match refusal {
            QueueRefusal::Gone(why) => Self::new(StatusCode::NOT_FOUND, why),
            QueueRefusal::Conflict(why) => Self::new(StatusCode::CONFLICT, why),
            QueueRefusal::Temporary(why) => Self::temporary(why),
        }
    }
}
