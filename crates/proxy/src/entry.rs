//! What routing has found, and who is let in there.

use crate::authenticator::{Reason, Stop, Undecided};
use directory::{AccountState, BackendLogin, Existence};
use mail_types::{AccountId, Address, StoreName};
use ports::{Credential, Standing};
use sasl::{Identity, Secret};

/// What routing says of a name.
pub(crate) enum Found {
    Account {
        store: StoreName,
        id: AccountId,
        address: Address,
    },
    AtBackEnd {
        store: StoreName,
        address: Address,
        user: Option<String>,
        existence: Existence,
        login: BackendLogin,
        tokens: bool,
    },
    Barred {
        address: Address,
        state: AccountState,
    },
    Nobody,
}

/// Where somebody is let in.
pub(crate) enum Entry {
    Here { store: StoreName, account: AccountId, address: Address },
    BackEnd { store: StoreName, address: Address, user: Option<String>, credential: Credential, standing: Standing },
}

impl Found {
    /// Lets in who is found: with the right password, with what only the back-end can judge, or with a proof.
    pub(crate) fn enter(self, identity: &Identity, shown: Credential) -> Result<Entry, Stop> {
        match self {
            Self::Account { address, .. } | Self::AtBackEnd { address, .. } if !may_act_as(identity, &address) => {
                Err(Stop::Refused(Reason::NotAuthorized))
            }
            Self::Account { store, id, address } => Ok(Entry::Here { store, account: id, address }),
            Self::AtBackEnd { store, address, user, login, tokens, existence } => {
                let credential = match (login, shown) {
                    (BackendLogin::Master, _) => Credential::Word,
                    (BackendLogin::Password, Credential::Password(password)) => Credential::Password(password),
                    (BackendLogin::Password, Credential::Token(token)) if tokens => Credential::Token(token),
                    (BackendLogin::Password, Credential::Token(_) | Credential::Word) => {
                        return Err(Stop::Unavailable(Undecided::WantsPassword));
                    }
                };
                Ok(Entry::BackEnd { store, address, user, credential, standing: standing(existence) })
            }
            Self::Nobody => Err(Stop::Refused(Reason::UnknownUser)),
            Self::Barred { state, .. } => Err(Stop::Refused(Reason::Barred(state))),
        }
    }

    /// Leads who has proved nothing here to a back-end that judges his token, and to nobody else.
    pub(crate) fn lead(self, token: &Secret) -> Result<Entry, Stop> {
        match self {
            Self::AtBackEnd { store, address, user, login: BackendLogin::Password, tokens: true, existence } => {
                let (credential, standing) = (Credential::Token(token.clone()), standing(existence));
                Ok(Entry::BackEnd { store, address, user, credential, standing })
            }
            // Nobody logs in there, or no longer so: as where nobody is.
            Self::AtBackEnd { login: BackendLogin::Password, .. } => Err(Stop::Refused(Reason::Token)),
            // The directory has changed since tokens were offered. Our word lets in whoever is named.
            Self::AtBackEnd { login: BackendLogin::Master, .. } | Self::Account { .. } => {
                Err(Stop::Unavailable(Undecided::NobodyJudges))
            }
            Self::Nobody => Err(Stop::Refused(Reason::UnknownUser)),
            Self::Barred { state, .. } => Err(Stop::Refused(Reason::Barred(state))),
        }
    }
}

fn standing(existence: Existence) -> Standing {
    match existence {
        Existence::Known => Standing::Known,
        Existence::AskStore => Standing::Unchecked,
    }
}

/// RFC 4616 §2: an authorization identity is empty, or here the user's own, as it logged in or as its address.
pub(crate) fn may_act_as(identity: &Identity, address: &Address) -> bool {
    let own = |wanted: &str| {
        wanted == identity.authentication || Address::parse(wanted).is_ok_and(|wanted| wanted.key() == address.key())
    };
    identity.authorization.as_deref().is_none_or(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_acts_as_oneself() {
        let address = Address::parse("Alice@example.test").unwrap();
        let claim = |authorization: Option<&str>| Identity {
            authorization: authorization.map(str::to_owned),
            authentication: "alice".to_owned(),
        };
        for own in [None, Some("alice"), Some("ALICE@example.test")] {
            assert!(may_act_as(&claim(own), &address), "{own:?}");
        }
        for other in ["bob", "Alice", "bob@example.test", "alice@elsewhere.test"] {
            assert!(!may_act_as(&claim(Some(other)), &address), "{other:?}");
        }
    }
}
