//! Maps that operators have, taken over HTTP.

use crate::error::ApiError;
use crate::paced::Paced;
use crate::request::{Asked, Octets};
use crate::state::{Api, fresh_id};
use crate::words::{ImportJson, ProgressJson};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use directory::engine::Range;
use directory::import::{
    BadLine, BadLines, Entry, ImportOptions, ImportReport, LineError, Mode, Names, Parsed, PasswdUser, StoreMap,
    aliases, passwd_file, popmap, postfix_virtual, regex_map, transport, user_map,
};
use directory::{AccountRecord, Editor, PlacementRecord, ROUTING_PREFIX, Record, Routing};
use mail_types::{Domain, StoreName};
use sasl::StoredPassword;
use serde::Deserialize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A file that is imported: half a million lines of a passwd-file with Argon2 hashes.
pub const IMPORT_OCTETS_MAX: usize = 64 << 20;
/// Lines of each kind that an answer names.
pub const REPORT_LINES_MAX: usize = 1000;

/// The import that is running. One at a time: a second one would only run into conflicts with the first.
#[derive(Default)]
pub(crate) struct Running {
    busy: AtomicBool,
    done: AtomicUsize,
    total: AtomicUsize,
}

/// Ends the import when it is dropped, also when the client has gone away.
struct Turn<'a>(&'a Running);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportQuery {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    skip_bad: bool,
    /// The domains that a key without one belongs to, separated by commas.
    #[serde(default)]
    domains: String,
    /// `host=store` or `host:port=store`, separated by commas.
    #[serde(default)]
    stores: String,
    /// What back-ends call users whose keys have no domain.
    #[serde(default)]
    names: KeyNames,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeyNames {
    #[default]
    Key,
    Address,
}

pub(crate) async fn import_passwd_file(
    State(api): State<Api>,
    Asked(query): Asked<ImportQuery>,
    Octets(file): Octets,
) -> Result<(StatusCode, Json<ImportJson>), ApiError> {
    let turn = api.import().begin()?;
    let routing = api.editor().routing().await?;
    let (own, stores) = (own_domains(&query, &routing)?, store_map(&query, &routing)?);
    let parsed = api.blocking(move || usable(passwd_file(&file, &own, &stores))).await?;
    turn.0.total.store(parsed.items.len(), Ordering::Relaxed);
    let engine = Paced::new(api.world().engine.clone(), AccountRecord::PREFIX, &turn.0.done);
    let random = api.world().random.clone();
    let mut ids = || fresh_id(random.as_ref());
    let report = Editor::new(&engine).import_accounts(&parsed, query.options(), api.now(), &mut ids).await?;
    answer(&api, &query, "passwd-file", report).await
}

/// Sorts out users whose hash nobody could log in with: better told now, by line, than at every login.
fn usable(mut parsed: Parsed<PasswdUser>) -> Parsed<PasswdUser> {
    let mut bad: Vec<BadLine> = Vec::new();
    parsed.items.retain(|line| {
        let Some(hash) = &line.item.password else { return true };
        let Err(error) = StoredPassword::parse(hash.expose()) else { return true };
        // A key without a domain gives an item for each domain of the site, and is one bad line all the same.
        if bad.last().is_none_or(|last| last.number != line.number) {
            let (key, why) = (line.item.address.to_string(), error.to_string());
            bad.push(BadLine { number: line.number, error: LineError::UnusablePassword { key, why } });
        }
        false
    });
    parsed.bad.append(&mut bad);
    parsed.bad.sort_by_key(|bad| bad.number);
    parsed
}

pub(crate) async fn import_popmap(
    State(api): State<Api>,
    Asked(query): Asked<ImportQuery>,
    Octets(file): Octets,
) -> Result<(StatusCode, Json<ImportJson>), ApiError> {
    let turn = api.import().begin()?;
    let routing = api.editor().routing().await?;
    let (own, stores) = (own_domains(&query, &routing)?, store_map(&query, &routing)?);
    let parsed = api.blocking(move || popmap(&file, &own, &stores)).await?;
    turn.0.total.store(parsed.items.len(), Ordering::Relaxed);
    let engine = Paced::new(api.world().engine.clone(), PlacementRecord::PREFIX, &turn.0.done);
    let mail = api.world().mail.clone();
    let report = Editor::new(&engine).import_placements(&parsed, query.options(), mail.as_ref()).await?;
    answer(&api, &query, "popmap", report).await
}

/// A map whose lines become more than one kind of record.
#[derive(Clone, Copy)]
pub(crate) enum Map {
    /// Perdition's: rules.
    Regex,
    /// Sendmail's.
    User,
    /// Sendmail's, of the same form.
    Virtusertable,
    /// Sendmail's and Postfix's.
    Aliases,
    /// Postfix's.
    Virtual,
    /// Postfix's.
    Transport,
}

impl Map {
    fn name(self) -> &'static str {
        match self {
            Self::Regex => "regex-map",
            Self::User => "user-map",
            Self::Virtusertable => "virtusertable",
            Self::Aliases => "aliases",
            Self::Virtual => "virtual",
            Self::Transport => "transport",
        }
    }

