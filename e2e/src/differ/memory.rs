//! A client that comes back with what it remembers, and must end with the view of one that reads everything anew.

use super::act::Way;
use super::facts::Heard;
use super::peer::Peer;
use super::script::astring;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// What a client keeps of a mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    validity: u32,
    modseq: u64,
    /// Of each UID.
    flags: Flags,
}

type Flags = BTreeMap<u32, BTreeSet<String>>;

impl Peer {
    /// Reads UIDs and flags of the open mailbox, after the news, and keeps them.
    pub(super) fn remember(&mut self) -> Result<Heard> {
        let Some(mailbox) = self.opened.clone() else { return self.exchange(b"NOOP") };
        let heard = self.read_all()?;
        let kept = Kept { validity: self.validity, modseq: self.highest, flags: self.flags.clone() };
        self.kept.insert(mailbox, kept);
        Ok(heard)
    }

    /// Keeps all, then closes. What that expunges the client knows. A server may say a MODSEQ, up to which all is known
    /// then (RFC 7162 §3.2.8).
    pub(super) fn leave(&mut self) -> Result<Heard> {
        let mut heard = self.remember()?;
        let Some(mailbox) = self.opened.clone() else { return Ok(heard) };
        self.highest = 0;
        heard.status = self.exchange(b"CLOSE")?.status;
        if let Some(kept) = self.kept.get_mut(&mailbox) {
            kept.modseq = kept.modseq.max(self.highest);
            if self.writes {
                kept.flags.retain(|_, flags| !flags.contains("\\deleted"));
            }
        }
        Ok(heard)
    }

    /// Opens a mailbox again, asks for what was missed, and compares what it then believes with what is there.
    pub(super) fn come_back(&mut self, mailbox: &str, way: Way) -> Result<Heard> {
        if way.is_qresync() && !self.qresync {
            // RFC 5161 §3.1: not while a mailbox is open.
            if self.view.is_some() {
                self.exchange(b"UNSELECT")?;
            }
            self.exchange(b"ENABLE QRESYNC")?;
        }
        let kept = self.kept.get(mailbox).cloned().unwrap_or_default();
        self.earlier.clear();
        let parameter = match way {
            _ if kept.flags.is_empty() => String::new(),
            Way::Vanished | Way::Changed => String::new(),
            Way::Resync | Way::ResyncKnown | Way::ResyncNumbers => format!(" (QRESYNC ({}))", kept.said(way)),
        };
        let mut heard = self.exchange(format!("SELECT {}{parameter}", astring(mailbox)).as_bytes())?;
        if heard.status != "OK" || kept.flags.is_empty() {
            return Ok(heard);
        }
        if kept.validity != self.validity {
            // It remembers another mailbox (RFC 7162 §3.2.5.1); nothing of this one may be told as missed.
            let told = !self.earlier.is_empty() || !self.flags.is_empty();
            heard.say("missed of another mailbox", told.to_string());
            self.kept.remove(mailbox);
            return Ok(heard);
        }
        let since = match way {
            Way::Vanished => Some(format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {} VANISHED)", kept.modseq)),
            Way::Changed => Some(format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {})", kept.modseq)),
            Way::Resync | Way::ResyncKnown | Way::ResyncNumbers => None,
        };
        if let Some(since) = since {
            heard.status = self.exchange(since.as_bytes())?.status;
        }
        if way == Way::Changed {
            let left: BTreeSet<u32> = self.exchange(b"UID SEARCH ALL")?.numbers("SEARCH").into_iter().collect();
            self.earlier.extend(kept.flags.keys().filter(|uid| !left.contains(uid)).map(|uid| (*uid, *uid)));
        }
        self.judge(&kept, way, &mut heard)?;
        Ok(heard)
    }

    fn judge(&mut self, kept: &Kept, way: Way, heard: &mut Heard) -> Result<()> {
        let (told, vanished) = (self.flags.clone(), std::mem::take(&mut self.earlier));
        let vanished = |uid: &u32| vanished.iter().any(|(first, last)| (first..=last).contains(&uid));
        self.read_all()?;
        let mut believed = kept.flags.clone();
        believed.retain(|uid, _| !vanished(uid));
        believed.extend(told.clone());
        let mut truth = self.flags.clone();
        if way == Way::ResyncKnown {
            // Of what is new it would ask by its UIDs.
            truth.retain(|uid, _| kept.flags.contains_key(uid));
        }
        if believed != truth {
            heard.say("VIOLATION", format!("who comes back believes {believed:?}, but there is {truth:?}"));
        }
        heard.say("missed, vanished", words(kept.flags.keys().filter(|uid| vanished(uid))));
        heard.say("missed, told of", words(told.keys()));
        Ok(())
    }

    /// UIDs, flags and MODSEQs of all.
    fn read_all(&mut self) -> Result<Heard> {
        self.flags.clear();
        self.exchange(b"UID FETCH 1:* (FLAGS MODSEQ)")
    }
}

impl Kept {
    /// As parameters of QRESYNC.
    fn said(&self, way: Way) -> String {
        let Self { validity, modseq, flags } = self;
        let uids = flags.keys().map(u32::to_string).collect::<Vec<_>>().join(",");
        match way {
            Way::ResyncKnown => format!("{validity} {modseq} {uids}"),
            Way::ResyncNumbers => format!("{validity} {modseq} (1:{} {uids})", flags.len()),
            Way::Resync | Way::Vanished | Way::Changed => format!("{validity} {modseq}"),
        }
    }
}

fn words<'a>(uids: impl Iterator<Item = &'a u32>) -> String {
    uids.map(u32::to_string).collect::<Vec<_>>().join(" ")
}
