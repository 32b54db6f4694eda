//! Flags between their names and a mailbox's bits.

use crate::engine::FlagNames;
use imap_proto::Flag;
use mail_types::{FlagSet, Keyword, SystemFlag};

/// By name, as the engine takes them.
pub(super) fn names(flags: &[Flag]) -> FlagNames {
    let mut names = FlagNames::default();
    for flag in flags {
        match flag {
            Flag::System(flag) => names.system = names.system.with(FlagSet::system(*flag)),
            Flag::Keyword(keyword) if !names.keywords.contains(keyword) => names.keywords.push(keyword.clone()),
            Flag::Keyword(_) => {}
        }
    }
    names
}

/// By name, as a client is told them.
pub(super) fn told(flags: FlagSet, keywords: &[Keyword]) -> Vec<Flag> {
    let system = SystemFlag::ALL.into_iter().filter(|flag| flags.has(*flag)).map(Flag::System);
    let known = flags.keyword_indices().filter_map(|index| keywords.get(index).cloned().map(Flag::Keyword));
    system.chain(known).collect()
}

/// Every flag that the mailbox has.
pub(super) fn all(keywords: &[Keyword]) -> Vec<Flag> {
    let system = SystemFlag::ALL.into_iter().map(Flag::System);
    system.chain(keywords.iter().cloned().map(Flag::Keyword)).collect()
}
