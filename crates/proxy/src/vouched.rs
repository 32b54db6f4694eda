//! Logins without a password: by a token that its issuer vouches for, or whose back-end judges it; or by a certificate.
//!
//! ```text
//!  token ───────▶ TokenOrigin ─▶ a user ─┐                         ┌▶ a store of ours, or a back-end with a master
//!    │                                   ├─▶ routing: the account, ┴▶ a back-end that is shown the token, too
//!  certificate ─▶ its addresses ─────────┘              in use
//!    └ no TokenOrigin ─▶ whom the client names ─▶ routing ─▶ a back-end that alone judges the token
//! ```
//! Where a back-end wants its user's own password there is none to show, and who decides about names without an account decides
//! by passwords: neither is offered while there is one of them, but for tokens where those back-ends all take them.

use crate::authenticator::{Authenticator, Client, Outcome, Reason, Stop, Undecided};
use crate::entry::Entry;
use crate::origin::NoVerdict;
use directory::TokenJudge;
use mail_types::Address;
use ports::{BoxFuture, ClientCertificate, Credential};
use sasl::{Bearer, BearerAdvice, Identity, Secret};
use std::fmt;
use std::sync::Arc;

/// Somebody who knows what a bearer token (RFC 6750) is worth.
///
/// Whoever implements it bounds how long an answer takes, and how many questions are on their way.
pub trait TokenOrigin: Send + Sync {
    /// Asks. An error is no verdict: the origin is away, or its answer cannot be understood.
    fn ask<'a>(&'a self, token: &'a Secret, client: &'a Client) -> BoxFuture<'a, Result<TokenVerdict, NoVerdict>>;
}

/// What a token is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenVerdict {
    /// It is good, for now.
    Valid {
        /// Whom it names: a login name.
        user: String,
    },
    /// It is not: forged, of another issuer or for somebody else's service, expired, revoked, without a scope.
    Refused {
        /// Why, for operators.
        why: String,
    },
}

/// What OAUTHBEARER needs of the world, where tokens are judged here.
#[derive(Clone)]
pub struct Tokens {
    /// Asked about each token.
    pub origin: Arc<dyn TokenOrigin>,
    /// What a client hears whose token was refused.
    pub advice: BearerAdvice,
}

impl Authenticator {
    /// With tokens that are judged here; otherwise back-ends alone judge those of their users.
    #[must_use]
    pub fn with_tokens(mut self, tokens: Option<Tokens>) -> Self {
        self.tokens = tokens;
        self
    }

    /// Whether OAUTHBEARER is offered now.
    pub(crate) fn takes_tokens(&self) -> bool {
        let judge = if self.tokens.is_some() { TokenJudge::Issuer } else { TokenJudge::BackEnds };
        self.origin.is_none() && self.routing().takes_tokens(judge)
    }

    /// Whether EXTERNAL is offered now to who has shown this certificate.
    pub(crate) fn takes_certificate(&self, certificate: Option<&ClientCertificate>) -> bool {
        certificate.is_some_and(|certificate| !certificate.addresses.is_empty()) && self.is_word_enough()
    }

    /// Whether who has proved here who he is gets in wherever he is led: no back-end wants passwords, and no origin, which
    /// would be asked for names without an account.
    fn is_word_enough(&self) -> bool {
        self.origin.is_none() && self.routing().judges_every_login()
    }

    /// What a client hears whose token was refused: where there is no issuer, nothing of how to get another (RFC 7628 §3.2.2). A
    /// back-end may know, but its words would be a stranger's to whom nobody has logged in.
    pub(crate) fn advice(&self) -> BearerAdvice {
        self.tokens.as_ref().map(|tokens| tokens.advice.clone()).unwrap_or_default()
    }

    /// A client has shown a token.
    pub(crate) async fn borne(&self, client: &Client, bearer: &Bearer) -> Outcome {
        let began = self.clock.instant();
        if self.is_one_too_many(client, began).await {
            return Outcome::Limited;
        }
        let whom = bearer.authorization();
        let (user, decided) = match (bearer.token(), &self.tokens) {
            // It asks by that how to get one (RFC 7628 §4).
            (None, _) => (whom.unwrap_or_default().to_owned(), Err(Stop::Refused(Reason::Token))),
            (Some(token), Some(tokens)) => match self.worth(client, tokens, token).await {
                Ok(user) => {
                    let entry = self.vouch(client, &user, whom, Credential::Token(token.clone()));
                    (user, entry)
                }
                Err(stop) => (whom.unwrap_or_default().to_owned(), Err(stop)),
            },
            (Some(token), None) => self.lead(client, whom.unwrap_or_default(), token),
        };
        self.settle(client, &user, decided, began).await
    }

