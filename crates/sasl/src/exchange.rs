//! The server's side of an exchange: a value that is spent on each message and gives the next step.

use crate::bearer::{Bearer, BearerForm};
use crate::scram::{self, ChannelBinding, Claim, Farewell, Identity, Proof, Variant};
use crate::{Mechanism, Password, PasswordError};
use std::fmt;

/// An exchange that waits for the client's next message. Dropping it aborts the exchange (RFC 4422 §3.5).
#[derive(Debug)]
pub enum Exchange {
    /// PLAIN without an initial response: an empty challenge was sent.
    Plain,
    /// LOGIN: `Username:` was sent.
    LoginName,
    /// LOGIN: `Password:` was sent.
    LoginPassword {
        /// Who wants in.
        authentication: String,
    },
    /// EXTERNAL without an initial response: an empty challenge was sent.
    External,
    /// OAUTHBEARER or XOAUTH2 without an initial response: an empty challenge was sent.
    BearerFirst(BearerForm),
    /// The same: the token was refused, and the client told why.
    BearerRefused,
    /// SCRAM without an initial response: an empty challenge was sent.
    ScramFirst {
        /// Whether it is the one that binds.
        plus: bool,
        /// Where -PLUS is offered.
        binding: Option<ChannelBinding>,
    },
    /// SCRAM: salt and nonce were sent.
    ScramProof(Box<Proof>),
    /// SCRAM: the client's proof is right, and ours was sent.
    ScramFarewell(Farewell),
}

/// What a message from the client leads to.
#[derive(Debug)]
pub enum Step {
    /// Send this, and give the answer to the exchange.
    Challenge {
        /// Octets before base64; may be empty.
        challenge: Vec<u8>,
        /// What to go on with.
        exchange: Exchange,
    },
    /// The client said all it had to say; whether it is true is for the directory to find out.
    Done(Credentials),
    /// EXTERNAL: the client says no more than as whom it wants to act, or nobody in particular. Who it is, and whether it
    /// may, is for whoever knows the transport.
    External(Option<String>),
    /// OAUTHBEARER and XOAUTH2: the client shows a token. What it is worth, and whose it is, is for its issuer to say; where it
    /// is worth nothing, [`Bearer::refused`] goes on.
    Bearer(Bearer),
    /// SCRAM: the client says who it wants to be; its keys are to be looked up, and [`Claim::challenge`] goes on. Where there
    /// are none it goes on with nobody's.
    Scram(Claim),
    /// SCRAM: the client is who it says, by the keys that were given. Whether it may act as whom it named is for the
    /// directory to find out.
    Proved(Identity),
    /// SCRAM: the client does not know the password.
    Unproved(Identity),
    /// The exchange is over without credentials.
    Failed(Failure),
}

/// Who wants in, as whom, and with what.
pub struct Credentials {
    /// Whom to act as, where the client named somebody.
    pub authorization: Option<String>,
    /// Whose password it is.
    pub authentication: String,
    /// The password.
    pub password: Password,
}

/// Why an exchange gave no credentials. All of them are the client's fault and none says whether an account exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The message has not the mechanism's form.
    #[error("malformed message")]
    Malformed,
    /// An identity that is empty, too long, not UTF-8, or holds control characters.
    #[error("unusable user name")]
    Identity,
    /// The client binds itself to something else than this connection, or did not see that it could (RFC 5802 §6).
    #[error("the exchange is not bound to this connection")]
    Binding,
    /// The token was refused, which the client knows.
    #[error("the token was refused")]
    Token,
    /// An unusable password.
    #[error("unusable password")]
    Password(#[source] PasswordError),
}

/// RFC 4616 §2 asks for 255 at least; an address of RFC 5321 §4.5.3.1 has up to 320.
pub const IDENTITY_OCTETS_MAX: usize = 512;

impl Exchange {
    /// Begins. `initial` is the decoded initial response; an empty one (`=` on the wire) is `Some(&[])`.
    pub fn start(mechanism: Mechanism, initial: Option<&[u8]>) -> Step {
        Self::start_on(mechanism, initial, None)
    }

