//! Typed reading of a table, which notes every mistake and every key that was asked for.

use super::problem::{Problem, Problems};
use super::tree::{Node, Place, Table, Value};
use net::Network;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// A value with its place, for checks that come later.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) key: String,
    pub(super) place: Place,
}

impl<T> At<T> {
    /// A mistake at this place.
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.place, &self.key, message)
    }

    /// Another value at this place.
    pub(super) fn with<U>(&self, value: U) -> At<U> {
        At { value, key: self.key.clone(), place: self.place.clone() }
    }
}

/// A table that is being read.
pub(super) struct Section<'a> {
    /// Its name with those above it, empty for the whole.
    name: String,
    place: Place,
    table: Option<&'a Table>,
    known: RefCell<BTreeSet<&'static str>>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// The whole of a configuration.
    pub(super) fn root(tree: &'a Node, problems: &'a Problems) -> Self {
        Self::new(String::new(), tree.place.clone(), tree, problems)
    }

    fn new(name: String, place: Place, node: &'a Node, problems: &'a Problems) -> Self {
        let table = if let Value::Table(table) = &node.value { Some(table) } else { None };
        if table.is_none() {
            problems.add(Problem::new(&node.place, &name, format!("is {}, not a section", node.kind())));
        }
        Self { name, place, table, known: RefCell::default(), problems }
    }

    /// Where it begins, as a value without content.
    pub(super) fn at(&self) -> At<()> {
        At { value: (), key: self.name.clone(), place: self.place.clone() }
    }

    /// Reads a section below this one, if it is there.
    pub(super) fn section<T>(&self, key: &'static str, read: impl FnOnce(&Section<'a>) -> T) -> Option<T> {
        let (place, node) = self.entry(key)?;
        let section = Self::new(self.full(key), place.clone(), node, self.problems);
        let value = read(&section);
        section.finish();
        Some(value)
    }

    /// Reads every `[[key]]`.
    pub(super) fn sections<T>(&self, key: &'static str, read: impl Fn(&Section<'a>) -> T) -> Vec<T> {
        let Some((place, node)) = self.entry(key) else { return Vec::new() };
        let Value::List(list) = &node.value else {
            let mistake = Problem::new(place, self.full(key), format!("is {}, there may be several", node.kind()));
            // Behind a header that could not be read, the reader takes one `[[key]]` for a section.
            self.problems.add(mistake.help(format!("write [[{}]]", self.full(key))).of_missing());
            return Vec::new();
        };
        let sections = list.iter().map(|node| Self::new(self.full(key), node.place.clone(), node, self.problems));
        let values = sections.map(|section| {
            let value = read(&section);
            section.finish();
            value
        });
        values.collect()
    }

    /// A text that `parse` understands.
    pub(super) fn parsed<T, E: Display>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<At<T>> {
        let (_, node) = self.entry(key)?;
        self.parse_node(key, node, &parse)
    }

    /// A list of texts that `parse` understands; a single text is a list of one.
    pub(super) fn parsed_list<T, E: Display>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<At<T>> {
        match self.entry(key) {
            Some((_, Node { value: Value::List(list), .. })) => {
                list.iter().filter_map(|node| self.parse_node(key, node, &parse)).collect()
            }
            Some((_, node)) => self.parse_node(key, node, &parse).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// A list of addresses with ports.
    pub(super) fn addresses(&self, key: &'static str) -> Vec<At<SocketAddr>> {
        let wrong = "is not an address with a port, such as 192.0.2.1:25 or [::]:25";
        self.parsed_list(key, |text| text.parse().map_err(|_| wrong))
    }

    /// A list of those who are trusted; `what` is said of them. One that has everybody in it does what it says, which is
    /// seldom what was meant. There is no other way to read such a list, so none is forgotten.
    pub(super) fn trusted(&self, key: &'static str, what: &str) -> Vec<At<Network>> {
        let from = self.parsed_list(key, str::parse);
        for everybody in from.iter().filter(|at| is_everybody(&at.value)) {
            let open = everybody.problem(format!("anybody {what}: it names every address there is"));
            self.problems.warn(open.help("name those who are meant"));
        }
        from
    }

    /// Whether something is written under a key.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.entry(key).is_some()
    }

    /// As [`Section::parsed`], and a mistake when it is not there.
    pub(super) fn required<T, E: Display>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<At<T>> {
        self.must_have(key);
        self.parsed(key, parse)
    }

    /// Notes a mistake when a key is not there.
    pub(super) fn must_have(&self, key: &'static str) {
        if let Some(table) = self.table
            && !table.contains_key(key)
        {
            self.problems.add(Problem::missing(&self.place, self.full(key)));
        }
    }

    /// Notes a mistake when none of some lists of addresses has any.
    pub(super) fn must_listen(&self, keys: &[&str]) {
        let is_empty = |node: &Node| matches!(&node.value, Value::List(list) if list.is_empty());
        let listens = |table: &Table| keys.iter().filter_map(|key| table.get(*key)).any(|(_, node)| !is_empty(node));
        if self.table.is_some_and(|table| !listens(table)) {
            let problem = Problem::new(&self.place, &self.name, "listens nowhere");
            self.problems.add(problem.help(format!("give it one of {}", keys.join(", "))));
        }
    }

    /// A path; a relative one begins at the folder of the file that it stands in.
    pub(super) fn path(&self, key: &'static str) -> Option<At<PathBuf>> {
        let path = self.parsed(key, |text| if text.is_empty() { Err("is empty") } else { Ok(PathBuf::from(text)) })?;
        let value = path.place.folder().join(&path.value);
        Some(At { value, ..path })
    }

    /// A whole number within bounds.
    pub(super) fn number<T: Into<u64> + TryFrom<u64> + Copy>(
        &self,
        key: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Option<T> {
        let (_, node) = self.entry(key)?;
        let Value::Integer(number) = node.value else {
            self.wrong_kind(key, node, "a number");
            return None;
        };
        let bounds = (*bounds.start()).into()..=(*bounds.end()).into();
        self.within(key, node, u64::try_from(number).ok(), bounds).and_then(|number| T::try_from(number).ok())
    }

    /// The same, with its place.
    pub(super) fn number_at<T: Into<u64> + TryFrom<u64> + Copy>(
        &self,
        key: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Option<At<T>> {
        let value = self.number(key, bounds)?;
        let (_, node) = self.entry(key)?;
        Some(At { value, key: self.full(key), place: node.place.clone() })
    }

    /// A size: a number of octets, or a text with a unit (`"64 MB"`, `"1 GiB"`).
    pub(super) fn size(&self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let (_, node) = self.entry(key)?;
        let octets = match &node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(text) => match parse_size(text) {
                Some(octets) => Some(octets),
                None => {
                    let wrong = Problem::new(&node.place, self.full(key), format!("{text:?} is no size"));
                    self.problems.add(wrong.help("a whole number, alone or with kB, MB, GB, KiB, MiB or GiB"));
                    return None;
                }
            },
            Value::Boolean(_) | Value::Other | Value::List(_) | Value::Table(_) => {
                self.wrong_kind(key, node, "a size such as \"64 MB\"");
                return None;
            }
        };
        self.within(key, node, octets, bounds)
    }

    /// Yes or no.
    pub(super) fn boolean(&self, key: &'static str) -> Option<At<bool>> {
        let (_, node) = self.entry(key)?;
        let Value::Boolean(value) = node.value else {
            self.wrong_kind(key, node, "true or false");
            return None;
        };
        Some(At { value, key: self.full(key), place: node.place.clone() })
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let parse = |text: &str| {
            let found = choices.iter().find(|(name, _)| *name == text);
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            found.map(|(_, value)| *value).ok_or_else(|| format!("is none of {}", names.join(", ")))
        };
        self.parsed(key, parse).map(|at| at.value)
    }

    fn entry(&self, key: &'static str) -> Option<&'a (Place, Node)> {
        self.known.borrow_mut().insert(key);
        self.table?.get(key)
    }

    fn parse_node<T, E: Display>(
        &self,
        key: &'static str,
        node: &Node,
        parse: &impl Fn(&str) -> Result<T, E>,
    ) -> Option<At<T>> {
        let Value::Text(text) = &node.value else {
            self.wrong_kind(key, node, "text");
            return None;
        };
        match parse(text) {
            Ok(value) => Some(At { value, key: self.full(key), place: node.place.clone() }),
            Err(error) => {
                self.problems.add(Problem::new(&node.place, self.full(key), format!("{text:?}: {error}")));
                None
            }
        }
    }

    fn within(&self, key: &str, node: &Node, number: Option<u64>, bounds: RangeInclusive<u64>) -> Option<u64> {
        let inside = number.filter(|number| bounds.contains(number));
        if inside.is_none() {
            let message = format!("must be from {} to {}", bounds.start(), bounds.end());
            self.problems.add(Problem::new(&node.place, self.full(key), message));
        }
        inside
    }

    fn wrong_kind(&self, key: &str, node: &Node, wanted: &str) {
        let message = format!("is {}, must be {wanted}", node.kind());
        self.problems.add(Problem::new(&node.place, self.full(key), message));
    }

    fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Notes the keys that nobody asked for. By now every key that there may be has been asked for.
    pub(super) fn finish(&self) {
        let known = self.known.borrow();
        let unknown = self.table.into_iter().flatten().filter(|(key, _)| !known.contains(key.as_str()));
        for (key, (place, _)) in unknown {
            let problem = Problem::new(place, self.full(key), "unknown key");
            self.problems.add(match nearest(key, &known) {
                Some(near) => problem.help(format!("did you mean {near}?")),
                None => problem.help(format!("known here: {}", known.iter().copied().collect::<Vec<_>>().join(", "))),
            });
        }
    }
}

/// Whether all addresses of a family are in it.
fn is_everybody(network: &Network) -> bool {
    let ipv4: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()];
    let ipv6: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from_bits(u128::MAX).into()];
    [ipv4, ipv6].iter().any(|ends| ends.iter().all(|end| network.contains(*end)))
}

