//! Rules of a map: what they are called, and when they are asked.
//!
//! ```text
//!   order   below 1000        1000 … 1999              2000 … 2999          …
//!           the directory's   the first map's lines    the second's         (with the directory's of such orders)
//! ```
//! A map is named by its place in the list, a rule by its line: `live-1-regex.map-17` is line 17 of the first map, which is
//! called `regex.map`. Lines without a rule take no order, so a comment moves nothing.

use crate::engine::Revision;
use crate::file::Held;
use crate::import::{ENTRIES_MAX, FIRST_ORDER};
use crate::record::{Record, RuleName, RuleRecord};

/// A rule of a map, which is given its name and its order when the map is laid.
#[derive(Debug)]
pub(super) struct LiveRule {
    /// Its line.
    pub(super) line: usize,
    /// How many lines of rules come before.
    pub(super) rank: u32,
    /// Which of the rules of its line it is, from 1: a line without a domain gives one for each of the site's own.
    pub(super) of_line: u32,
    /// The rule, but for name and order.
    pub(super) rule: RuleRecord,
}

/// Takes the rules of a file in its order.
#[derive(Debug, Default)]
pub(super) struct LiveRules(Vec<LiveRule>);

impl LiveRules {
    pub(super) fn push(&mut self, line: usize, rule: RuleRecord) {
        let (rank, of_line) = match self.0.last() {
            Some(last) if last.line == line => (last.rank, last.of_line.saturating_add(1)),
            Some(last) => (last.rank.saturating_add(1), 1),
            None => (0, 1),
        };
        self.0.push(LiveRule { line, rank, of_line, rule });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// As the layer keeps those of the `nth` map.
    pub(super) fn held(&self, nth: usize, path: &str) -> Vec<Held> {
        let held = |live: &LiveRule| {
            let rule = RuleRecord { name: live.name(nth, path), order: live.order(nth), ..live.rule.clone() };
            Held { key: rule.key().into(), value: rule.encode().into(), revision: Revision::ZERO, line: live.line }
        };
        self.0.iter().map(held).collect()
    }

    /// The line of a rule of the `nth` map.
    pub(super) fn line_of(&self, key: &str, nth: usize, path: &str) -> Option<usize> {
        let name = key.strip_prefix(RuleRecord::PREFIX)?;
        self.0.iter().find(|live| live.name(nth, path).as_str() == name).map(|live| live.line)
    }
}

impl LiveRule {
    fn name(&self, nth: usize, path: &str) -> RuleName {
        let map = u32::try_from(nth).unwrap_or(u32::MAX).saturating_add(1);
        let line = u32::try_from(self.line).unwrap_or(u32::MAX);
        let name = match self.of_line {
            1 => format!("live-{map}-{}-{line}", file_name(path)),
            of_line => format!("live-{map}-{}-{line}-{of_line}", file_name(path)),
        };
        RuleName::parse(&name).expect("at most 59 letters, digits, dots and hyphens, and a letter first")
    }

    fn order(&self, nth: usize) -> u32 {
        let orders = u32::try_from(ENTRIES_MAX).unwrap_or(u32::MAX);
        let before = u32::try_from(nth).unwrap_or(u32::MAX).saturating_mul(orders);
        FIRST_ORDER.saturating_add(before).saturating_add(self.rank)
    }
}

/// The name of the file, as far as the name of a rule can hold it.
fn file_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let fits = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() || c == '.' => c,
        _ => '-',
    };
    name.chars().map(fits).take(FILE_NAME_CHARS).collect()
}

/// Leaves room for three numbers in a name of 63 octets.
const FILE_NAME_CHARS: usize = 20;
