//! Maps that operators already have, read into records: every bad line is named by its number.
//!
//! ```text
//!   bytes ──passwd_file──────▶ Parsed { users }                ──▶ Editor::import_accounts ───▶ ┐
//!         ──popmap───────────▶ Parsed { placements }           ──▶ Editor::import_placements ─▶ ├ ImportReport
//!         ──regex_map, … ────▶ Parsed { entries of any record } ─▶ Editor::import_entries ────▶ ┘
//! ```
//! A file is parsed whole before anything is written, and nothing is written while a line is bad, unless the operator
//! said to skip bad lines; those are listed either way. A key without a domain means the site's own domains, which the
//! caller names, and no others.

mod aliases;
mod apply;
mod entry;
mod error;
mod includes;
mod lines;
mod passwd;
mod pieces;
mod popmap;
mod postfix;
mod reading;
mod regex_map;
mod sendmail;
mod target;
#[cfg(test)]
mod testing;

pub(crate) use aliases::alias_lines;
pub use aliases::aliases;
pub use apply::{BadLines, ImportOptions, ImportReport, Mode, ReportLine};
pub use entry::Entry;
pub use error::LineError;
pub use includes::with_includes;
pub(crate) use passwd::passwd_lines;
pub use passwd::{PasswdUser, passwd_file};
pub(crate) use pieces::Hands;
pub(crate) use popmap::popmap_as;
pub use popmap::{Names, StoreMap, popmap};
pub use postfix::{postfix_virtual, transport};
pub(crate) use postfix::{transport_lines, virtual_lines};
pub(crate) use reading::{Gather, Gathered};
pub use regex_map::regex_map;
pub(crate) use regex_map::{ENTRIES_MAX, FIRST_ORDER};
pub(crate) use sendmail::user_lines;
pub use sendmail::user_map;

use crate::key::parse_local;
use mail_types::{Address, Domain};

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    /// The good lines; one without a domain gives an item for each of the site's own.
    pub items: Vec<Line<T>>,
    /// The bad lines, all of them.
    pub bad: Vec<BadLine>,
    /// What good lines say that no record of the directory can hold.
    pub ignored: Vec<Line<String>>,
}

/// Something with the number of the line that it stood on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<T> {
    /// The line's number.
    pub number: usize,
    /// What stood there.
    pub item: T,
}

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line's number.
    pub number: usize,
    /// Why.
    pub error: LineError,
}

/// The addresses that a key means: itself, or one in each of the site's own domains.
fn addresses(key: &str, own: &[Domain]) -> Result<Vec<Address>, LineError> {
    let bad = || LineError::BadKey { key: key.to_owned() };
    if let Some((local, domain)) = key.rsplit_once('@') {
        let local = parse_local(local).ok_or_else(bad)?;
        let domain = Domain::parse(domain).map_err(|_| bad())?;
        return Ok(vec![Address::new(local, domain)]);
    }
    let local = parse_local(key).ok_or_else(bad)?;
    if own.is_empty() {
        return Err(LineError::NoDomain { key: key.to_owned() });
    }
    Ok(own.iter().map(|domain| Address::new(local.clone(), domain.clone())).collect())
}

#[cfg(test)]
mod tests;
