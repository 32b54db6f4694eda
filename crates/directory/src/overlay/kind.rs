//! How a map is written: the names that imports of such files have.

use crate::import::{
    Entry, Parsed, PasswdUser, StoreMap, aliases, passwd_file, popmap_as, postfix_virtual, regex_map, transport,
    user_map,
};
use crate::nearest::nearest;
use mail_types::Domain;
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

/// What stands in a map.
pub(super) enum Content {
    /// Records of any kind but accounts.
    Entries(Parsed<Entry>),
    /// Accounts.
    Users(Parsed<PasswdUser>),
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

    pub(super) fn read(self, octets: &[u8], own: &[Domain], ours: &[Domain], stores: &StoreMap) -> Content {
        Content::Entries(match self {
            Self::Aliases => aliases(octets, own, stores),
            Self::PasswdFile => return Content::Users(passwd_file(octets, own, stores)),
            Self::Popmap => popmap_as(octets, own, stores, Entry::Placement),
            Self::RegexMap => regex_map(octets, own, stores),
            Self::Transport => transport(octets, own, stores),
            Self::UserMap | Self::Virtusertable => user_map(octets, own, stores),
            Self::Virtual => postfix_virtual(octets, own, ours, stores),
        })
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
