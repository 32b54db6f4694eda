//! Nodes: which processes there are, and where they are reached.

use crate::error::ApiError;
use crate::records::{changed, note, with_revision};
use crate::request::{Fields, Name, fields_of};
use crate::state::Api;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use directory::NodeRecord;
use mail_types::NodeName;
use serde_json::{Value, json};

pub(crate) async fn add(State(api): State<Api>, fields: Fields) -> Result<(StatusCode, Json<Value>), ApiError> {
    let node: NodeRecord = fields.record()?;
    let revision = api.editor().add_node(&node).await?;
    note::<NodeRecord>("added", &node.name);
    api.settle(revision).await;
    Ok((StatusCode::CREATED, Json(with_revision(fields_of(&node), revision))))
}

pub(crate) async fn set(State(api): State<Api>, Name(name): Name, fields: Fields) -> Result<Json<Value>, ApiError> {
    let (node, seen) = changed::<NodeRecord>(&api, &name, fields, &[]).await?;
    let revision = api.editor().set_node(&node, seen).await?;
    note::<NodeRecord>("changed", &node.name);
    api.settle(revision).await;
    Ok(Json(with_revision(fields_of(&node), revision)))
}

pub(crate) async fn remove(State(api): State<Api>, Name(name): Name) -> Result<Json<Value>, ApiError> {
    let name = NodeName::parse(&name).map_err(|error| ApiError::field("name", error))?;
    let revision = api.editor().remove_node(&name).await?;
    note::<NodeRecord>("removed", &name);
    api.settle(revision).await;
    Ok(Json(json!({ "removed": name.as_str() })))
}
