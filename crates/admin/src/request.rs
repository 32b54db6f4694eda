//! What comes in: path names, queries and JSON objects, with refusals in our own words.

use crate::error::ApiError;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use directory::Record;
use mail_types::Address;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The last segment of a path, percent-decoded: an address may hold `/`.
pub(crate) struct Name(pub(crate) String);

/// The query, of which every field is known.
pub(crate) struct Asked<Q>(pub(crate) Q);

/// The body as it is.
pub(crate) struct Octets(pub(crate) Bytes);

/// The body: one JSON object.
#[derive(Clone)]
pub(crate) struct Fields(Map<String, Value>);

impl Name {
    pub(crate) fn address(&self) -> Result<Address, ApiError> {
        Address::parse(&self.0).map_err(|error| ApiError::field("address", format!("{error}: {:?}", self.0)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|refused| ApiError::new(refused.status(), refused.body_text()))
    }
}

impl<S: Send + Sync, Q: DeserializeOwned> FromRequestParts<S> for Asked<Q> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|Query(asked)| Self(asked)).map_err(|refused| ApiError::new(refused.status(), refused.body_text()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Octets {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|refused| ApiError::new(refused.status(), refused.body_text()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Octets(body) = Octets::from_request(request, state).await?;
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(ApiError::new(StatusCode::BAD_REQUEST, "the body is not a JSON object")),
            Err(error) => Err(ApiError::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}"))),
        }
    }
}

impl Fields {
    /// Refuses a field that is none of `known`, and names the nearest.
    pub(crate) fn only(self, known: &[&str]) -> Result<Self, ApiError> {
        match self.0.keys().find(|field| !known.contains(&field.as_str())) {
            None => Ok(self),
            Some(field) => {
                let nearest = directory::nearest(field, known.iter().copied()).map(str::to_owned);
                Err(directory::RecordError::UnknownField { field: field.clone(), nearest }.into())
            }
        }
    }

    /// Takes a field out; `null` is as good as none.
    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.0.remove(field).filter(|value| !value.is_null())
    }

    /// Takes a field out that is text.
    pub(crate) fn take_text(&mut self, field: &str) -> Result<Option<String>, ApiError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            // The value is not repeated: it may be a password.
            Some(_) => Err(ApiError::field(field, "a text is expected")),
        }
    }

    /// Takes a field out that is a type of its own.
    pub(crate) fn take_as<T: DeserializeOwned>(&mut self, field: &str) -> Result<Option<T>, ApiError> {
        let value = self.take(field).map(serde_json::from_value);
        value.transpose().map_err(|error| ApiError::field(field, error))
    }

    pub(crate) fn put(&mut self, field: &str, value: impl Into<Value>) {
        self.0.insert(field.to_owned(), value.into());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The record that the fields make.
    pub(crate) fn record<R: Record>(self) -> Result<R, ApiError> {
        Ok(R::from_operator(Value::Object(self.0))?)
    }

    /// The record that the fields make of one that is there. Of a record whose `kind` changes, only `kept` stays:
    /// the other fields belong to the kind that it was.
    pub(crate) fn over<R: Record>(self, record: &R, kept: &[&str]) -> Result<R, ApiError> {
        let mut fields = fields_of(record);
        if self.0.get("kind").is_some_and(|kind| fields.get("kind") != Some(kind)) {
            fields.retain(|field, _| kept.contains(&field.as_str()));
        }
        fields.extend(self.0);
        let changed = Self(fields).record::<R>()?;
        match changed.key() == record.key() {
            true => Ok(changed),
            false => Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, format!("a {} keeps its name", R::KIND))),
        }
    }
}

pub(crate) fn fields_of<R: Record>(record: &R) -> Map<String, Value> {
    match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        // Records are maps with text keys and hold no type whose serialisation can fail.
        Ok(_) | Err(_) => Map::new(),
    }
}