    fn parse(self, file: &[u8], own: &[Domain], ours: &[Domain], stores: &StoreMap) -> Parsed<Entry> {
        match self {
            Self::Regex => regex_map(file, own, stores),
            Self::User | Self::Virtusertable => user_map(file, own, stores),
            Self::Aliases => aliases(file, own, stores),
            Self::Virtual => postfix_virtual(file, own, ours, stores),
            Self::Transport => transport(file, own, stores),
        }
    }
}

/// Imports a map.
pub(crate) async fn import_map(
    map: Map,
    State(api): State<Api>,
    Asked(query): Asked<ImportQuery>,
    Octets(file): Octets,
) -> Result<(StatusCode, Json<ImportJson>), ApiError> {
    let turn = api.import().begin()?;
    let routing = api.editor().routing().await?;
    // Where no domain is named, rules hold in all of them.
    let own = match (map, query.domains.is_empty()) {
        (Map::Regex, true) => Vec::new(),
        _ => own_domains(&query, &routing)?,
    };
    let stores = store_map(&query, &routing)?;
    let ours: Vec<Domain> = routing.domains().map(|domain| domain.name.clone()).collect();
    let parsed = api.blocking(move || map.parse(&file, &own, &ours, &stores)).await?;
    turn.0.total.store(parsed.items.len(), Ordering::Relaxed);
    let engine = Paced::new(api.world().engine.clone(), ROUTING_PREFIX, &turn.0.done);
    let mail = api.world().mail.clone();
    let report = Editor::new(&engine).import_entries(&parsed, query.options(), mail.as_ref()).await?;
    answer(&api, &query, map.name(), report).await
}

pub(crate) async fn progress(State(api): State<Api>) -> Json<ProgressJson> {
    Json(api.import().progress())
}

impl ImportQuery {
    fn options(&self) -> ImportOptions {
        ImportOptions {
            mode: if self.dry_run { Mode::DryRun } else { Mode::Write },
            bad_lines: if self.skip_bad { BadLines::Skip } else { BadLines::Refuse },
        }
    }
}

