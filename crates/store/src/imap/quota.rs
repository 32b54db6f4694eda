//! GETQUOTA and GETQUOTAROOT (RFC 9208 §4.1): an account is one quota root, with what the directory allows it.
//!
//! Limits are set by the administrator, not by clients: SETQUOTA is not offered. An account without a limit has no root.

use super::selected::Tell;
use super::{ImapSession, reply};
use crate::engine::{Refusal, Usage};
use imap_proto::server::Server;
use imap_proto::{Reply, Response, ResponseCode};
use mail_types::MailboxName;
use ports::Flow;
use std::borrow::Cow;

impl ImapSession {
    pub(super) fn quota(&mut self, machine: &mut Server, root: &[u8]) -> Flow {
        let resources = match self.store.usage(self.account(), &self.who.address) {
            Ok(usage) => resources(&usage),
            Err(refusal) => return self.refuse(machine, &refusal),
        };
        if root != ROOT || resources.is_empty() {
            let refused = Reply::no("No such quota root").with(ResponseCode::NonExistent);
            return self.finish(machine, refused, Tell::All);
        }
        machine.send(&Response::Quota { root: ROOT.to_vec(), resources });
        self.finish(machine, Reply::ok("GETQUOTA completed"), Tell::All)
    }

    pub(super) fn quota_root(&mut self, machine: &mut Server, name: &MailboxName) -> Flow {
        match self.tell_quota_root(machine, name) {
            Ok(()) => self.finish(machine, Reply::ok("GETQUOTAROOT completed"), Tell::All),
            Err(refusal) => {
                let refused = reply::refused(&refusal);
                self.finish(machine, refused, Tell::All)
            }
        }
    }

    fn tell_quota_root(&self, machine: &mut Server, name: &MailboxName) -> Result<(), Refusal> {
        self.store.mailbox_by_name(self.account(), name)?.ok_or(Refusal::NoMailbox)?;
        let resources = resources(&self.store.usage(self.account(), &self.who.address)?);
        let roots = if resources.is_empty() { Vec::new() } else { vec![ROOT.to_vec()] };
        machine.send(&Response::QuotaRoot(name.clone(), roots));
        if !resources.is_empty() {
            machine.send(&Response::Quota { root: ROOT.to_vec(), resources });
        }
        Ok(())
    }
}

/// What is limited, as name, usage and limit. Usage is rounded up and limits down, so that nobody is shown room that is
/// not there.
fn resources(usage: &Usage) -> Vec<(Cow<'static, str>, u64, u64)> {
    let storage = usage.quota.octets.map(|limit| {
        let used = usage.octets.div_ceil(STORAGE_OCTETS);
        ("STORAGE".into(), used, limit / STORAGE_OCTETS)
    });
    let messages = usage.quota.messages.map(|limit| ("MESSAGE".into(), usage.messages, limit));
    storage.into_iter().chain(messages).collect()
}

/// The one root of an account.
const ROOT: &[u8] = b"";
/// RFC 9208 §5.1: STORAGE counts units of 1024 octets.
const STORAGE_OCTETS: u64 = 1024;
