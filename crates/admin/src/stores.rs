//! Stores, and what the node says of itself.

use crate::error::ApiError;
use crate::records::{changed, note, with_revision};
use crate::request::{Fields, Name, fields_of};
use crate::state::Api;
use crate::words::{DirectoryJson, StatusJson, UnreadableJson};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use directory::engine::Range;
use directory::{ROUTING_PREFIX, StoreRecord};
use mail_types::StoreName;
use serde_json::{Value, json};

pub(crate) async fn add(State(api): State<Api>, fields: Fields) -> Result<(StatusCode, Json<Value>), ApiError> {
    let store: StoreRecord = fields.record()?;
    refuse_unknown_node(&api, &store).await?;
    let revision = api.editor().add_store(&store).await?;
    note::<StoreRecord>("added", &store.name);
    api.settle(revision).await;
    Ok((StatusCode::CREATED, Json(with_revision(fields_of(&store), revision))))
}

pub(crate) async fn set(State(api): State<Api>, Name(name): Name, fields: Fields) -> Result<Json<Value>, ApiError> {
    let (store, seen) = changed::<StoreRecord>(&api, &name, fields, &["name"]).await?;
    refuse_unknown_node(&api, &store).await?;
    let revision = api.editor().set_store(&store, seen).await?;
    note::<StoreRecord>("changed", &store.name);
    api.settle(revision).await;
    Ok(Json(with_revision(fields_of(&store), revision)))
}

/// Nobody would ever serve it, and its mail would wait until it bounces.
async fn refuse_unknown_node(api: &Api, store: &StoreRecord) -> Result<(), ApiError> {
    let own = api.world().node.facts().await.name;
    api.editor().refuse_unknown_node(store, &own).await.map_err(ApiError::of_request::<StoreRecord>)
}

pub(crate) async fn remove(State(api): State<Api>, Name(name): Name) -> Result<Json<Value>, ApiError> {
    let name = StoreName::parse(&name).map_err(|error| ApiError::field("name", error))?;
    let revision = api.editor().remove_store(&name).await?;
    note::<StoreRecord>("removed", &name);
    api.settle(revision).await;
    Ok(Json(json!({ "removed": name.as_str() })))
}

pub(crate) async fn status(State(api): State<Api>) -> Json<StatusJson> {
    let node = api.world().node.facts().await;
    let probe = Range { prefix: ROUTING_PREFIX, after: None, limit: 1 };
    let reachable = api.world().engine.range(probe).await.is_ok();
    let routing = api.routing();
    let unreadable = routing.flaws().take(FLAWS_SHOWN_MAX);
    let directory = DirectoryJson {
        revision: routing.revision().map(|revision| revision.number()),
        reachable,
        domains: routing.domains().count(),
        rules: routing.rules().count(),
        stores: routing.stores().count(),
        unreadable: unreadable.map(|(key, why)| UnreadableJson { key: key.into(), error: why.into() }).collect(),
    };
    Json(StatusJson { node, directory })
}

/// Records that the status names as unreadable.
const FLAWS_SHOWN_MAX: usize = 20;