impl Running {
    fn begin(&self) -> Result<Turn<'_>, ApiError> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(ApiError::new(StatusCode::CONFLICT, "another import is running; wait for its end"));
        }
        self.done.store(0, Ordering::Relaxed);
        self.total.store(0, Ordering::Relaxed);
        Ok(Turn(self))
    }

    fn progress(&self) -> ProgressJson {
        let total = self.total.load(Ordering::Relaxed);
        // Pins are written too, and are no entries of the file.
        let done = self.done.load(Ordering::Relaxed).min(total);
        ProgressJson { running: self.busy.load(Ordering::Acquire), done, total }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

async fn answer(
    api: &Api,
    query: &ImportQuery,
    kind: &'static str,
    mut report: ImportReport,
) -> Result<(StatusCode, Json<ImportJson>), ApiError> {
    let (bad, collisions) = (report.bad.len(), report.collisions.len());
    if report.written {
        tracing::info!(kind, added = report.added, changed = report.changed.len(), bad, collisions, "imported");
        let newest = Range { prefix: ROUTING_PREFIX, after: None, limit: 1 };
        api.settle(api.world().engine.range(newest).await?.revision).await;
    }
    let mut left_out = 0;
    let lists = [&mut report.changed, &mut report.collisions, &mut report.bad, &mut report.ignored, &mut report.notes];
    for lines in lists {
        left_out += lines.len().saturating_sub(REPORT_LINES_MAX);
        lines.truncate(REPORT_LINES_MAX);
    }
    let refused = bad + collisions > 0 && !query.skip_bad && !query.dry_run;
    let error = refused.then(|| format!("nothing was imported: {bad} bad lines, {collisions} collisions"));
    let status = if refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, Json(ImportJson { report, left_out, error })))
}

/// Whom a key without a domain belongs to: the domains of the query, else the one that completes a login name.
fn own_domains(query: &ImportQuery, routing: &Routing) -> Result<Vec<Domain>, ApiError> {
    let named = list_of(&query.domains).map(|name| {
        let domain = Domain::parse(name).map_err(|error| ApiError::field("domains", format!("{error}: {name:?}")))?;
        match routing.domains().any(|known| known.name == domain) {
            true => Ok(domain),
            false => {
                let nearest = directory::nearest(name, routing.domains().map(|known| known.name.as_str()));
                Err(ApiError::field("domains", unknown("domain", name, nearest)))
            }
        }
    });
    let named: Vec<Domain> = named.collect::<Result<_, _>>()?;
    let mut ours = routing.domains().filter(|domain| domain.local).map(|domain| &domain.name);
    let only = ours.next().filter(|_| ours.next().is_none());
    match named.is_empty() {
        true => Ok(routing.site().login_domain.as_ref().or(only).cloned().into_iter().collect()),
        false => Ok(named),
    }
}

fn store_map(query: &ImportQuery, routing: &Routing) -> Result<StoreMap, ApiError> {
    let names = match query.names {
        KeyNames::Key => Names::Key,
        KeyNames::Address => Names::Address,
    };
    let mut map = StoreMap::of(routing).with_names(names);
    for pair in list_of(&query.stores) {
        let (host, name) = pair
            .rsplit_once('=')
            .filter(|(host, _)| !host.is_empty())
            .ok_or_else(|| ApiError::field("stores", format!("{pair:?} is not of the form HOST=NAME")))?;
        let store = StoreName::parse(name).map_err(|error| ApiError::field("stores", format!("{error}: {name:?}")))?;
        if routing.store(&store).is_none() {
            let nearest = directory::nearest(name, routing.stores().map(|known| known.name.as_str()));
            return Err(ApiError::field("stores", unknown("store", name, nearest)));
        }
        map = map.with(host, store);
    }
    Ok(map)
}

fn list_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn unknown(kind: &str, name: &str, nearest: Option<&str>) -> String {
    let meant = nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
    format!("there is no {kind} {name}{meant}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_that_nobody_can_use_are_bad_lines() {
        let own = [Domain::parse("a.test").expect("a domain"), Domain::parse("b.test").expect("a domain")];
        let file = b"anna:{PLAIN}x\nbert:{FOO}x\ncarl\ndora@a.test:{SHA512-CRYPT}bad\n";
        let parsed = usable(passwd_file(file, &own, &StoreMap::default()));
        let good: Vec<String> = parsed.items.iter().map(|line| line.item.address.to_string()).collect();
        assert_eq!(good, ["anna@a.test", "anna@b.test"]);
        assert_eq!(parsed.bad.iter().map(|bad| bad.number).collect::<Vec<_>>(), [2, 3, 4]);
        let said = parsed.bad.first().map(|bad| bad.error.to_string()).unwrap_or_default();
        assert_eq!(said, "the password of \"bert@a.test\" cannot be used: unknown password scheme {FOO}");
    }
}
