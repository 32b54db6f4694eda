//! What of a transaction the base is asked to do, if the maps allow it.

use super::Overlay;
use super::fields::Fields;
use super::moment::{Moment, NO_MAP, from_layer};
use super::seen::Layered;
use crate::engine::{Commit, EngineError, Entry, Revision, Transaction, Write};
use crate::record::{AccountRecord, DomainRecord, Record, SecretRecord};
use mail_types::AccountId;

/// What becomes of an expectation.
enum Expected {
    /// A map says what was expected.
    Met,
    /// The base must have the key at this revision.
    OfBase(Revision),
    /// The key is not as expected.
    Broken,
}

impl Overlay {
    /// What the base is asked to do, or why it is not asked.
    pub(super) async fn for_base(&self, transaction: Transaction) -> Result<Result<Transaction, Commit>, EngineError> {
        let Transaction { expected, writes, takes_over } = transaction;
        for write in &writes {
            self.refuse_live(write, &expected, takes_over)?;
        }
        self.refuse_half(&writes).await?;
        let mut of_base = Vec::with_capacity(expected.len());
        for (key, revision) in expected {
            match self.expected(&key, revision)? {
                Expected::Met => {}
                Expected::OfBase(revision) => of_base.push((key, revision)),
                Expected::Broken => return Ok(Err(Commit::Conflict { key })),
            }
        }
        let mut transaction = Transaction { expected: of_base, writes: Vec::with_capacity(writes.len()), takes_over };
        for write in writes {
            let write = self.of_domain(write, &mut transaction).await?;
            transaction.writes.push(write);
        }
        Ok(Ok(transaction))
    }

    /// A record of a domain as the base keeps it: of the fields that maps say it keeps its own, and nobody changes them. Who
    /// takes over changes them to what the maps say.
    async fn of_domain(&self, write: Write, commit: &mut Transaction) -> Result<Write, EngineError> {
        let Write::Put { key, value, lease } = write else { return Ok(write) };
        let asis = |key, value| Ok(Write::Put { key, value, lease });
        if Layered::of(&key) != Layered::Within {
            return asis(key, value);
        }
        let (Some(held), Some(entry)) = (self.layer.read(&key)?, self.base.get(&key).await?) else {
            return asis(key, value);
        };
        let (Ok(written), Ok(own)) = (DomainRecord::decode(&value), DomainRecord::decode(&entry.value)) else {
            return asis(key, value);
        };
        if !commit.expected.iter().any(|(other, _)| *other == key) {
            commit.expected.push((key.clone(), entry.revision));
        }
        let fields = Fields::decode(&held);
        let kept = match commit.takes_over {
            true => fields.taken_over_by(written, &own),
            false => fields.kept_out_of(written, own),
        };
        match kept {
            Ok(record) => asis(key, record.encode()),
            Err(field) => {
                let kept_in = self.kept_in_field(&key, field);
                Err(EngineError::Live { key: format!("{key} ({})", field.name()), kept_in })
            }
        }
    }

    fn refuse_live(&self, write: &Write, expected: &[(String, Revision)], takes_over: bool) -> Result<(), EngineError> {
        let key = write.key();
        let Some(held) = self.layer.read(key)? else { return Ok(()) };
        let is_refused = match (Layered::of(key), write) {
            (Layered::Over, Write::Put { value, .. }) => !takes_over || *value != held.value,
            (Layered::Over, Write::Delete { .. }) => true,
            (Layered::Under, Write::Put { .. }) | (Layered::Within, _) => false,
            // Whoever takes away what he read of a map would believe that it is gone.
            (Layered::Under, Write::Delete { .. }) => {
                let read = from_layer(held)?.map(|entry| entry.revision);
                expected.iter().any(|(other, revision)| other == key && Some(*revision) == read)
            }
        };
        match is_refused {
            true => Err(EngineError::Live { kept_in: self.kept_in(key), key: key.to_owned() }),
            false => Ok(()),
        }
    }

    /// An account that only a map has is taken over whole, with its id and its passwords, or it is changed in the map. And
    /// one that was taken over is neither removed nor given another name while the map has it: the map's would be there again,
    /// with its old password and the same mail.
    async fn refuse_half(&self, writes: &[Write]) -> Result<(), EngineError> {
        for write in writes {
            let Some(path) = path_of_account(write.key()) else { continue };
            let (account, secret) = (key_of::<AccountRecord>(path), key_of::<SecretRecord>(path));
            let Some(held) = self.layer.read(&account)? else { continue };
            let refused = match write {
                Write::Put { .. } if self.base.get(&account).await?.is_some() => false,
                Write::Put { .. } => {
                    put(writes, &account).and_then(id_in) != id_in(&held.value) || put(writes, &secret).is_none()
                }
                Write::Delete { .. } => true,
            };
            if refused {
                return Err(EngineError::Live { kept_in: self.kept_in(&account), key: write.key().to_owned() });
            }
        }
        Ok(())
    }

    fn expected(&self, key: &str, revision: Revision) -> Result<Expected, EngineError> {
        let Moment { base, layer } = Moment::of(revision);
        let held = self.layer.read(key)?;
        let is_held = |held: &Entry| held.revision == layer && base == Revision::ZERO;
        Ok(match (Layered::of(key), held) {
            (Layered::Over, Some(held)) if is_held(&held) => Expected::Met,
            (Layered::Over, Some(_)) => Expected::Broken,
            // The map's was seen, because the base had none.
            (Layered::Under, Some(held)) if is_held(&held) => Expected::OfBase(Revision::ZERO),
            (Layered::Under, Some(_)) if base == Revision::ZERO => Expected::Broken,
            // What a commit gave tells nothing of the maps. Whoever saw other fields does not get past the write.
            (Layered::Within, Some(held)) if layer > NO_MAP && held.revision != layer => Expected::Broken,
            // A map had it when it was read, and has given it back.
            (_, None) if layer > NO_MAP => Expected::Broken,
            (Layered::Over, None) | (Layered::Under | Layered::Within, _) => Expected::OfBase(base),
        })
    }
}

/// `domain/local` of an account or its passwords.
fn path_of_account(key: &str) -> Option<&str> {
    [AccountRecord::PREFIX, SecretRecord::PREFIX].into_iter().find_map(|prefix| key.strip_prefix(prefix))
}

fn key_of<R: Record>(path: &str) -> String {
    format!("{}{path}", R::PREFIX)
}

/// What is written under a key.
fn put<'w>(writes: &'w [Write], wanted: &str) -> Option<&'w [u8]> {
    writes.iter().find_map(|write| match write {
        Write::Put { key, value, .. } if key == wanted => Some(&**value),
        Write::Put { .. } | Write::Delete { .. } => None,
    })
}

fn id_in(value: &[u8]) -> Option<AccountId> {
    AccountRecord::decode(value).ok().map(|account| account.id)
}
