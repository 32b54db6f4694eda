//! imaplib, poplib and smtplib's LMTP, by our scripts: one each for what one client does, for IDLE, for COMPRESS, for two
//! sessions at once.

use crate::world::{Lease, World, trial};
use anyhow::{Context, Result};
use e2e::programs::Program;
use libtest_mimic::Trial;
use serde_json::json;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        trial(world, "imaplib_commands", &[Program::Python], |world| on_each_store(world, "imap_commands.py")),
        trial(world, "imap_idle", &[Program::Python], |world| on_each_store(world, "imap_idle.py")),
        trial(world, "imap_compress", &[Program::Python], |world| on_each_store(world, "imap_compress.py")),
        trial(world, "imap_two_sessions", &[Program::Python], |world| on_each_store(world, "imap_sessions.py")),
        trial(world, "poplib_commands", &[Program::Python], |world| on_each_store(world, "pop3_commands.py")),
        trial(world, "lmtp_into_the_relay", &[Program::Python], lmtp),
    ]
}

/// One account of each store, so that one message of LMTP has several answers.
fn lmtp(world: &World) -> Result<()> {
    let leases = world.borrow_from_each()?;
    let account = |lease: &Lease<'_>| json!({ "address": lease.address(), "password": lease.password() });
    let accounts: Vec<_> = leases.iter().map(account).collect();
    let first = leases.first().context("a site of no store")?;
    first.run_script("lmtp_relay.py", json!({ "accounts": accounts }))
}

fn on_each_store(world: &World, script: &str) -> Result<()> {
    for lease in world.borrow_from_each()? {
        lease.run_script(script, json!({}))?;
    }
    Ok(())
}
