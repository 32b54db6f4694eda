//! What Cargo.lock brings in, against the lists of deny.toml.

use crate::run;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// The breaches of all packages that come from outside.
pub(super) fn check(here: &Workspace) -> Result<Vec<String>> {
    let rules = Rules::read(&here.text(Path::new("deny.toml"))?).context("deny.toml")?;
    let metadata = run::cargo(here).args(["metadata", "--format-version", "1"]).output()?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("cargo metadata lists no packages")?;
    Ok(packages.iter().flat_map(|package| rules.breaches(package)).collect())
}

struct Rules {
    licences: BTreeSet<String>,
    banned: BTreeSet<String>,
}

impl Rules {
    fn read(text: &str) -> Result<Self> {
        let rules: toml::Table = text.parse()?;
        let list = |section: &str, key: &str| {
            let list = rules.get(section).and_then(|table| table.get(key)).and_then(|list| list.as_array());
            list.with_context(|| format!("no list {section}.{key}"))
        };
        let licences = list("licenses", "allow")?.iter().filter_map(|name| name.as_str()).map(str::to_owned).collect();
        let banned = list("bans", "deny")?.iter().filter_map(|ban| ban.get("crate")?.as_str()).map(str::to_owned);
        Ok(Self { licences, banned: banned.collect() })
    }

    fn breaches(&self, package: &Value) -> Vec<String> {
        let text = |key: &str| package.get(key).and_then(Value::as_str);
        let name = text("name").unwrap_or("?");
        // Our own packages come from no registry.
        let Some(source) = text("source") else { return Vec::new() };
        let mut breaches = Vec::new();
        if source != CRATES_IO {
            breaches.push(format!("{name}: comes from {source}"));
        }
        if self.banned.contains(name) {
            breaches.push(format!("{name}: is banned by deny.toml"));
        }
        match text("license").map(|licence| self.permits(licence)) {
            Some(Ok(true)) => {}
            Some(Ok(false)) => breaches.push(format!("{name}: licence {}", text("license").unwrap_or("?"))),
            Some(Err(error)) => breaches.push(format!("{name}: {error:#}")),
            None => breaches.push(format!("{name}: states no licence")),
        }
        breaches
    }

    /// Whether an SPDX expression can be met with the licences on the list.
    fn permits(&self, expression: &str) -> Result<bool> {
        // `MIT/Apache-2.0` is how `OR` was written before SPDX.
        let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut rest = words.as_slice();
        let met = self.any(&mut rest)?;
        if !rest.is_empty() {
            bail!("the licence expression {expression:?} is not understood");
        }
        Ok(met)
    }

    fn any(&self, rest: &mut &[&str]) -> Result<bool> {
        let mut met = self.all(rest)?;
        while take(rest, "OR") {
            met |= self.all(rest)?;
        }
        Ok(met)
    }

    fn all(&self, rest: &mut &[&str]) -> Result<bool> {
        let mut met = self.one(rest)?;
        while take(rest, "AND") {
            met &= self.one(rest)?;
        }
        Ok(met)
    }

    fn one(&self, rest: &mut &[&str]) -> Result<bool> {
        if take(rest, "(") {
            let met = self.any(rest)?;
            if !take(rest, ")") {
                bail!("a licence expression without its closing bracket");
            }
            return Ok(met);
        }
        let mut name = next(rest).context("a licence expression that ends too early")?.to_owned();
        if take(rest, "WITH") {
            name = format!("{name} WITH {}", next(rest).context("WITH without an exception")?);
        }
        Ok(self.licences.contains(&name))
    }
}

fn next<'a>(rest: &mut &[&'a str]) -> Option<&'a str> {
    let (first, others) = rest.split_first()?;
    *rest = others;
    Some(first)
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    let found = rest.first() == Some(&word);
    if found {
        next(rest);
    }
    found
}

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules::read(
            "[licenses]\nallow = ['MIT', 'ISC', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception']\n\
             [bans]\ndeny = [{ crate = 'openssl' }]\n",
        )
        .expect("rules")
    }

    #[test]
    fn expressions_are_weighed() {
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT AND GPL-3.0-only", false),
            ("GPL-3.0-only/MIT", true),
            ("ISC AND (GPL-2.0-only OR Apache-2.0 WITH LLVM-exception)", true),
            ("GPL-2.0-only OR MIT AND ISC", true),
        ] {
            assert_eq!(rules().permits(expression).expect(expression), met, "{expression}");
        }
        assert!(rules().permits("MIT ISC").is_err());
        assert!(rules().permits("(MIT").is_err());
    }

    #[test]
    fn packages_are_judged() {
        let package = |name: &str, source: &str| serde_json::json!({"name": name, "source": source, "license": "MIT"});
        assert!(rules().breaches(&package("bytes", CRATES_IO)).is_empty());
        assert_eq!(rules().breaches(&package("openssl", CRATES_IO)).len(), 1);
        assert_eq!(rules().breaches(&package("bytes", "git+https://example.org/bytes")).len(), 1);
        let ours = serde_json::json!({"name": "ports", "source": null, "license": "x"});
        assert!(rules().breaches(&ours).is_empty());
    }
}
