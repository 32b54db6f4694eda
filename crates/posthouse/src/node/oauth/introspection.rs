//! An issuer that is asked about each token (RFC 7662).

use super::{Judged, Refusal};
use crate::config::url_encoded;
use crate::node::web::Web;
use http_body_util::Full;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use proxy::NoVerdict;
use sasl::Secret;
use serde_json::{Map, Value};

pub(super) struct Introspection {
    web: Web,
    /// By which it knows us.
    credentials: HeaderValue,
}

impl Introspection {
    pub(super) fn new(web: Web, credentials: HeaderValue) -> Self {
        Self { web, credentials }
    }

    /// What it says of a token that it knows.
    pub(super) async fn claims(&self, token: &Secret) -> Judged<Map<String, Value>> {
        let no_verdict = |error: &dyn std::fmt::Display| NoVerdict(error.to_string());
        let request = self
            .web
            .request(Method::POST)
            .header(AUTHORIZATION, self.credentials.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form(token))))
            .map_err(|error| no_verdict(&error))?;
        let body = self.web.body(request).await.map_err(|error| no_verdict(&error))?;
        let not_understood = |why: &str| no_verdict(&self.web.failed(&format_args!("the answer {why}")));
        let answer: Map<String, Value> =
            serde_json::from_slice(&body).map_err(|_| not_understood("is no JSON object"))?;
        // RFC 7662 §2.2: whatever a token has against it, there is no more to hear of it.
        match answer.get("active") {
            Some(Value::Bool(true)) => Ok(Ok(answer)),
            Some(Value::Bool(false)) => Ok(Err(Refusal("it is not active, says its issuer".to_owned()))),
            Some(_) | None => Err(not_understood("does not say whether the token is active")),
        }
    }
}

/// RFC 7662 §2.1
fn form(token: &Secret) -> String {
    format!("token={}&token_type_hint=access_token", url_encoded(token.as_bytes()))
}
