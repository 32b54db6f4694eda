//! The paths of the API, and the question that the whole directory is there for.

use crate::error::ApiError;
use crate::imports::{self, IMPORT_OCTETS_MAX, Map, import_map};
use crate::queue::{self, QueueOrder};
use crate::request::{Name, Octets};
use crate::state::{AdminState, Api};
use crate::words::{RouteAnswer, RouteQuestion};
use crate::{accounts, exports, names, nodes, records, rules, sessions, stores};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::routing::{get, post};
use axum::{Json, Router};
use directory::{AliasRecord, DomainRecord, NodeRecord, PlacementRecord, RouteJson, RuleRecord, StoreRecord};
use serde_json::Value;

/// Addresses that one request may ask for.
pub const ROUTE_ADDRESSES_MAX: usize = 1000;

/// The API. Whoever may talk to it may change everything: the world lets nobody else.
pub fn router(state: AdminState) -> Router {
    let name = |kind: &str| format!("/v1/{kind}/{{name}}");
    let import = DefaultBodyLimit::max(IMPORT_OCTETS_MAX);
    Router::new()
        .route("/v1/status", get(stores::status))
        .route("/v1/route", post(route))
        .route("/metrics", get(metrics))
        .route("/v1/sessions", get(sessions::list))
        .route("/v1/kick", post(sessions::kick))
        .route("/v1/site", get(rules::show_site).patch(rules::set_site))
        .route("/v1/accounts", get(accounts::list).post(accounts::add))
        .route(&name("accounts"), get(accounts::show).patch(accounts::set).delete(accounts::remove))
        .route("/v1/aliases", get(records::list::<AliasRecord>).post(names::add_alias))
        .route(&name("aliases"), get(records::show::<AliasRecord>).patch(names::set_alias).delete(names::remove_alias))
        .route("/v1/placements", get(records::list::<PlacementRecord>).post(names::add_placement))
        .route(
            &name("placements"),
            get(records::show::<PlacementRecord>).patch(names::set_placement).delete(names::remove_placement),
        )
        .route("/v1/domains", get(records::list::<DomainRecord>).post(rules::add_domain))
        .route(
            &name("domains"),
            get(records::show::<DomainRecord>).patch(rules::set_domain).delete(rules::remove_domain),
        )
        .route("/v1/rules", get(records::list::<RuleRecord>).post(rules::add_rule))
        .route(&name("rules"), get(records::show::<RuleRecord>).patch(rules::set_rule).delete(rules::remove_rule))
        .route("/v1/stores", get(records::list::<StoreRecord>).post(stores::add))
        .route(&name("stores"), get(records::show::<StoreRecord>).patch(stores::set).delete(stores::remove))
        .route("/v1/nodes", get(records::list::<NodeRecord>).post(nodes::add))
        .route(&name("nodes"), get(records::show::<NodeRecord>).patch(nodes::set).delete(nodes::remove))
        .route("/v1/export", get(exports::export))
        .route("/v1/queue", get(queue::list))
        .route(&name("queue"), get(queue::show).delete(|api, name| order(QueueOrder::Remove, api, name)))
        .route("/v1/queue/{name}/retry", post(|api, name| order(QueueOrder::Retry, api, name)))
        .route("/v1/queue/{name}/hold", post(|api, name| order(QueueOrder::Hold, api, name)))
        .route("/v1/queue/{name}/release", post(|api, name| order(QueueOrder::Release, api, name)))
        .route("/v1/import", get(imports::progress))
        .route("/v1/import/passwd-file", post(imports::import_passwd_file).layer(import))
        .route("/v1/import/popmap", post(imports::import_popmap).layer(import))
        .route("/v1/import/regex-map", post(|api, query, file| import_map(Map::Regex, api, query, file)).layer(import))
        .route("/v1/import/user-map", post(|api, query, file| import_map(Map::User, api, query, file)).layer(import))
        .route("/v1/import/virtual", post(|api, query, file| import_map(Map::Virtual, api, query, file)).layer(import))
        .route(
            "/v1/import/transport",
            post(|api, query, file| import_map(Map::Transport, api, query, file)).layer(import),
        )
        .route("/v1/import/aliases", post(|api, query, file| import_map(Map::Aliases, api, query, file)).layer(import))
        .route(
            "/v1/import/virtusertable",
            post(|api, query, file| import_map(Map::Virtusertable, api, query, file)).layer(import),
        )
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(REQUEST_OCTETS_MAX))
        .with_state(Api::new(state))
}

async fn route(State(api): State<Api>, Octets(body): Octets) -> Result<Json<RouteAnswer>, ApiError> {
    let question: RouteQuestion = serde_json::from_slice(&body)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, format!("not a question: {error}")))?;
    if question.addresses.len() > ROUTE_ADDRESSES_MAX {
        return Err(ApiError::field("addresses", format!("at most {ROUTE_ADDRESSES_MAX}")));
    }
    let routing = api.routing();
    let form = question.local.and_then(|local| api.world().node.login_domain(local));
    let answer = |text: &String| match (question.login, &form) {
        (true, Some(domain)) => RouteJson::login_in(&routing, text, domain),
        (true, None) => RouteJson::login(&routing, text),
        (false, _) => RouteJson::delivery(&routing, text),
    };
    Ok(Json(RouteAnswer { routes: question.addresses.iter().map(answer).collect() }))
}

async fn metrics(State(api): State<Api>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], api.world().node.metrics().await)
}

async fn order(order: QueueOrder, State(api): State<Api>, Name(id): Name) -> Result<Json<Value>, ApiError> {
    queue::order(order, api, &id).await
}

async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("there is no {}", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} knows no {method}", uri.path()))
}

/// A record has at most a few thousand targets or weights.
const REQUEST_OCTETS_MAX: usize = 1 << 20;
