//! What decides for many accounts at once: rules, domains, the site. A change of these moves nobody: whoever would be
//! looked for elsewhere is pinned first, and the answer says who.

use crate::error::ApiError;
use crate::records::{changed, note, refuse_other_revision, with_revision, with_warnings};
use crate::request::{Asked, Fields, Name, fields_of};
use crate::state::Api;
use crate::words::PinsJson;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use directory::engine::Revision;
use directory::{DomainRecord, Pin, Record, RuleChange, RuleName, RuleRecord, Shown, SiteRecord};
use mail_types::Domain;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeQuery {
    #[serde(default)]
    dry_run: bool,
}

pub(crate) async fn add_rule(
    State(api): State<Api>,
    Asked(query): Asked<ChangeQuery>,
    fields: Fields,
) -> Result<(StatusCode, Json<PinsJson>), ApiError> {
    let rule: RuleRecord = fields.record()?;
    let pins = change::<RuleRecord>(&api, &query, &RuleChange::AddRule(rule)).await?;
    Ok((if query.dry_run { StatusCode::OK } else { StatusCode::CREATED }, pins))
}

pub(crate) async fn set_rule(
    State(api): State<Api>,
    Asked(query): Asked<ChangeQuery>,
    Name(name): Name,
    fields: Fields,
) -> Result<Json<PinsJson>, ApiError> {
    let (rule, seen) = changed::<RuleRecord>(&api, &name, fields, &["name", "order", "domain"]).await?;
    change::<RuleRecord>(&api, &query, &RuleChange::SetRule(rule, seen)).await
}

pub(crate) async fn remove_rule(
    State(api): State<Api>,
    Asked(query): Asked<ChangeQuery>,
    Name(name): Name,
) -> Result<Json<PinsJson>, ApiError> {
    let name = RuleName::parse(&name).map_err(|error| ApiError::field("name", error))?;
    // Also a dry run says when there is no such rule.
    api.editor().show::<RuleRecord>(name.as_str()).await?;
    change::<RuleRecord>(&api, &query, &RuleChange::RemoveRule(name)).await
}

pub(crate) async fn add_domain(State(api): State<Api>, fields: Fields) -> Result<(StatusCode, Json<Value>), ApiError> {
    let domain: DomainRecord = fields.record()?;
    let warnings = of_domain(&api, &domain)?;
    let revision = api.editor().add_domain(&domain).await.map_err(ApiError::of_request::<DomainRecord>)?;
    note::<DomainRecord>("added", &domain.name);
    api.settle(revision).await;
    Ok((StatusCode::CREATED, Json(with_warnings(with_revision(fields_of(&domain), revision), warnings))))
}

pub(crate) async fn set_domain(
    State(api): State<Api>,
    Asked(query): Asked<ChangeQuery>,
    Name(name): Name,
    fields: Fields,
) -> Result<Json<PinsJson>, ApiError> {
    let (domain, seen) = changed::<DomainRecord>(&api, &name, fields, &[]).await?;
    change::<DomainRecord>(&api, &query, &RuleChange::SetDomain(domain, seen)).await
}

pub(crate) async fn remove_domain(State(api): State<Api>, Name(name): Name) -> Result<Json<Value>, ApiError> {
    let name = Domain::parse(&name).map_err(|error| ApiError::field("name", error))?;
    let revision = api.editor().remove_domain(&name).await?;
    note::<DomainRecord>("removed", &name);
    api.settle(revision).await;
    Ok(Json(json!({ "removed": name.as_str() })))
}

pub(crate) async fn show_site(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let (site, revision) = site(&api).await?;
    Ok(Json(with_revision(fields_of(&site), revision)))
}

pub(crate) async fn set_site(
    State(api): State<Api>,
    Asked(query): Asked<ChangeQuery>,
    mut fields: Fields,
) -> Result<Json<PinsJson>, ApiError> {
    let (site, seen) = site(&api).await?;
    refuse_other_revision::<SiteRecord>("record", &mut fields, seen)?;
    let site = fields.over(&site, &[])?;
    change::<SiteRecord>(&api, &query, &RuleChange::SetSite(site, seen)).await
}

