//! What every UID was ever given to.

use crate::imap::{Assigned, Selected};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The UIDs of all mailboxes, over all crashes.
#[derive(Debug, Default)]
pub(super) struct Uids {
    mailboxes: Mutex<BTreeMap<(String, String), History>>,
}

#[derive(Debug)]
struct History {
    uid_validity: u32,
    /// Above every UID that was ever shown, and at least every UIDNEXT that was told.
    uid_next: u32,
    /// UID → Message-ID, also of messages that are gone.
    given: BTreeMap<u32, String>,
}

impl Uids {
    /// SELECT told these; what is wrong with that.
    pub(super) fn select(&self, account: &str, mailbox: &str, told: Selected) -> Vec<String> {
        let mut mailboxes = self.lock();
        let key = (account.to_owned(), mailbox.to_owned());
        let fresh = History { uid_validity: told.uid_validity, uid_next: told.uid_next, given: BTreeMap::new() };
        let history = mailboxes.entry(key).or_insert(fresh);
        let mut faults = Vec::new();
        if history.uid_validity != told.uid_validity {
            // Nobody deletes a mailbox in a run, so nothing may change it.
            let (before, now) = (history.uid_validity, told.uid_validity);
            faults.push(format!("{account} {mailbox}: UIDVALIDITY went from {before} to {now}"));
        }
        if told.uid_next < history.uid_next {
            let (before, now) = (history.uid_next, told.uid_next);
            faults.push(format!("{account} {mailbox}: UIDNEXT went from {before} down to {now}"));
        }
        history.uid_next = history.uid_next.max(told.uid_next);
        faults
    }

    /// A message was seen under a UID; what is wrong with that.
    pub(super) fn see(&self, account: &str, mailbox: &str, uid: u32, id: &str) -> Option<String> {
        let mut mailboxes = self.lock();
        let history = mailboxes.get_mut(&(account.to_owned(), mailbox.to_owned()))?;
        history.uid_next = history.uid_next.max(uid.saturating_add(1));
        let before = history.given.entry(uid).or_insert_with(|| id.to_owned());
        (before != id).then(|| format!("{account} {mailbox}: UID {uid} was {before} and is {id}"))
    }

    /// A response code told which UIDs copies got, in the order of their originals; what is wrong with that.
    pub(super) fn assign(&self, account: &str, mailbox: &str, told: &Assigned, ids: &[String]) -> Vec<String> {
        let mut faults = Vec::new();
        if told.uids.len() != ids.len() {
            faults.push(format!("{account} {mailbox}: {} UIDs for {} messages", told.uids.len(), ids.len()));
        }
        {
            let mut mailboxes = self.lock();
            let key = (account.to_owned(), mailbox.to_owned());
            let fresh = History { uid_validity: told.uid_validity, uid_next: 1, given: BTreeMap::new() };
            let history = mailboxes.entry(key).or_insert(fresh);
            if history.uid_validity != told.uid_validity {
                let (before, now) = (history.uid_validity, told.uid_validity);
                faults.push(format!("{account} {mailbox}: UIDVALIDITY went from {before} to {now} in a response code"));
            }
        }
        let pairs = told.uids.iter().zip(ids);
        faults.extend(pairs.filter_map(|(&uid, id)| self.see(account, mailbox, uid, id)));
        faults
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), History>> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_that_comes_back_is_seen() {
        let uids = Uids::default();
        let told = |uid_validity, uid_next| Selected { exists: 0, uid_validity, uid_next };
        assert!(uids.select("a", "INBOX", told(7, 3)).is_empty());
        assert_eq!(uids.see("a", "INBOX", 3, "m"), None);
        assert!(uids.see("a", "INBOX", 3, "n").is_some());
        assert_eq!(uids.select("a", "INBOX", told(7, 3)).len(), 1, "UID 3 is given");
        assert_eq!(uids.select("a", "INBOX", told(8, 4)).len(), 1);
        let assigned = Assigned { uid_validity: 7, uids: vec![4, 5] };
        assert!(uids.assign("a", "INBOX", &assigned, &["o".into(), "p".into()]).is_empty());
        assert!(uids.select("a", "INBOX", told(7, 6)).is_empty());
        assert!(uids.see("a", "INBOX", 5, "q").is_some());
    }
}
