//! Layers and manners of the members' manifests.

use crate::workspace::{Member, Workspace};
use std::collections::BTreeMap;

/// The breaches in all manifests.
pub(super) fn check(here: &Workspace) -> Vec<String> {
    let members = here.members();
    let layers: BTreeMap<&str, i64> =
        members.iter().filter_map(|(name, member)| Some((name.as_str(), layer(member)?))).collect();
    let breaches = members.iter().flat_map(|(name, member)| {
        let mut found = manners(member);
        found.extend(direction(name, member, &layers));
        found.extend(reasons(member, |dependency| members.contains_key(dependency)));
        found.into_iter().map(|what| format!("{}/Cargo.toml: {what}", member.folder.display())).collect::<Vec<_>>()
    });
    breaches.collect()
}

fn layer(member: &Member) -> Option<i64> {
    let metadata = member.manifest.get("package")?.get("metadata")?;
    metadata.get("tidy")?.get("layer")?.as_integer()
}

/// What every member states.
fn manners(member: &Member) -> Vec<String> {
    let mut breaches = Vec::new();
    if layer(member).is_none() {
        breaches.push("no `[package.metadata.tidy] layer`".to_owned());
    }
    let package = member.manifest.get("package");
    for key in ["description", "rust-version", "license"] {
        if package.and_then(|package| package.get(key)).is_none() {
            breaches.push(format!("the package states no {key}"));
        }
    }
    let lints = member.manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(|lints| lints.as_bool()) != Some(true) {
        breaches.push("the lints are not those of the workspace".to_owned());
    }
    breaches
}

/// A crate uses lower layers only, never a sibling. What only its tests use may be a sibling too (a core is tested
/// over the driver of its trait, a role against another's double), but never a higher layer: a test that needs one
/// belongs there.
fn direction(name: &str, member: &Member, layers: &BTreeMap<&str, i64>) -> Vec<String> {
    let Some(own) = layer(member) else { return Vec::new() };
    let mut breaches = Vec::new();
    for (table, sibling_allowed) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
    {
        for (dependency, other) in uses(member, table, layers) {
            let holds = other < own || (sibling_allowed && other == own);
            // The test programs themselves may start what they test.
            if !holds && dependency != name {
                breaches.push(format!("layer {own} uses {dependency} of layer {other} in [{table}]"));
            }
        }
    }
    breaches
}

fn uses<'a>(
    member: &'a Member,
    table: &str,
    layers: &'a BTreeMap<&str, i64>,
) -> impl Iterator<Item = (&'a str, i64)> + use<'a> {
    let names = member.manifest.get(table).and_then(|table| table.as_table()).into_iter().flat_map(toml::Table::keys);
    names.filter_map(|name| Some((name.as_str(), *layers.get(name.as_str())?)))
}

/// Every dependency from outside says why it is there: on its line, or on the line above.
fn reasons(member: &Member, is_ours: impl Fn(&str) -> bool) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut in_dependencies = false;
    let mut above = "";
    for line in member.manifest_text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            in_dependencies = section.trim_end_matches(']').ends_with("dependencies");
        } else if in_dependencies
            && let Some((key, value)) = line.split_once('=')
            && !line.starts_with('#')
        {
            let name = key.split('.').next().unwrap_or(key).trim();
            if !is_ours(name) && !value.contains("# ") && !above.starts_with("# ") {
                breaches.push(format!("no reason beside {name}"));
            }
        }
        above = line;
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(text: &str) -> Member {
        Member { folder: "x".into(), manifest: text.parse().expect("a manifest"), manifest_text: text.to_owned() }
    }

    #[test]
    fn layers_go_down() {
        let layers = BTreeMap::from([("words", 0), ("core", 1), ("sister", 1), ("world", 4)]);
        let text = "[package]\nmetadata.tidy.layer = 1\n[dependencies]\nwords = {}\nsister = {}\n\
                    [dev-dependencies]\nsister = {}\nworld = {}\n";
        assert_eq!(
            direction("core", &member(text), &layers),
            ["layer 1 uses sister of layer 1 in [dependencies]", "layer 1 uses world of layer 4 in [dev-dependencies]"]
        );
    }

    #[test]
    fn dependencies_have_reasons() {
        let text = "[dependencies]\nours = {}\nbytes = {} # pieces without a copy\n# for tests\nfoo.workspace = true\n\
                    bar = {}\n[features]\ndefault = []\n";
        assert_eq!(reasons(&member(text), |name| name == "ours"), ["no reason beside bar"]);
    }

    #[test]
    fn manners_are_stated() {
        let text = "[package]\nname = 'x'\ndescription = 'y'\nlicense = 'z'\nmetadata.tidy.layer = 1\n";
        assert_eq!(
            manners(&member(text)),
            ["the package states no rust-version", "the lints are not those of the workspace"]
        );
    }
}
