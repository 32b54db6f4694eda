//! SASL exchanges (RFC 4422) for all protocols, and the schemes in which passwords are stored.
//!
//! SMTP, IMAP, POP3 and ManageSieve carry the same exchanges in their own dress. They strip the dress (base64, `+ `,
//! `334 `); here are the exchanges themselves, and the check of what came out against what is stored.
//!
//! ```text
//!  bytes ─▶ Exchange::start ─▶ Step::Challenge ─▶ peer ─▶ Exchange::step ─▶ … ─▶ Step::Done(Credentials)
//!                                                                                       │ password
//!  directory ─▶ "{SSHA512}…" ─▶ StoredPassword::parse ─▶ StoredPassword::verify ◀───────┘
//! ```
//!
//! It deliberately is not: a directory (it looks nobody up), a source of randomness (salts are arguments), a thread
//! pool ([`StoredPassword::is_costly`] says what needs one), an encoder of base64 on the wire.
//!
//! Invariants:
//! 1. A [`Password`] is never empty and holds no NUL; it is overwritten when dropped, and nothing prints it.
//! 2. An identity that leaves an exchange is UTF-8, not empty, without control characters, at most
//!    [`IDENTITY_OCTETS_MAX`] octets.
//! 3. A [`StoredPassword`] that was parsed can be verified within named limits of memory and time, whoever wrote it.
//! 4. Secrets are compared in constant time.
//! 5. An exchange of SCRAM with nobody's keys looks like any other, to its end.
//!
//! SCRAM needs the account's keys in the middle of its exchange: [`Step::Scram`] asks for them ([`scram`](Claim) has the
//! picture).
//!
//! RFCs: 4422 (SASL, and EXTERNAL in App. A), 4616 (PLAIN), draft-murchison-sasl-login (LOGIN), 9106 (Argon2), 2307 (`{SCHEME}` in user
//! passwords), 5801 (GS2), 5802 and 7677
//! (SCRAM-SHA-256), 7628 and 6750 (OAUTHBEARER), 9266 (channel binding), 4013 (one spelling of a password).

mod bearer;
mod client;
mod exchange;
mod gs2;
mod mechanism;
mod password;
mod scram;
mod secret;

pub use bearer::{Bearer, BearerAdvice, BearerForm, TOKEN_OCTETS_MAX};
pub use client::plain_message;
pub use exchange::{Credentials, Exchange, Failure, IDENTITY_OCTETS_MAX, Step};
pub use mechanism::Mechanism;
pub use password::{
    ARGON2_LANES_MAX, ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES_MAX, BCRYPT_COST_MAX, Fingerprint, SALT_OCTETS_MAX,
    SHA_CRYPT_ROUNDS_MAX, STORED_OCTETS_MAX, SaltError, StoredPassword, StoredPasswordError,
};
pub use scram::{
    ChannelBinding, Claim, Farewell, Identity, Proof, SCRAM_ITERATIONS, SCRAM_ITERATIONS_MAX, SCRAM_NONCE_OCTETS_MAX,
    SCRAM_SALT_OCTETS_MAX, ScramKeys, ServerNonce, fake_salt,
};
pub use secret::{PASSWORD_OCTETS_MAX, Password, PasswordError, Secret};
