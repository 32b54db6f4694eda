//! Aliases and placements.

use crate::error::ApiError;
use crate::records::{changed, note, with_revision, with_warnings};
use crate::request::{Fields, Name, fields_of};
use crate::state::Api;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use directory::{AliasRecord, PlacementRecord};
use serde_json::{Value, json};

pub(crate) async fn add_alias(State(api): State<Api>, fields: Fields) -> Result<(StatusCode, Json<Value>), ApiError> {
    let alias: AliasRecord = fields.record()?;
    let warnings = foresee(&api, &alias)?;
    let revision = api.editor().add_alias(&alias).await.map_err(ApiError::of_request::<AliasRecord>)?;
    note::<AliasRecord>("added", &alias.address);
    api.settle(revision).await;
    Ok((StatusCode::CREATED, Json(with_warnings(with_revision(fields_of(&alias), revision), warnings))))
}

pub(crate) async fn set_alias(
    State(api): State<Api>,
    Name(name): Name,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let (alias, seen) = changed::<AliasRecord>(&api, &name, fields, &[]).await?;
    let warnings = foresee(&api, &alias)?;
    let revision = api.editor().set_alias(&alias, seen).await?;
    note::<AliasRecord>("changed", &alias.address);
    api.settle(revision).await;
    Ok(Json(with_warnings(with_revision(fields_of(&alias), revision), warnings)))
}

/// An alias that leads back to itself is refused; what it names and nobody has is told.
fn foresee(api: &Api, alias: &AliasRecord) -> Result<Vec<String>, ApiError> {
    let address = std::slice::from_ref(&alias.address);
    Ok(api.routing().foresee(alias, address.first(), address)?)
}

pub(crate) async fn remove_alias(State(api): State<Api>, name: Name) -> Result<Json<Value>, ApiError> {
    let address = name.address()?;
    let revision = api.editor().remove_alias(&address).await?;
    note::<AliasRecord>("removed", &address);
    api.settle(revision).await;
    Ok(Json(json!({ "removed": address.to_string() })))
}

pub(crate) async fn add_placement(
    State(api): State<Api>,
    fields: Fields,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let placement: PlacementRecord = fields.record()?;
    let added = api.editor().add_placement(&placement, api.world().mail.as_ref()).await;
    let revision = added.map_err(ApiError::of_request::<PlacementRecord>)?;
    note::<PlacementRecord>("added", &placement.address);
    api.settle(revision).await;
    Ok((StatusCode::CREATED, Json(with_revision(fields_of(&placement), revision))))
}

pub(crate) async fn set_placement(
    State(api): State<Api>,
    Name(name): Name,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let (placement, seen) = changed::<PlacementRecord>(&api, &name, fields, &[]).await?;
    let set = api.editor().set_placement(&placement, seen, api.world().mail.as_ref()).await;
    let revision = set.map_err(ApiError::of_request::<PlacementRecord>)?;
    note::<PlacementRecord>("changed", &placement.address);
    api.settle(revision).await;
    Ok(Json(with_revision(fields_of(&placement), revision)))
}

pub(crate) async fn remove_placement(State(api): State<Api>, name: Name) -> Result<Json<Value>, ApiError> {
    let address = name.address()?;
    let revision = api.editor().remove_placement(&address, api.world().mail.as_ref()).await?;
    note::<PlacementRecord>("removed", &address);
    api.settle(revision).await;
    Ok(Json(json!({ "removed": address.to_string() })))
}
