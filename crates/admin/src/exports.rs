//! The whole directory as a file.

use crate::error::ApiError;
use crate::request::Asked;
use crate::state::Api;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use directory::file::{Secrets, collect, encode};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportQuery {
    /// Whether password hashes are in it.
    #[serde(default = "yes")]
    passwords: bool,
}

/// All records as of one revision, in the format of docs/format/directory-file.md.
pub(crate) async fn export(
    State(api): State<Api>,
    Asked(query): Asked<ExportQuery>,
) -> Result<([(HeaderName, &'static str); 1], Vec<u8>), ApiError> {
    let secrets = if query.passwords { Secrets::Included } else { Secrets::LeftOut };
    // What it would say cannot be in the file: whoever reads it would put all mail off until the next one.
    if let Some(map) = api.routing().unread_map() {
        let why = format!("{map}: a map that is read live was not read yet, so that its records cannot be exported");
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, why));
    }
    let entries = collect(api.world().engine.as_ref(), secrets).await?;
    let records = entries.len();
    let text = api.blocking(move || encode(&entries, secrets)).await?;
    let text = text.map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    tracing::info!(records, passwords = query.passwords, "the directory was exported");
    Ok(([(CONTENT_TYPE, "application/jsonl")], text))
}

fn yes() -> bool {
    true
}
