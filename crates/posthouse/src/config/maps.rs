//! `[[directory.map]]`: maps that others edit, read live.

use super::check::Check;
use super::section::{At, Section};
use directory::import::Names;
use directory::overlay::MapKind;
use mail_types::{Domain, StoreName};
use std::path::PathBuf;

/// `[[directory.map]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// How it is written.
    pub kind: MapKind,
    /// The file.
    pub path: PathBuf,
    /// The domains of its keys that have none.
    pub domains: Vec<Domain>,
    /// What its hosts mean, where they are no names of stores: `host` or `host:port`, and the store.
    pub hosts: Vec<(String, StoreName)>,
    /// What back-ends call users whose keys have no domain.
    pub names: Names,
}

/// What the file says.
pub(super) struct RawMap {
    kind: Option<MapKind>,
    path: Option<At<PathBuf>>,
    domains: Vec<At<Domain>>,
    hosts: Vec<At<(String, StoreName)>>,
    names: Option<At<Names>>,
}

impl RawMap {
    pub(super) fn read(section: &Section<'_>) -> Self {
        section.must_have("kind");
        section.must_have("path");
        let kind = section.parsed("kind", kind).map(|at| at.value);
        Self {
            kind,
            path: section.path("path"),
            domains: section.parsed_list("domains", Domain::parse),
            hosts: section.parsed_list("stores", host_and_store),
            names: section.parsed("names", |text| names(text, kind)),
        }
    }

    /// What it is used for, once.
    pub(super) fn check(self, check: &mut Check<'_>) -> Option<Map> {
        let path = self.path?;
        check.map(&path);
        Some(Map {
            kind: self.kind?,
            path: path.value,
            domains: self.domains.into_iter().map(|at| at.value).collect(),
            hosts: self.hosts.into_iter().map(|at| at.value).collect(),
            names: self.names.map(|at| at.value).unwrap_or_default(),
        })
    }
}

fn kind(text: &str) -> Result<MapKind, String> {
    let names = || MapKind::names().collect::<Vec<_>>().join(", ");
    MapKind::parse(text).map_err(|error| match error.nearest {
        Some(_) => error.to_string(),
        None => format!("is none of {}", names()),
    })
}

/// A map of another kind says what users are called, or nothing of it.
fn names(text: &str, kind: Option<MapKind>) -> Result<Names, String> {
    let names = match text {
        "key" => Names::Key,
        "address" => Names::Address,
        _ => return Err("is neither key nor address".to_owned()),
    };
    match kind {
        None | Some(MapKind::Popmap | MapKind::PasswdFile) => Ok(names),
        Some(kind) => Err(format!("is for a popmap or a passwd-file, and this map is of kind {kind}")),
    }
}

/// `HOST=NAME`, as `posthouse import --store` takes it.
pub(super) fn host_and_store(text: &str) -> Result<(String, StoreName), String> {
    let wrong = || "is not of the form host=store".to_owned();
    let (host, store) = text.split_once('=').filter(|(host, _)| !host.trim().is_empty()).ok_or_else(wrong)?;
    let store = StoreName::parse(store.trim()).map_err(|error| error.to_string())?;
    Ok((host.trim().to_owned(), store))
}
