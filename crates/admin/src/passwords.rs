//! Passwords on their way into the directory.

use crate::error::ApiError;
use crate::request::Fields;
use crate::state::Api;
use directory::PasswordHash;
use sasl::{Password, StoredPassword};

/// The fields of a request that carry passwords.
pub(crate) const PASSWORD: &str = "password";
pub(crate) const HASHES: &str = "password_hashes";

/// What a request says of an account's passwords: a clear one is hashed, hashes are taken if we can verify them.
/// `None` where it says nothing.
pub(crate) async fn take(api: &Api, fields: &mut Fields) -> Result<Option<Vec<PasswordHash>>, ApiError> {
    let clear = fields.take_text(PASSWORD)?.map(|text| Password::new(text.into_bytes()));
    let hashes = fields.take_as::<Vec<String>>(HASHES)?;
    match (clear, hashes) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(ApiError::field(PASSWORD, "there are hashes beside it: give one of the two")),
        (Some(Err(error)), None) => Err(ApiError::field(PASSWORD, error)),
        (Some(Ok(password)), None) => Ok(Some(stored(api, password).await?)),
        (None, Some(hashes)) => hashes.iter().map(|text| known(text)).collect::<Result<_, _>>().map(Some),
    }
}

/// The hash that a password is checked against, and beside it the keys with which it is proved by SCRAM, if it can be
/// said there.
async fn stored(api: &Api, password: Password) -> Result<Vec<PasswordHash>, ApiError> {
    let (mut salt, mut other) = ([0; SALT_OCTETS], [0; SALT_OCTETS]);
    api.world().random.fill(&mut salt);
    api.world().random.fill(&mut other);
    let work = move || (StoredPassword::hash_argon2id(&password, &salt), StoredPassword::scram(&password, &other));
    let (hashed, keys) = api.blocking(work).await?;
    let hashed = hashed.expect("16 octets are a salt");
    let both = [Some(hashed), keys].into_iter().flatten();
    Ok(both.map(|stored| PasswordHash::parse(&stored.to_string())).collect::<Result<_, _>>()?)
}

/// A hash that nobody could verify would lock its user out: it is refused now.
fn known(text: &str) -> Result<PasswordHash, ApiError> {
    StoredPassword::parse(text).map_err(|error| ApiError::field(HASHES, error))?;
    Ok(PasswordHash::parse(text)?)
}

/// RFC 9106 §3.1 recommends 16.
const SALT_OCTETS: usize = 16;