/// The known key that is fewest slips away, unless that is most of it.
fn nearest<'k>(key: &str, known: &BTreeSet<&'k str>) -> Option<&'k str> {
    let (slips, near) = known.iter().map(|near| (distance(key, near), *near)).min()?;
    (slips * 2 <= near.len() + 1).then_some(near)
}

/// How many letters must be put in, left out or exchanged.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (above, b) in row.iter().skip(1).zip(other.chars()) {
            left = (corner + usize::from(a != b)).min(above + 1).min(left + 1);
            corner = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// Octets; what is too much for any bounds is the most there is.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text.get(digits.len()..)?.trim() {
        "" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, octets) in [("64 MB", 64_000_000), ("64MiB", 64 << 20), ("100", 100), ("2 GB", 2_000_000_000)] {
            assert_eq!(parse_size(text), Some(octets), "{text}");
        }
        assert_eq!(parse_size("99999999999 GB"), Some(u64::MAX), "out of every range, but a size");
        for text in ["", "MB", "-1", "1.5 MB", "64 mb", "10 hourz"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn the_nearest_key_is_found() {
        let known = BTreeSet::from(["certificate", "key", "listen", "submission", "submissions"]);
        for (key, near) in [
            ("certificat", Some("certificate")),
            ("listne", Some("listen")),
            ("submision", Some("submission")),
            ("kye", Some("key")),
            ("keys", Some("key")),
            ("colour", None),
        ] {
            assert_eq!(nearest(key, &known), near, "{key}");
        }
    }
}
