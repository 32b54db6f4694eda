//! Refusals as status codes (RFC 9110 §15).

use crate::words::ErrorJson;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use directory::{EditError, EngineError, Record, RecordError};

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    json: ErrorJson,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, error: impl ToString) -> Self {
        Self { status, json: ErrorJson { error: error.to_string(), field: None, temporary: false } }
    }

    /// A field of the request holds what it may not.
    pub(crate) fn field(field: &str, why: impl ToString) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{field}: {}", why.to_string())).at(field)
    }

    /// Nobody can say now.
    pub(crate) fn temporary(error: impl ToString) -> Self {
        let error = format!("{}; this is temporary, try again later", error.to_string());
        let json = ErrorJson { error, field: None, temporary: true };
        Self { status: StatusCode::SERVICE_UNAVAILABLE, json }
    }

    /// Something that the request *names* is missing or leaving: that is a mistake in the request and not about the
    /// resource `R` of its path.
    pub(crate) fn of_request<R: Record>(error: EditError) -> Self {
        if let EditError::NotFound { kind, .. } | EditError::Closing { kind, .. } = &error
            && *kind != R::KIND
        {
            return Self::new(StatusCode::UNPROCESSABLE_ENTITY, &error).at(kind);
        }
        error.into()
    }

    fn at(mut self, field: &str) -> Self {
        self.json.field = Some(field.to_owned());
        self
    }
}

impl From<EditError> for ApiError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, error),
            EditError::Taken { .. }
            | EditError::Closing { .. }
            | EditError::InUse { .. }
            | EditError::MailBehind { .. }
            | EditError::PlacedElsewhere { .. }
            | EditError::Conflict { .. } => Self::new(StatusCode::CONFLICT, error),
            EditError::StoreSilent { .. } => Self::temporary(error),
            EditError::Loop { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error),
            EditError::NoStore { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error).at("store"),
            EditError::Record(error) => error.into(),
            EditError::Engine(error) => error.into(),
        }
    }
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        let refused = Self::new(StatusCode::UNPROCESSABLE_ENTITY, &error);
        match &error {
            RecordError::UnknownField { field, .. } => refused.at(field),
            RecordError::Field { field, .. } => refused.at(field),
            RecordError::Json(_) => refused,
            // The stored record is the later one, not the request.
            RecordError::Newer { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, &error),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Unavailable { .. } | EngineError::Compacted { .. } => Self::temporary(error),
            EngineError::ReadOnly { .. } | EngineError::Live { .. } => Self::new(StatusCode::FORBIDDEN, error),
            EngineError::Invalid { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error),
            EngineError::Damaged { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), error = %self.json.error, "admin request failed");
        }
        (self.status, Json(self.json)).into_response()
    }
}
