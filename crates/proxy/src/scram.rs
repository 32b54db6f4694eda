//! SCRAM: whose keys a client must prove, and who is told nothing by being asked.
//!
//! ```text
//!  name ─▶ an account with keys ─▶ its salt and rounds, its keys
//!       ─▶ a barred one          ─▶ its salt and rounds, nobody's keys
//!       ─▶ all others            ─▶ a salt that is the name's own, nobody's keys
//! ```
//! All three look alike until the proof, which nobody makes with nobody's keys.

use crate::authenticator::{Authenticator, Client, Outcome, Reason, Stop, Undecided};
use crate::counts::LoginOutcome;
use crate::entry::{Entry, Found};
use directory::{BackendLogin, Existence, Routing};
use mail_types::Address;
use ports::{Credential, Random};
use sasl::{ChannelBinding, Identity, Mechanism, SCRAM_ITERATIONS, ScramKeys, Secret, ServerNonce, fake_salt};
use std::fmt;
use std::sync::Arc;

/// What SCRAM needs of the world.
#[derive(Clone)]
pub struct Scram {
    /// Makes the salts of names that have no keys: one key for all proxies of a site, or the salts would differ.
    pub key: Arc<Secret>,
    /// Draws nonces.
    pub random: Arc<dyn Random>,
    /// Whether it is offered, as routing is now: mechanisms are told before anybody says who he is.
    pub offered: Arc<dyn Fn(&Routing) -> bool + Send + Sync>,
    /// Whether -PLUS is offered on connections that can be bound to.
    pub plus: Plus,
}

/// Whether exchanges may be bound to the TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plus {
    /// They may.
    Offered,
    /// A balancer ends TLS: the client has another connection than we have.
    NotOffered,
}

/// Whose keys a client was asked to prove.
pub(crate) struct Asked {
    /// By the name that was meant.
    user: String,
    found: Result<Found, Reason>,
}

const BOUND: &[Mechanism] = &[Mechanism::ScramSha256Plus, Mechanism::ScramSha256];
const BARE: &[Mechanism] = &[Mechanism::ScramSha256];

impl Authenticator {
    /// With SCRAM, which is not spoken otherwise.
    #[must_use]
    pub fn with_scram(mut self, scram: Scram) -> Self {
        self.scram = Some(scram);
        self
    }

    /// What of SCRAM is offered on a connection, the better first, and what its exchanges are bound to.
    pub(crate) fn scram(&self, binding: Option<ChannelBinding>) -> (&'static [Mechanism], Option<ChannelBinding>) {
        match &self.scram {
            Some(scram) if (scram.offered)(&self.routing()) => match (scram.plus, binding) {
                (Plus::Offered, Some(binding)) => (BOUND, Some(binding)),
                (Plus::Offered, None) | (Plus::NotOffered, _) => (BARE, None),
            },
            Some(_) | None => (&[], None),
        }
    }

    /// The keys that a client must prove to be who it says, and a nonce for it.
    pub(crate) async fn keys(
        &self,
        client: &Client,
        identity: &Identity,
    ) -> Result<(ScramKeys, ServerNonce, Asked), Outcome> {
        let began = self.clock.instant();
        let user = &self.meant(client, identity).authentication;
        if self.is_one_too_many(client, began).await {
            return Err(Outcome::Limited);
        }
        let Some(scram) = &self.scram else {
            return Err(self.settle(client, user, Err(Stop::Refused(Reason::Malformed)), began).await);
        };
        match self.look_up(scram, user).await {
            Ok((keys, found)) => {
                let mut nonce = ServerNonce::default();
                scram.random.fill(&mut nonce);
                Ok((keys, nonce, Asked { user: user.clone(), found }))
            }
            Err(stop) => Err(self.settle(client, user, Err(stop), began).await),
        }
    }

    async fn look_up(&self, scram: &Scram, name: &str) -> Result<(ScramKeys, Result<Found, Reason>), Stop> {
        let found = self.find(name)?;
        let address = match &found {
            Found::AtBackEnd { login: BackendLogin::Master, existence: Existence::AskStore, .. } => {
                return Err(Stop::Unavailable(Undecided::NobodyChecks));
            }
            Found::Account { address, .. } | Found::Barred { address, .. } | Found::AtBackEnd { address, .. } => {
                Some(address.clone())
            }
            // The directory is asked all the same: an answer at once would say that there is nobody.
            Found::Nobody => self.routing().login_address(name),
        };
        let keys = match &address {
            Some(address) => self.hashes(address).await?.keys,
            None => None,
        };
        Ok(match (found, keys) {
            (Found::Barred { state, .. }, Some(keys)) => (keys.barred(), Err(Reason::Barred(state))),
            (found @ (Found::Account { .. } | Found::AtBackEnd { login: BackendLogin::Master, .. }), Some(keys)) => {
                (keys, Ok(found))
            }
            (found, _) => {
                let reason = match found {
                    Found::Nobody => Reason::UnknownUser,
                    Found::Barred { state, .. } => Reason::Barred(state),
                    Found::Account { .. } | Found::AtBackEnd { .. } => Reason::NoKeys,
                };
                (nobodys(scram, name, address.as_ref()), Err(reason))
            }
        })
    }

    /// The client has proved the keys that it was asked for.
    pub(crate) async fn proved(&self, client: &Client, identity: &Identity, asked: Option<Asked>) -> Outcome {
        let began = self.clock.instant();
        let identity = self.meant(client, identity);
        let entered = match asked.map(|asked| asked.found) {
            Some(Ok(found)) => found.enter(&identity, Credential::Word),
            Some(Err(reason)) => Err(Stop::Refused(reason)),
            None => Err(Stop::Refused(Reason::Malformed)),
        };
        self.settle(client, &identity.authentication, entered, began).await
    }

    /// It has not.
    pub(crate) async fn unproved(&self, client: &Client, identity: &Identity, asked: Option<Asked>) -> Outcome {
        let began = self.clock.instant();
        let reason = match asked.map(|asked| asked.found) {
            Some(Err(reason)) => reason,
            Some(Ok(_)) | None => Reason::WrongPassword,
        };
        let identity = self.meant(client, identity);
        self.settle(client, &identity.authentication, Err(Stop::Refused(reason)), began).await
    }

    /// What it says in the place of its proof is none. It was counted among the client's logins when it was asked.
    pub(crate) async fn made_no_proof(&self, client: &Client, asked: Asked) -> Outcome {
        let began = self.clock.instant();
        self.settle(client, &asked.user, Err(Stop::Refused(Reason::Malformed)), began).await
    }

    /// What a login came to, counted; a failure is logged, and takes its time.
    pub(crate) async fn settle(
        &self,
        client: &Client,
        user: &str,
        decided: Result<Entry, Stop>,
        began: std::time::Instant,
    ) -> Outcome {
        let outcome = self.outcome(client, user, decided, began).await;
        if let Some(outcome) = LoginOutcome::of(&outcome) {
            self.counts().note(client.protocol, outcome);
        }
        outcome
    }
}

/// An account is told one salt by whatever name it is called, and so is nobody.
fn nobodys(scram: &Scram, name: &str, address: Option<&Address>) -> ScramKeys {
    let name = address.map_or_else(|| name.to_owned(), |address| address.key().to_string());
    ScramKeys::nobodys(&fake_salt(&scram.key, &name), SCRAM_ITERATIONS)
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram").field("plus", &self.plus).finish_non_exhaustive()
    }
}
