//! Laying maps: what takes long before, what must be certain in between, and one commit in the end.

use super::{LiveMap, Maps, Overlay, Remains, lock, map};
use crate::edit::{EditError, Editor};
use crate::engine::{Engine, EngineError};
use crate::file::{Compared, FileEngine, Records};
use crate::record::{AccountRecord, Record, address_key};
use crate::routing::Pin;
use mail_types::Address;
use std::sync::{Arc, Mutex};

/// Another reading of one map, laid together with the others and compared with what is served.
#[derive(Debug)]
pub struct Draft {
    pub(super) nth: usize,
    map: Arc<LiveMap>,
    pub(super) compared: Compared,
    /// The version of the maps that it was laid together with.
    version: u64,
}

/// A draft that was laid together with maps that are others by now.
struct Stale {
    nth: usize,
    map: Arc<LiveMap>,
}

/// What another reading of a map did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many records are others now.
    pub changes: usize,
    /// The accounts that were pinned where they are, because the map would have had them looked for elsewhere.
    pub pinned: Vec<Pin>,
}

/// Why another reading of a map is not taken: what was read before stays.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Accounts would be looked for elsewhere, and the directory takes no placements that would keep them where they are.
    #[error("{first}{} would be looked for elsewhere, and the directory takes no placements: place them where it is made", and_more(*count))]
    ReadOnly {
        /// One of the accounts.
        first: Address,
        /// How many there are.
        count: usize,
    },
    /// The engine below could not do its work.
    #[error(transparent)]
    Edit(#[from] EditError),
}

fn and_more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        2 => " and one more account".to_owned(),
        count => format!(" and {} more accounts", count - 1),
    }
}

impl Overlay {
    /// Lays these maps over `base`, the strongest first. Takes as long as the maps are long: call it where that holds up
    /// nobody.
    ///
    /// A map that could not be read yet is [`LiveMap::unread`]. Nobody knows what the maps said before the program
    /// started, so nobody is pinned now, nor when such a map is read for the first time.
    pub fn new(base: Arc<dyn Engine>, maps: Vec<LiveMap>) -> Self {
        // Empty at first, so that no entry of a map has the revision of a key that is not there.
        let layer = FileEngine::new("live maps", Records::default());
        let list: Vec<_> = maps.into_iter().map(Arc::new).collect();
        layer.replace(map::together(&list));
        Self { base, layer, maps: Arc::new(Mutex::new(Maps { list, version: 0 })), remains: Arc::default() }
    }

    /// What the maps say together with another reading of the `nth`, compared with what they say now.
    ///
    /// This is the heavy part: it takes as long as the maps are long, and waits for nobody. Call it where that holds up
    /// nobody, on a thread for such work. [`Overlay::take`] does the rest.
    pub fn draft(&self, nth: usize, map: LiveMap) -> Draft {
        self.sweep();
        self.draft_of(nth, Arc::new(map))
    }

    fn draft_of(&self, nth: usize, map: Arc<LiveMap>) -> Draft {
        let Maps { mut list, version } = lock(&self.maps).clone();
        if let Some(place) = list.get_mut(nth) {
            *place = Arc::clone(&map);
        }
        let compared = self.layer.compare(map::together(&list));
        Draft { nth, map, compared, version }
    }

    /// Takes another reading of a map; what differs is one commit. First, accounts that only rules and maps place, and that
    /// would be looked for elsewhere, are placed in the directory where they are.
    ///
    /// Waits for the engine below, and holds up nobody for long, unless another map was taken since the draft was made: then
    /// it is made anew. Whoever takes one map after the other never sees that.
    pub async fn take(&self, mut draft: Draft) -> Result<Taken, TakeError> {
        loop {
            let pinned = self.pins(&draft).await?;
            self.pin(&pinned).await?;
            match self.lay(draft) {
                Ok(changes) => return Ok(Taken { changes, pinned }),
                Err(Stale { nth, map }) => draft = self.draft_of(nth, map),
            }
        }
    }

    async fn pin(&self, pins: &[Pin]) -> Result<(), TakeError> {
        let Some(first) = pins.first() else { return Ok(()) };
        let (mut of_base, mut of_maps) = (Vec::new(), Vec::new());
        for pin in pins {
            match self.base.get(&address_key(AccountRecord::PREFIX, &pin.address)).await.map_err(EditError::from)? {
                Some(_) => of_base.push(pin.clone()),
                None => of_maps.push(pin.clone()),
            }
        }
        // The base takes over what a map says beneath; accounts that only a map has are none of its own.
        let done = match Editor::new(&*self.base).pin_all(&of_base).await {
            Ok(()) => Editor::new(self).pin_all(&of_maps).await,
            Err(error) => Err(error),
        };
        match done {
            Err(EditError::Engine(EngineError::ReadOnly { .. })) => {
                Err(TakeError::ReadOnly { first: first.address.clone(), count: pins.len() })
            }
            done => Ok(done?),
        }
    }

    /// Serves a draft, unless the maps are others by now. Gives how many records changed.
    fn lay(&self, draft: Draft) -> Result<usize, Stale> {
        let Draft { nth, mut map, compared, version } = draft;
        let mut maps = lock(&self.maps);
        if maps.version != version {
            return Err(Stale { nth, map });
        }
        let (replaced, records) = self.layer.serve(compared);
        if let Some(place) = maps.list.get_mut(nth) {
            std::mem::swap(place, &mut map);
        }
        maps.version += 1;
        drop(maps);
        lock(&self.remains).push(Remains { _map: map, _records: records });
        Ok(replaced.changes)
    }
}
