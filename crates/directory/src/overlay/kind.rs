//! How a map is written: the names that imports of such files have.

use super::map::MapNames;
use crate::import::{
    Entry, Gather, Gathered, Hands, PasswdUser, alias_lines, passwd_lines, popmap_as, regex_map, transport_lines,
    user_lines, virtual_lines,
};
use crate::nearest::nearest;
use std::fmt;
use std::str::FromStr;

/// How a map is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// Sendmail's and Postfix's aliases; the lists that it includes stand in it already.
    Aliases,
    /// Dovecot's passwd-file: accounts with their password hashes.
    PasswdFile,
    /// Perdition's popmap.
    Popmap,
    /// Perdition's regex map.
    RegexMap,
    /// Postfix's transport table.
    Transport,
    /// Sendmail's user map.
    UserMap,
    /// Postfix's virtual table.
    Virtual,
    /// Sendmail's virtusertable, which is written as the user map is.
    Virtusertable,
}

/// No map is of this kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no map is of kind {name:?}{}", nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
pub struct UnknownKind {
    /// What was written.
    pub name: String,
    /// The kind that was probably meant.
    pub nearest: Option<&'static str>,
}

impl MapKind {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 8] = [
        Self::Aliases,
        Self::PasswdFile,
        Self::Popmap,
        Self::RegexMap,
        Self::Transport,
        Self::UserMap,
        Self::Virtual,
        Self::Virtusertable,
    ];

    /// Its name in the configuration, which is that of the import.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aliases => "aliases",
            Self::PasswdFile => "passwd-file",
            Self::Popmap => "popmap",
            Self::RegexMap => "regex-map",
            Self::Transport => "transport",
            Self::UserMap => "user-map",
            Self::Virtual => "virtual",
            Self::Virtusertable => "virtusertable",
        }
    }

    /// Every name, for whoever tells an operator what there is.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(Self::name)
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Result<Self, UnknownKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| UnknownKind { name: name.to_owned(), nearest: nearest(name, Self::names()) })
    }

    /// Reads a file in pieces, each into what `room` makes for so many lines.
    pub(super) fn read<C: Gather<Entry> + Gather<PasswdUser>>(
        self,
        octets: &[u8],
        MapNames { own, ours, stores }: &MapNames,
        hands: Hands,
        room: &(impl Fn(usize) -> C + Sync),
    ) -> Vec<Gathered<C>> {
        match self {
            Self::Aliases => alias_lines(own, stores).gather(octets, hands, room),
            Self::PasswdFile => passwd_lines(own, stores).gather(octets, hands, room),
            Self::Popmap => popmap_as(own, stores, Entry::Placement).gather(octets, hands, room),
            // It has few lines, and they are counted.
            Self::RegexMap => {
                let parsed = regex_map(octets, own, stores);
                let mut items = room(parsed.items.len());
                parsed.items.into_iter().for_each(|line| items.take(line.number, line.item));
                vec![Gathered { items, bad: parsed.bad, ignored: parsed.ignored }]
            }
            Self::Transport => transport_lines(own, stores).gather(octets, hands, room),
            Self::UserMap | Self::Virtusertable => user_lines(own, stores).gather(octets, hands, room),
            Self::Virtual => virtual_lines(own, ours, stores).gather(octets, hands, room),
        }
    }
}

impl FromStr for MapKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::parse(name)
    }
}

impl fmt::Display for MapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_slips_are_named() {
        assert!(MapKind::ALL.into_iter().all(|kind| MapKind::parse(kind.name()) == Ok(kind)));
        assert!(MapKind::names().is_sorted());
        let told = |name| MapKind::parse(name).expect_err(name).to_string();
        assert_eq!(told("regexmap"), "no map is of kind \"regexmap\"; did you mean regex-map?");
        assert_eq!(told("maildir"), "no map is of kind \"maildir\"");
    }
}
