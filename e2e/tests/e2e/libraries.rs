//! What applications do with IMAPClient and ImapFlow, each in clear text, after STARTTLS and over TLS.

use crate::world::{World, trial_unless};
use anyhow::{Context, Result};
use e2e::libraries::Library;
use libtest_mimic::Trial;
use serde_json::json;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        trial_unless(world, "imapclient_in_an_application", || Library::ImapClient.obstacle(), imapclient),
        trial_unless(world, "imapflow_in_an_application", || Library::ImapFlow.obstacle(), imapflow),
    ]
}

fn imapclient(world: &World) -> Result<()> {
    in_every_mode(world, Library::ImapClient, "imapclient_session.py")
}

fn imapflow(world: &World) -> Result<()> {
    in_every_mode(world, Library::ImapFlow, "imapflow_session.js")
}

fn in_every_mode(world: &World, library: Library, script: &str) -> Result<()> {
    for mode in ["plain", "starttls", "tls"] {
        for lease in world.borrow_from_each()? {
            let ran = lease.run_script_by(library.command()?, script, json!({ "mode": mode }));
            ran.with_context(|| format!("{mode}, {}", lease.store()))?;
        }
    }
    Ok(())
}
