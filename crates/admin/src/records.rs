//! What all kinds of records have in common: pages, one by its name, and what a change starts from.

use crate::error::ApiError;
use crate::request::{Asked, Fields, Name, fields_of};
use crate::state::Api;
use crate::words::{ListJson, UnreadableJson};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use directory::engine::Revision;
use directory::{AccountRecord, AliasRecord, PlacementRecord, Record, Shown};
use mail_types::Domain;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Records in a page where nobody says how many.
pub const PAGE_USUAL: usize = 100;
/// Records in a page at most.
pub const PAGE_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    domain: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn list<R: Record>(
    State(api): State<Api>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<ListJson>, ApiError> {
    page::<R>(&api, query, |record, revision| with_revision(fields_of(&record), revision)).await
}

/// A page of records as `show` makes them.
pub(crate) async fn page<R: Record>(
    api: &Api,
    query: ListQuery,
    show: impl Fn(R, Revision) -> Value,
) -> Result<Json<ListJson>, ApiError> {
    let within = query.domain.as_deref().map(domain_of::<R>).transpose()?;
    let limit = query.limit.unwrap_or(PAGE_USUAL).clamp(1, PAGE_MAX);
    let listing = api.editor().list::<R>(within.as_ref(), query.after.as_deref(), limit).await?;
    let unreadable = listing.unreadable.into_iter();
    Ok(Json(ListJson {
        items: listing.records.into_iter().map(|Shown { record, revision }| show(record, revision)).collect(),
        unreadable: unreadable.map(|(key, error)| UnreadableJson { key, error: error.to_string() }).collect(),
        next: listing.next,
    }))
}

pub(crate) async fn show<R: Record>(State(api): State<Api>, Name(name): Name) -> Result<Json<Value>, ApiError> {
    let Shown { record, revision } = api.editor().show::<R>(&name).await?;
    Ok(Json(with_revision(fields_of(&record), revision)))
}

/// The record that a PATCH makes of the one that is there, and the revision of that.
pub(crate) async fn changed<R: Record>(
    api: &Api,
    name: &str,
    mut fields: Fields,
    kept: &[&str],
) -> Result<(R, Revision), ApiError> {
    let Shown { record, revision } = api.editor().show::<R>(name).await?;
    refuse_other_revision::<R>(name, &mut fields, revision)?;
    Ok((fields.over(&record, kept)?, revision))
}

/// Whoever says which revision he saw is refused when it is another by now.
pub(crate) fn refuse_other_revision<R: Record>(
    name: &str,
    fields: &mut Fields,
    revision: Revision,
) -> Result<(), ApiError> {
    match fields.take_as::<u64>("revision")? {
        Some(seen) if seen != revision.number() => {
            let error = format!("{} {name} was changed meanwhile; look again", R::KIND);
            Err(ApiError::new(StatusCode::CONFLICT, error))
        }
        Some(_) | None => Ok(()),
    }
}

pub(crate) fn with_revision(mut fields: Map<String, Value>, revision: Revision) -> Value {
    fields.insert("revision".to_owned(), revision.number().into());
    Value::Object(fields)
}

/// What is shown of a record that was written, with what an operator should know of it.
pub(crate) fn with_warnings(mut shown: Value, warnings: Vec<String>) -> Value {
    if let Some(fields) = shown.as_object_mut().filter(|_| !warnings.is_empty()) {
        fields.insert("warnings".to_owned(), warnings.into());
    }
    shown
}

/// Logs a change, once, for all kinds.
pub(crate) fn note<R: Record>(done: &'static str, name: impl std::fmt::Display) {
    tracing::info!(kind = R::KIND, %name, "{done}");
}

/// Only addresses are within a domain.
fn domain_of<R: Record>(text: &str) -> Result<Domain, ApiError> {
    if ![AccountRecord::KIND, AliasRecord::KIND, PlacementRecord::KIND].contains(&R::KIND) {
        return Err(ApiError::field("domain", format!("a {} is not within a domain", R::KIND)));
    }
    Domain::parse(text).map_err(|error| ApiError::field("domain", error))
}
