//! Posthouse and Dovecot play the same IMAP sessions.

use crate::world::{World, trial_unless};
use anyhow::{Result, bail};
use e2e::differ::dovecot::Dovecot;
use e2e::differ::run::{Explained, Pair};
use libtest_mimic::Trial;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![trial_unless(world, "imap_as_dovecot", Dovecot::obstacle, imap_as_dovecot)]
}

/// A few sessions; `cargo xtask soak --dovecot N` plays more.
fn imap_as_dovecot(world: &World) -> Result<()> {
    // Not in the folder of the logs, which nobody else may enter.
    let folder = tempfile::tempdir()?;
    let dovecot = Dovecot::start(folder.path())?;
    let pair = Pair { site: world.site()?, dovecot: &dovecot };
    for seed in SEEDS {
        if let Some(report) = pair.play_seed(seed, COMMANDS, &mut Explained::new())? {
            bail!("{report}{}", dovecot.log());
        }
    }
    Ok(())
}

const SEEDS: std::ops::Range<u64> = 1..13;
const COMMANDS: usize = 100;
