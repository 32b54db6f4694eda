//! Where mail goes once a record is as an operator wants it: a loop is refused, a name that nobody has is told. It may be
//! made later: the order in which records are made does not matter.

use super::EditError;
use crate::engine::{Entry, Revision};
use crate::explain::{Step, Steps};
use crate::key::AddressKey;
use crate::record::Record;
use crate::routing::{Origin, Routing};
use mail_types::Address;

impl Routing {
    /// What an operator should know of mail for `readers` once `record` is in, a sentence each.
    ///
    /// `maker` is the address that the record is of, if it is of one: a loop through it is refused.
    pub fn foresee<R: Record>(
        &self,
        record: &R,
        maker: Option<&Address>,
        readers: &[Address],
    ) -> Result<Vec<String>, EditError> {
        let mut changed = self.clone();
        changed.put(&Entry { key: record.key(), value: record.encode(), revision: Revision::ZERO });
        let mut remarks = Vec::new();
        for reader in readers {
            let mut steps = Steps::new();
            changed.delivery(reader, &mut steps);
            for step in steps.as_slice() {
                let remark = changed.remark(step, maker.map(AddressKey::of).as_ref(), reader)?;
                remarks.extend(remark.filter(|remark| !remarks.contains(remark)));
            }
        }
        let more = remarks.len().saturating_sub(REMARKS_MAX);
        remarks.truncate(REMARKS_MAX);
        remarks.extend((more > 0).then(|| format!("and {more} more")));
        Ok(remarks)
    }

    fn remark(&self, step: &Step, maker: Option<&AddressKey>, reader: &Address) -> Result<Option<String>, EditError> {
        let elsewhere =
            |address: &Address| format!("{address} is elsewhere, and mail cannot be sent to other sites yet");
        let nobody = |key: &AddressKey| format!("nobody has {key} yet: there is no such account or alias");
        Ok(match step {
            Step::Loop(keys) => {
                let missing = keys.iter().find(|key| !self.has(key));
                match (missing, keys.as_slice()) {
                    // Whoever nobody has falls to a catch-all or postmaster that is himself.
                    (Some(missing), [_]) => Some(nobody(missing)),
                    (Some(missing), _) => Some(format!("{} as long as nobody has {missing}", looped(keys))),
                    (None, _) if maker.is_some_and(|maker| keys.contains(maker)) => {
                        return Err(EditError::Loop { way: way(keys) });
                    }
                    (None, _) => Some(looped(keys)),
                }
            }
            Step::NoAccount(key) => Some(nobody(key)),
            Step::Remote(address) => Some(elsewhere(address)),
            Step::NotOurs(_) => Some(elsewhere(reader)),
            Step::Limit(limit) => Some(format!("mail for {reader} is refused: {limit}")),
            Step::NotLoaded
            | Step::Unreadable(_)
            | Step::SitePostmaster
            | Step::LookUp(_)
            | Step::LoginForm { .. }
            | Step::NoLoginForm(_)
            | Step::SubAddress { .. }
            | Step::Alias { .. }
            | Step::Forward { .. }
            | Step::Again(_)
            | Step::CatchAll(_)
            | Step::Postmaster(_)
            | Step::NoPostmaster
            | Step::Account { .. }
            | Step::Unchecked(_)
            | Step::Placement { .. }
            | Step::NoPlacement
            | Step::RuleSkipped(_)
            | Step::RuleMatched { .. }
            | Step::DomainDefault(_)
            | Step::SiteDefault(_)
            | Step::NoStore
            | Step::UnknownStore(_)
            | Step::Told(_)
            | Step::ToldAddress(_) => None,
        })
    }

    fn has(&self, key: &AddressKey) -> bool {
        match self.name(key) {
            Origin::Found(name) => name.exists(),
            Origin::NotFound => false,
            Origin::Unavailable => true,
        }
    }
}

fn looped(keys: &[AddressKey]) -> String {
    format!("mail goes round: {}", way(keys))
}

/// `a -> b -> a`
fn way(keys: &[AddressKey]) -> String {
    let names: Vec<String> = keys.iter().chain(keys.first()).map(AddressKey::to_string).collect();
    names.join(" -> ")
}

/// Sentences about one change.
const REMARKS_MAX: usize = 20;
