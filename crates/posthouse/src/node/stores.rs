//! The stores of a node on real disks.

use super::routing::Routes;
use super::{NodeError, System, folder};
use crate::config;
use disk::RealDisk;
use jiff::civil::time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use kv::RedbIndex;
use mail_types::{Epoch, StoreName, UnixTime};
use mailbox::{Index, IndexError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::{OpenError, Options, Store, World};

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its folder.
    #[error("store {store}: cannot open the folder {}", path.display())]
    Disk {
        /// Which store.
        store: StoreName,
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its index.
    #[error("store {store}: cannot open the index {}", path.display())]
    Index {
        /// Which store.
        store: StoreName,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: IndexError,
    },
    /// It has another number of shards than the configuration says.
    #[error("store {store}: it was made with {found} shards, the configuration says {wanted}; they cannot be changed")]
    Shards {
        /// Which store.
        store: StoreName,
        /// What is there.
        found: usize,
        /// What the configuration says.
        wanted: usize,
    },
    /// Recovery.
    #[error("store {store}: recovery failed")]
    Open {
        /// Which store.
        store: StoreName,
        /// Why.
        #[source]
        source: OpenError,
    },
}

/// Opens a store, and recovers what a crash left.
pub(super) fn open(config: &config::Store, routes: &Routes, system: &System) -> Result<Arc<Store>, NodeError> {
    folder(&config.path)?;
    folder(&config.journal.path)?;
    let disk = Arc::new(lock(config, &config.path)?);
    let journal_disk = Arc::new(lock(config, &config.journal.path)?);
    let indexes = indexes(config)?;
    let name = config.name.clone();
    let quota = routes.clone();
    let world = World {
        disk,
        journal_disk,
        clock: Arc::clone(&system.clock),
        random: Arc::clone(&system.random),
        fatal: Arc::new(move |why| stop(&name, why)),
    };
    let defaults = Options::default();
    let options = Options {
        journal: journal::Config {
            dir: "segments".into(),
            segment_octets: config.journal.segment_octets,
            pending_octets_max: PENDING_OCTETS_MAX.min(config.journal.segment_octets),
            ..journal::Config::default()
        },
        epoch: Epoch::new(1),
        keep: Duration::from_secs(u64::from(config.journal.keep_days) * 86_400),
        quota: Arc::new(move |address| quota.quota(address)),
        midnight: Arc::new(next_midnight),
        low_water_octets: u64::from(config.shards) * 2 * defaults.checkpoint_octets + SPACE_BESIDE_OCTETS,
        ..defaults
    };
    let store = config.name.clone();
    Store::open(config.name.clone(), world, indexes, options)
        .map_err(|source| StoreError::Open { store, source }.into())
}

fn lock(config: &config::Store, path: &std::path::Path) -> Result<RealDisk, StoreError> {
    RealDisk::open_locked(path).map_err(|source| StoreError::Disk {
        store: config.name.clone(),
        path: path.to_owned(),
        source,
    })
}

/// One file per shard: `index/0.redb` and so on. Which accounts are where depends on their number.
fn indexes(config: &config::Store) -> Result<Vec<Arc<dyn Index>>, NodeError> {
    let dir = config.path.join("index");
    folder(&dir)?;
    let wanted = usize::from(config.shards);
    let found = std::fs::read_dir(&dir).map_or(0, |files| files.filter(Result::is_ok).count());
    if found != 0 && found != wanted {
        return Err(StoreError::Shards { store: config.name.clone(), found, wanted }.into());
    }
    (0..wanted)
        .map(|number| {
            let path = dir.join(format!("{number}.redb"));
            let opened = RedbIndex::open(&path, CACHE_OCTETS_MAX / wanted);
            let failed = |source| StoreError::Index { store: config.name.clone(), path: path.clone(), source };
            Ok(Arc::new(opened.map_err(failed)?.0) as Arc<dyn Index>)
        })
        .collect()
}

/// Only recovery mends this: the process ends at once, without destructors that might write.
fn stop(store: &StoreName, why: &str) {
    tracing::error!(%store, why, "the store cannot go on; the process ends and recovers at its next start");
    std::process::abort();
}

/// The next midnight of the site's time zone.
fn next_midnight(now: UnixTime) -> UnixTime {
    let day_later = || UnixTime::from_secs(now.secs() + 86_400);
    let Ok(stamp) = Timestamp::from_second(now.secs()) else { return day_later() };
    let zoned = stamp.to_zoned(TimeZone::system());
    let midnight = zoned
        .date()
        .checked_add(1.day())
        .and_then(|date| date.to_datetime(time(0, 0, 0, 0)).to_zoned(TimeZone::system()));
    midnight.map_or_else(|_| day_later(), |midnight| UnixTime::from_secs(midnight.timestamp().as_second()))
}

/// What waits for the disk at most.
const PENDING_OCTETS_MAX: u64 = 32 << 20;
/// Space kept beside what memory holds: index pages that are rewritten, large bodies under way.
const SPACE_BESIDE_OCTETS: u64 = 64 << 20;
/// What redb may keep in memory for all shards of a store.
const CACHE_OCTETS_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn midnight_comes_within_a_day_or_so() {
        let now = UnixTime::from_secs(1_700_000_000);
        let next = next_midnight(now);
        assert!(next > now && next.since(now) <= Duration::from_secs(26 * 3600));
        assert!(next_midnight(next) > next);
    }
}