    /// Begins, on a connection to which exchanges can be bound: SCRAM-SHA-256-PLUS is offered on it.
    pub fn start_on(mechanism: Mechanism, initial: Option<&[u8]>, binding: Option<ChannelBinding>) -> Step {
        match (mechanism, initial) {
            (Mechanism::Plain, None) => Step::challenge(b"", Self::Plain),
            (Mechanism::Plain, Some(message)) => Self::Plain.step(message),
            (Mechanism::Login, None) => Step::challenge(b"Username:", Self::LoginName),
            (Mechanism::Login, Some(message)) => Self::LoginName.step(message),
            (Mechanism::External, None) => Step::challenge(b"", Self::External),
            (Mechanism::External, Some(message)) => Self::External.step(message),
            (Mechanism::OAuthBearer, initial) => Self::bearer(BearerForm::OAuthBearer, initial),
            (Mechanism::XOAuth2, initial) => Self::bearer(BearerForm::XOAuth2, initial),
            (Mechanism::ScramSha256 | Mechanism::ScramSha256Plus, initial) => {
                let exchange = Self::ScramFirst { plus: mechanism == Mechanism::ScramSha256Plus, binding };
                match initial {
                    None => Step::challenge(b"", exchange),
                    Some(message) => exchange.step(message),
                }
            }
        }
    }

    fn bearer(form: BearerForm, initial: Option<&[u8]>) -> Step {
        match initial {
            None => Step::challenge(b"", Self::BearerFirst(form)),
            Some(message) => Self::BearerFirst(form).step(message),
        }
    }

    /// Goes on with the client's decoded answer to the last challenge.
    pub fn step(self, message: &[u8]) -> Step {
        let result = match self {
            Self::Plain => plain(message).map(Step::Done),
            Self::LoginName => identity(message)
                .map(|authentication| Step::challenge(b"Password:", Self::LoginPassword { authentication })),
            Self::LoginPassword { authentication } => password(message)
                .map(|password| Step::Done(Credentials { authorization: None, authentication, password })),
            // RFC 4422 App. A.1: `initial-response = *( UTF8-char-no-nul )`.
            Self::External if message.is_empty() => Ok(Step::External(None)),
            Self::External => identity(message).map(|authorization| Step::External(Some(authorization))),
            Self::BearerFirst(form) => Bearer::parse(form, message).map(Step::Bearer),
            Self::BearerRefused => Err(Failure::Token),
            Self::ScramFirst { plus, binding } => {
                let variant = if plus { Variant::Plus } else { Variant::Bare };
                return scram::first(variant, binding, message);
            }
            Self::ScramProof(proof) => return proof.step(message),
            Self::ScramFarewell(farewell) => return farewell.step(message),
        };
        result.unwrap_or_else(Step::Failed)
    }
}

impl Step {
    fn challenge(challenge: &[u8], exchange: Exchange) -> Self {
        Self::Challenge { challenge: challenge.to_vec(), exchange }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("authorization", &self.authorization)
            .field("authentication", &self.authentication)
            .finish_non_exhaustive()
    }
}

/// RFC 4616 §2: `message = [authzid] UTF8NUL authcid UTF8NUL passwd`.
fn plain(message: &[u8]) -> Result<Credentials, Failure> {
    let mut parts = message.split(|octet| *octet == 0);
    let (Some(authzid), Some(authcid), Some(passwd), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Failure::Malformed);
    };
    let authorization = if authzid.is_empty() { None } else { Some(identity(authzid)?) };
    let authentication = identity(authcid)?;
    if std::str::from_utf8(passwd).is_err() {
        return Err(Failure::Malformed);
    }
    Ok(Credentials { authorization, authentication, password: password(passwd)? })
}

/// RFC 4616 allows every character but NUL; we refuse control characters, since names travel into logs, LDAP filters
/// and the command lines of back-ends.
pub(crate) fn identity(octets: &[u8]) -> Result<String, Failure> {
    match std::str::from_utf8(octets) {
        Ok(name) if !name.is_empty() && name.len() <= IDENTITY_OCTETS_MAX && !name.chars().any(char::is_control) => {
            Ok(name.to_owned())
        }
        Ok(_) | Err(_) => Err(Failure::Identity),
    }
}

fn password(octets: &[u8]) -> Result<Password, Failure> {
    Password::new(octets.to_vec()).map_err(Failure::Password)
}

#[cfg(test)]
mod tests;