    /// Nobody here knows what a token is worth, nor whose it is: the client must say that, and its back-end judges both.
    fn lead(&self, client: &Client, whom: &str, token: &Secret) -> (String, Result<Entry, Stop>) {
        let named = Identity { authorization: None, authentication: whom.to_owned() };
        let identity = self.meant(client, &named);
        let decided = self.find(&identity.authentication).and_then(|found| found.lead(token));
        (identity.authentication, decided)
    }

    /// Whom a token names.
    async fn worth(&self, client: &Client, tokens: &Tokens, token: &Secret) -> Result<String, Stop> {
        let address = client.peer.address.ip().to_canonical();
        match tokens.origin.ask(token, client).await {
            Ok(TokenVerdict::Valid { user }) => Ok(user),
            Ok(TokenVerdict::Refused { why }) => {
                tracing::debug!(target: "login", client = %address, why, "a token is refused");
                Err(Stop::Refused(Reason::Token))
            }
            Err(NoVerdict(why)) => {
                tracing::warn!(target: "login", client = %address, why, "nobody says what a token is worth");
                Err(Stop::Unavailable(Undecided::Tokens))
            }
        }
    }

    /// A client wants in by the certificate that it has shown (RFC 4422 App. A).
    pub(crate) async fn certified(
        &self,
        client: &Client,
        certificate: Option<&ClientCertificate>,
        whom: Option<String>,
    ) -> Outcome {
        let began = self.clock.instant();
        if self.is_one_too_many(client, began).await {
            return Outcome::Limited;
        }
        let whom = whom.as_deref();
        let user = certificate.and_then(|certificate| self.named_by(client, certificate, whom)).unwrap_or_default();
        let decided = match user.is_empty() {
            false => self.vouch(client, &user, whom, Credential::Word),
            // It was not offered.
            true => Err(Stop::Refused(Reason::Malformed)),
        };
        self.settle(client, &user, decided, began).await
    }

    /// The one of a certificate's addresses that the client wants to be, else the first.
    fn named_by(&self, client: &Client, certificate: &ClientCertificate, whom: Option<&str>) -> Option<String> {
        let wanted = whom.and_then(|whom| self.address_of(client, whom));
        let mut addresses = certificate.addresses.iter();
        let is_wanted = |address: &&String| {
            let (address, wanted) = (self.routing().login_address(address), wanted.as_ref());
            address.is_some_and(|address| wanted.is_some_and(|wanted| wanted.key() == address.key()))
        };
        addresses.clone().find(is_wanted).or_else(|| addresses.next()).cloned()
    }

    /// Somebody else has found out who it is, and the client says whom it wants to act as.
    fn vouch(&self, client: &Client, user: &str, whom: Option<&str>, shown: Credential) -> Result<Entry, Stop> {
        // The client chooses the address that it connects to, so that one says nothing of a name that is not its own.
        let whom = whom.filter(|whom| *whom != user);
        let spelled = |whom: &str| self.address_of(client, whom).map_or_else(|| whom.to_owned(), |it| it.to_string());
        let authorization = whom.map(spelled);
        if self.origin.is_some() && self.routing().login_stranger(user).is_some() {
            // Somebody else decides about such names, and by their passwords.
            return Err(Stop::Refused(Reason::UnknownUser));
        }
        self.find(user)?.enter(&Identity { authorization, authentication: user.to_owned() }, shown)
    }

    /// The address that a client's name for its user stands for; nothing where it can be nobody's.
    fn address_of(&self, client: &Client, name: &str) -> Option<Address> {
        let named = Identity { authorization: None, authentication: name.to_owned() };
        self.routing().login_address(&self.meant(client, &named).authentication)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("advice", &self.advice).finish_non_exhaustive()
    }
}
