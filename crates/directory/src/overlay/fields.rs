//! What maps say of a domain: some of its record's fields. All others are the base's.

use crate::engine::Entry;
use crate::record::{DomainRecord, Record, text};
use mail_types::{Address, StoreName};
use serde::{Deserialize, Serialize};

/// What the maps together say of a domain; the layer keeps it under the domain's key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fields {
    /// Who gets mail for addresses that do not exist.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub(super) catch_all: Option<Address>,
    /// The store of accounts that no placement or rule gives one.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub(super) default_store: Option<StoreName>,
}

/// A field that maps may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    CatchAll,
    DefaultStore,
}

impl Field {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CatchAll => "catch_all",
            Self::DefaultStore => "default_store",
        }
    }
}

impl Fields {
    /// As the layer keeps them.
    pub(super) fn encode(&self) -> Vec<u8> {
        // Texts under text keys: nothing of it can fail.
        serde_json::to_vec(self).expect("fields are valid JSON")
    }

    pub(super) fn decode(held: &Entry) -> Self {
        // The layer keeps under a domain's key what `encode` made.
        serde_json::from_slice(&held.value).unwrap_or_default()
    }

    /// The base's record of the domain with these fields. One that cannot be read stays as it is.
    pub(super) fn laid_over(self, base: Vec<u8>) -> Vec<u8> {
        let Ok(mut record) = DomainRecord::decode(&base) else { return base };
        record.catch_all = self.catch_all.or(record.catch_all);
        record.default_store = self.default_store.or(record.default_store);
        record.encode()
    }

    /// The record that the base keeps when somebody writes `written`: of these fields it keeps its own. An error names
    /// the field that was to become another.
    pub(super) fn kept_out_of(self, written: DomainRecord, own: DomainRecord) -> Result<DomainRecord, Field> {
        if self.catch_all.is_some() && self.catch_all != written.catch_all {
            return Err(Field::CatchAll);
        }
        if self.default_store.is_some() && self.default_store != written.default_store {
            return Err(Field::DefaultStore);
        }
        let catch_all = self.catch_all.map_or(written.catch_all, |_| own.catch_all);
        let default_store = self.default_store.map_or(written.default_store, |_| own.default_store);
        Ok(DomainRecord { catch_all, default_store, ..written })
    }

    /// The same where what these fields say is taken over: the base keeps its own of a field, or has what the maps say.
    pub(super) fn taken_over_by(self, written: DomainRecord, own: &DomainRecord) -> Result<DomainRecord, Field> {
        if self.catch_all.is_some() && ![&self.catch_all, &own.catch_all].contains(&&written.catch_all) {
            return Err(Field::CatchAll);
        }
        if self.default_store.is_some() && ![&self.default_store, &own.default_store].contains(&&written.default_store)
        {
            return Err(Field::DefaultStore);
        }
        Ok(written)
    }
}
