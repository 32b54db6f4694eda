//! The key with which a site makes salts for names that have none: all its proxies tell one name one salt.

use crate::engine::{Commit, Engine, EngineError, Revision, Transaction};
use serde::{Deserialize, Serialize};

/// Neither copied by nodes nor written to directory files.
const KEY: &str = "site/salts";
const OCTETS: usize = 32;

/// A key that nobody outside the site knows.
pub type SaltsKey = [u8; OCTETS];

#[derive(Serialize, Deserialize)]
struct SaltsRecord {
    v: u32,
    key: String,
}

/// The site's key. Where there is none yet, `fresh`, random octets, becomes it.
pub async fn salts_key(engine: &dyn Engine, fresh: SaltsKey) -> Result<SaltsKey, EngineError> {
    if let Some(entry) = engine.get(KEY).await? {
        return decode(&entry.value);
    }
    let record = SaltsRecord { v: 1, key: fresh.iter().map(|octet| format!("{octet:02x}")).collect() };
    let value = serde_json::to_vec(&record).expect("a number and a text are JSON");
    let transaction = Transaction::default().expect(KEY, Revision::ZERO).put(KEY, value);
    match engine.commit(transaction).await? {
        Commit::Done(_) => Ok(fresh),
        // Another node was quicker.
        Commit::Conflict { .. } => match engine.get(KEY).await? {
            Some(entry) => decode(&entry.value),
            None => Err(EngineError::Damaged { why: format!("{KEY} comes and goes") }),
        },
    }
}

fn decode(value: &[u8]) -> Result<SaltsKey, EngineError> {
    let damaged = || EngineError::Damaged { why: format!("{KEY} is no key") };
    let record: SaltsRecord = serde_json::from_slice(value).map_err(|_| damaged())?;
    let (pairs, rest) = record.key.as_bytes().as_chunks::<2>();
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let octets: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    let octets = octets.filter(|_| record.v == 1 && rest.is_empty()).ok_or_else(damaged)?;
    octets.try_into().map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::finish;
    use crate::engine::MemoryEngine;

    #[test]
    fn the_first_key_stays() {
        let engine = MemoryEngine::new();
        assert_eq!(finish(salts_key(&engine, [1; 32])).ok(), Some([1; 32]));
        assert_eq!(finish(salts_key(&engine, [2; 32])).ok(), Some([1; 32]));
        let broken = Transaction::default().put(KEY, br#"{"v":1,"key":"01"}"#.to_vec());
        assert!(finish(engine.commit(broken)).is_ok());
        assert!(matches!(finish(salts_key(&engine, [2; 32])), Err(EngineError::Damaged { .. })));
    }
}
