//! The rules that no compiler knows.
//!
//! ```text
//!   manifests.rs   layers, reasons beside dependencies, rust-version, lints
//!   sources.rs     length, the page at the top of a crate, words that mean unfinished
//!   documents.rs   files that must be there, links that must lead somewhere
//!   licences.rs    what Cargo.lock brings in, against deny.toml
//! ```

mod documents;
mod licences;
mod manifests;
mod sources;

use crate::workspace::Workspace;
use anyhow::Result;

/// Prints every breach, `place: what`; true when there is none.
pub(crate) fn run(here: &Workspace) -> Result<bool> {
    let mut breaches = Vec::new();
    breaches.extend(manifests::check(here));
    breaches.extend(sources::check(here)?);
    breaches.extend(documents::check(here)?);
    breaches.extend(licences::check(here)?);
    for breach in &breaches {
        println!("{breach}");
    }
    println!("tidy: {} breaches", breaches.len());
    Ok(breaches.is_empty())
}
