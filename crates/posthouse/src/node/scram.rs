//! What SCRAM needs of a node: a key for the salts of nobody, and whether it is offered.

use super::{Node, NodeError};
use crate::config::{Config, ScramOffer};
use directory::Routing;
use directory::engine::{Engine, EngineError};
use ports::Random;
use proxy::{Plus, Scram};
use sasl::Secret;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// The site's key for salts, where this node speaks SCRAM.
pub(super) async fn key(
    config: &Config,
    engine: &dyn Engine,
    random: &dyn Random,
) -> Result<Option<Secret>, NodeError> {
    if config.proxy.as_ref().is_none_or(|proxy| proxy.scram == ScramOffer::Off) {
        return Ok(None);
    }
    let mut fresh = [0; 32];
    random.fill(&mut fresh);
    let key = match directory::salts_key(engine, fresh).await {
        Ok(key) => key,
        // A directory that is made elsewhere takes no key from us: this node has one of its own.
        Err(EngineError::ReadOnly { .. }) => {
            let path = config.node.data.join("salts.key");
            of_file(&path, fresh).map_err(|source| NodeError::Salts { path, source })?
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Some(Secret::new(key.to_vec())))
}

/// What the gates are told.
pub(super) fn of(node: &Node) -> Option<Scram> {
    let (key, proxy) = (node.salts.clone()?, node.config.proxy.as_ref()?);
    let (offer, cover) = (proxy.scram, node.cover.clone());
    // Who is asked about names that have no account here wants their passwords.
    let asks_others = proxy.auth_http.is_some();
    let offered = move |routing: &Routing| match offer {
        ScramOffer::On => true,
        ScramOffer::Auto => !asks_others && cover.is_whole() && routing.judges_every_login(),
        ScramOffer::Off => false,
    };
    let plus = if proxy.scram_plus { Plus::Offered } else { Plus::NotOffered };
    Some(Scram { key: Arc::new(key), random: Arc::clone(&node.system.random), offered: Arc::new(offered), plus })
}

/// The key in a file that only we can read; where there is none, or half of one, `fresh` becomes it.
fn of_file(path: &Path, fresh: [u8; 32]) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    match std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut key)) {
        Ok(()) => return Ok(key),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {}
        Err(error) => return Err(error),
    }
    // Whole under its name, or not there.
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&fresh)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    Ok(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_own_key_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("salts.key");
        assert_eq!(of_file(&path, [1; 32]).expect("written"), [1; 32]);
        assert_eq!(of_file(&path, [2; 32]).expect("read"), [1; 32]);
        std::fs::write(&path, "half").expect("written");
        assert_eq!(of_file(&path, [3; 32]).expect("made anew"), [3; 32]);
    }
}
