//! Which back-end of another make a store is, and how one logs in there.

use mail_types::StoreName;
use ports::Callee;
use sasl::{BearerForm, Password, Secret};

/// Knows the back-ends of another make.
pub trait Foreign: Send + Sync {
    /// Where a store is reached by a protocol, and how.
    fn find(&self, store: &StoreName, protocol: Protocol) -> BackEnd;

    /// The stores that a protocol may lead to, in the order of their names.
    fn all(&self, protocol: Protocol) -> Vec<StoreName>;
}

/// A protocol that back-ends are spoken to in: of sessions, or of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// RFC 9051.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 6409.
    Submission,
    /// RFC 5804.
    Sieve,
    /// RFC 2033.
    Lmtp,
    /// RFC 5321: mail for a back-end that has no LMTP.
    Smtp,
}

impl Protocol {
    /// Its name, as in log lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Submission => "submission",
            Self::Sieve => "sieve",
            Self::Lmtp => "lmtp",
            Self::Smtp => "smtp",
        }
    }
}

/// What is known of a back-end.
#[derive(Clone, Debug)]
pub enum BackEnd {
    /// It is called so.
    At {
        /// Its hosts, the best first, each called by itself.
        hosts: Vec<Callee>,
        /// The master as whom visitors are logged in, none of whom brings a password; nothing where all do, and for mail.
        master: Option<Master>,
        /// Whether it is told in the protocol itself where a visitor comes from.
        introducing: Introducing,
        /// Whether a client hears the words in which it is refused.
        telling: Telling,
    },
    /// Nowhere that we could call: why, for the log.
    Nowhere(String),
}

/// Whether what a back-end says to a visitor whom it refuses is for his eyes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Telling {
    /// It is for the log; he hears the same as of everybody.
    #[default]
    ForUs,
    /// He hears it, too.
    ForClients,
}

/// How a back-end is told where a visitor comes from, in the protocol itself: as Dovecot has it, which believes those in its
/// `login_trusted_networks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introducing {
    /// It is not.
    Nobody,
    /// At IMAP by ID (RFC 2971), at POP3 by XCLIENT.
    ById,
    /// At POP3 by XCLIENT.
    ByXclient,
}

/// A user of a back-end who may act for every other.
#[derive(Clone)]
pub struct Master {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: Password,
    /// How it says for whom.
    pub form: MasterForm,
}

/// How a master says for whom it acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterForm {
    /// The user is the authorization identity of SASL PLAIN (RFC 4616 §2).
    Authorization,
    /// The name is the user's, this separator and the master's: Dovecot's `user*master`.
    Joined(char),
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Master").field("name", &self.name).field("form", &self.form).finish_non_exhaustive()
    }
}

/// What is said to log in.
#[derive(Clone)]
pub(crate) enum Said {
    /// As whom, by whose name, with whose password.
    Password { authorization: Option<String>, authentication: String, password: Password },
    /// A token, in the words of each mechanism that has a place for it.
    Token { oauthbearer: Secret, xoauth2: Secret },
}

impl Said {
    /// Nothing where the name cannot be said beside a token.
    pub(crate) fn token(user: &str, token: &Secret) -> Option<Self> {
        let [oauthbearer, xoauth2] =
            [BearerForm::OAuthBearer, BearerForm::XOAuth2].map(|form| form.message(user, token));
        Some(Self::Token { oauthbearer: oauthbearer?, xoauth2: xoauth2? })
    }
}

impl Master {
    pub(crate) fn says(&self, user: String) -> Said {
        let password = self.password.clone();
        match self.form {
            MasterForm::Authorization => {
                Said::Password { authorization: Some(user), authentication: self.name.clone(), password }
            }
            MasterForm::Joined(separator) => {
                let authentication = format!("{user}{separator}{}", self.name);
                Said::Password { authorization: None, authentication, password }
            }
        }
    }
}