/// The site's record; a site that has none has the usual one.
async fn site(api: &Api) -> Result<(SiteRecord, Revision), ApiError> {
    let found = api.editor().find::<SiteRecord>("").await?;
    Ok(found.map_or((SiteRecord::default(), Revision::ZERO), |Shown { record, revision }| (record, revision)))
}

async fn change<R: Record>(api: &Api, query: &ChangeQuery, change: &RuleChange) -> Result<Json<PinsJson>, ApiError> {
    let editor = api.editor();
    let warnings = match change {
        RuleChange::SetDomain(domain, _) => of_domain(api, domain)?,
        RuleChange::SetSite(site, _) => of_site(api, site)?,
        RuleChange::AddRule(_) | RuleChange::SetRule(..) | RuleChange::RemoveRule(_) => Vec::new(),
    };
    let pins = match query.dry_run {
        true => editor.pins(change).await,
        false => editor.change_rules(change).await,
    };
    let pins = pins.map_err(ApiError::of_request::<R>)?;
    if !query.dry_run {
        note::<R>("changed", name_of(change));
        settle(api, change).await;
    }
    let first = pins.iter().take(PINS_SHOWN_MAX).map(sentence).collect();
    Ok(Json(PinsJson { pinned: pins.len(), first, dry_run: query.dry_run, warnings }))
}

/// What is to be known of a domain's catch-all and postmaster that the domain did not have before.
fn of_domain(api: &Api, domain: &DomainRecord) -> Result<Vec<String>, ApiError> {
    let routing = api.routing();
    let before = routing.domains().find(|known| known.name == domain.name);
    let before =
        [before.and_then(|known| known.catch_all.as_ref()), before.and_then(|known| known.postmaster.as_ref())];
    let readers = [domain.catch_all.as_ref(), domain.postmaster.as_ref()].into_iter().zip(before);
    let readers: Vec<_> = readers.filter(|(now, before)| now != before).filter_map(|(now, _)| now.cloned()).collect();
    Ok(routing.foresee(domain, None, &readers)?)
}

/// The same of the site's postmaster.
fn of_site(api: &Api, site: &SiteRecord) -> Result<Vec<String>, ApiError> {
    let routing = api.routing();
    let reader = site.postmaster.clone().filter(|reader| routing.site().postmaster.as_ref() != Some(reader));
    Ok(routing.foresee(site, None, reader.as_slice())?)
}

async fn settle(api: &Api, change: &RuleChange) {
    match change {
        RuleChange::AddRule(rule) | RuleChange::SetRule(rule, _) => {
            api.settle_until(|routing| routing.rules().any(|known| known == rule)).await;
        }
        RuleChange::RemoveRule(name) => {
            api.settle_until(|routing| !routing.rules().any(|known| known.name == *name)).await;
        }
        RuleChange::SetDomain(domain, _) => {
            api.settle_until(|routing| routing.domains().any(|known| known == domain)).await;
        }
        RuleChange::SetSite(site, _) => api.settle_until(|routing| routing.site() == site).await,
    }
}

fn name_of(change: &RuleChange) -> String {
    match change {
        RuleChange::AddRule(rule) | RuleChange::SetRule(rule, _) => rule.name.to_string(),
        RuleChange::RemoveRule(name) => name.to_string(),
        RuleChange::SetDomain(domain, _) => domain.name.to_string(),
        RuleChange::SetSite(..) => String::new(),
    }
}

fn sentence(Pin { address, store, changed, .. }: &Pin) -> String {
    match changed {
        Some(changed) => format!("{address} stays at store {store} (the change says {changed})"),
        None => format!("{address} stays at store {store} (the change gives it none)"),
    }
}

/// Pins that an answer names; the others are counted.
const PINS_SHOWN_MAX: usize = 100;
