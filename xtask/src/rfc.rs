//! Which code obeys which section of which RFC, from the comments that cite them.

use crate::workspace::Workspace;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// RFC number → section (as numbers, so that §10 comes after §9) → where it is cited.
type Citations = BTreeMap<u32, BTreeMap<Vec<u32>, BTreeSet<String>>>;

/// Prints the table in Markdown.
pub(crate) fn run(here: &Workspace) -> Result<bool> {
    let mut table = Citations::new();
    for path in here.files(Path::new("crates"), ".rs")? {
        for (number, line) in here.text(&path)?.lines().enumerate() {
            for (rfc, section) in citations(line) {
                let place = format!("{}:{}", path.display(), number + 1);
                table.entry(rfc).or_default().entry(section).or_default().insert(place);
            }
        }
    }
    print!("{}", render(&table));
    Ok(true)
}

fn render(table: &Citations) -> String {
    let mut page = String::new();
    for (rfc, sections) in table {
        let cited: usize = sections.values().map(BTreeSet::len).sum();
        page.push_str(&format!("\n## RFC {rfc} ({cited} ×)\n\n| section | code |\n|---|---|\n"));
        for (section, places) in sections {
            let name = if section.is_empty() { "(whole)".to_owned() } else { format!("§{}", dotted(section)) };
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            page.push_str(&format!("| {name} | {} |\n", places.join(", ")));
        }
        let gaps = gaps(sections.keys());
        if !gaps.is_empty() {
            let gaps: Vec<String> = gaps.iter().map(|gap| format!("§{}", dotted(gap))).collect();
            page.push_str(&format!("\nNot cited between those that are: {}\n", gaps.join(", ")));
        }
    }
    page
}

/// Sections that must exist, because a later sister is cited, and that no code names: neither they nor a part of them.
fn gaps<'a>(cited: impl Iterator<Item = &'a Vec<u32>>) -> Vec<Vec<u32>> {
    let mut last: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for section in cited {
        for depth in 0..section.len() {
            let (parent, rest) = section.split_at(depth);
            let Some(&number) = rest.first() else { continue };
            let highest = last.entry(parent.to_vec()).or_default();
            *highest = number.max(*highest);
            known.insert([parent, &[number]].concat());
        }
    }
    let all = last.iter().flat_map(|(parent, &highest)| (1..highest).map(move |n| [parent.as_slice(), &[n]].concat()));
    all.filter(|section| !known.contains(section)).collect()
}

/// Every `RFC 5321 §4.1.2` of a line; `RFC 5321` alone cites the whole, `§4.1, §4.2` and `§§4.1, 4.2` cite each.
fn citations(line: &str) -> Vec<(u32, Vec<u32>)> {
    let mut found = Vec::new();
    for after in line.split("RFC ").skip(1) {
        let digits = after.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
        let Ok(rfc) = digits.parse() else { continue };
        let mut rest = after.get(digits.len()..).unwrap_or("").trim_start();
        if !rest.starts_with('§') {
            found.push((rfc, Vec::new()));
        }
        while let Some(section) = rest.strip_prefix('§') {
            let section = section.trim_start_matches('§').trim_start();
            let end = section.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(section.len());
            let (name, tail) = section.split_at(end);
            let numbers: Vec<u32> = name.split('.').filter_map(|part| part.parse().ok()).collect();
            if !numbers.is_empty() {
                found.push((rfc, numbers));
            }
            rest = tail.trim_start_matches([',', ' ']).trim_start_matches("and ");
        }
    }
    found
}

fn dotted(section: &[u32]) -> String {
    section.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_are_found() {
        assert_eq!(
            citations("// RFC 5321 §4.5.3.1.1: at most 64 (RFC 6531 §3.3, §3.4), see RFC 3463."),
            [(5321, vec![4, 5, 3, 1, 1]), (6531, vec![3, 3]), (6531, vec![3, 4]), (3463, vec![])]
        );
        assert_eq!(citations("an RFC without number"), []);
    }

    #[test]
    fn gaps_are_between_cited_sections() {
        let cited = [vec![1], vec![4, 2], vec![4, 4]];
        assert_eq!(gaps(cited.iter()), [vec![2], vec![3], vec![4, 1], vec![4, 3]]);
    }
}
