//! Maps that others edit, laid over the directory: read at the start, and again when they change.

use super::{Node, NodeError};
use crate::config::Map;
use admin::MapFacts;
use directory::engine::Engine;
use directory::overlay::{Differences, Draft, LiveMap, MapKind, MapNames, Overlay, Taken};
use directory::{Editor, Routing};
use files::{MapFile, MapLook, MapSource, ReadError};
use mail_types::Domain;
use net::Shutdown;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// The maps of a node, before they are kept.
pub(super) struct Maps {
    overlay: Overlay,
    maps: Vec<Watched>,
}

/// A map, and what its names are read against.
struct Watched {
    told: Map,
    file: MapFile,
    names: MapNames,
    /// The first of its domains that the directory does not know: until it does, the map is not read.
    unknown: Option<Domain>,
    /// The same as of the last time that it was told.
    told_unknown: Option<Domain>,
    /// When one that was read and could not be laid is tried again.
    again: Option<Instant>,
}

/// What came of a look.
enum Found {
    Same,
    Draft(Draft, Content),
    Kept(ReadError),
}

/// What is in a map.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    entries: usize,
    /// What the directory has no place for, with line numbers.
    ignored: Vec<(usize, String)>,
    /// Aliases that lead out of the site, with line numbers.
    remote: Vec<(usize, String)>,
}

/// How each map is, for operators.
#[derive(Clone, Default)]
pub(super) struct MapStates(Arc<Mutex<States>>);

#[derive(Default)]
struct States {
    maps: Vec<MapFacts>,
    /// Accounts that are elsewhere than a map says, as of the last reading.
    differences: Differences,
}

/// Reads the maps and lays them over `base`; nothing else runs yet that would wait for it. One that cannot be read does
/// not keep the node from starting: what it would decide is put off.
pub(super) async fn lay(
    told: &[Map],
    base: Arc<dyn Engine>,
) -> Result<(Arc<dyn Engine>, Option<Maps>, MapStates), NodeError> {
    let states = MapStates::of(told);
    if told.is_empty() {
        return Ok((base, None, states));
    }
    let routing = Editor::new(&*base).rules_and_stores().await?;
    let mut maps: Vec<Watched> = told.iter().map(|told| Watched::of(told, &routing)).collect();
    let mut read = Vec::with_capacity(maps.len());
    for (nth, map) in maps.iter_mut().enumerate() {
        read.push(match map.read(true) {
            MapLook::Read(map) => {
                states.tell(nth, &Content::of(&map), &Taken::default());
                map
            }
            MapLook::Kept(error) => {
                states.tell_kept(nth, &error);
                map.unread()
            }
            // It is being written.
            MapLook::Same => map.unread(),
        });
    }
    let overlay = Overlay::new(base, read);
    Ok((Arc::new(overlay.clone()), Some(Maps { overlay, maps }), states))
}

impl Maps {
    /// Looks at the files every second, and reads them on SIGHUP, on a thread that may wait for the disk.
    pub(super) fn keep(self, node: &Node, shutdown: Shutdown) -> Result<(), NodeError> {
        let mut hangup = signal(SignalKind::hangup()).map_err(NodeError::Signal)?;
        let (clock, spawn) = (Arc::clone(&node.system.clock), Arc::clone(&node.system.spawn));
        let (states, routes) = (node.map_states.clone(), node.routes.clone());
        let Self { overlay, mut maps } = self;
        node.system.spawn.task(Box::pin(async move {
            // Not the copy itself: the last who holds an old one has to drop it.
            let mut known = routes.now().revision();
            compare(&overlay, &states).await;
            loop {
                let asked = tokio::select! {
                    () = clock.sleep(LOOK_EVERY) => false,
                    _ = hangup.recv() => true,
                    () = shutdown.cut() => return,
                };
                let now = routes.now();
                if known != now.revision() {
                    maps.iter_mut().for_each(|map| map.follow(&now));
                    known = now.revision();
                }
                drop(now);
                let mut seen = Vec::with_capacity(maps.len());
                for (nth, map) in maps.into_iter().enumerate() {
                    let (over, now) = (overlay.clone(), clock.instant());
                    let look = move || map.look(nth, asked, now, &over);
                    // The program stops, or reading has panicked, which is a mistake of ours.
                    let Some((mut map, found)) = ports::blocking(&*spawn, look).await else {
                        if !shutdown.is_draining() {
                            tracing::error!("live maps are not read any more: a restart is needed");
                        }
                        return;
                    };
                    if let Some(taken) = take(nth, found, &overlay, &states).await {
                        map.again = if taken { None } else { Some(clock.instant() + AGAIN_AFTER) };
                    }
                    seen.push(map);
                }
                maps = seen;
            }
        }));
        Ok(())
    }
}

/// Lays what was found, and tells whether that went well; nothing when nothing was found.
async fn take(nth: usize, found: Found, overlay: &Overlay, states: &MapStates) -> Option<bool> {
    match found {
        Found::Same => None,
        Found::Kept(error) => {
            states.tell_kept(nth, &error);
            Some(true)
        }
        Found::Draft(draft, content) => match overlay.take(draft).await {
            Ok(taken) => {
                states.tell(nth, &content, &taken);
                compare(overlay, states).await;
                Some(true)
            }
            Err(error) => {
                states.tell_kept(nth, &error);
                Some(false)
            }
        },
    }
}

/// Whoever edits a map moves nobody: who is elsewhere than it says is told.
async fn compare(overlay: &Overlay, states: &MapStates) {
    match overlay.differences().await {
        Ok(differences) => states.tell_differences(differences),
        Err(error) => {
            tracing::warn!(error = &error as &dyn Error, "the maps cannot be compared with the directory's placements");
        }
    }
}

impl Watched {
    fn of(told: &Map, routing: &Routing) -> Self {
        let file = MapFile::new(MapSource { path: told.path.clone(), kind: told.kind });
        let (names, unknown) = (names(told, routing), unknown(told, routing));
        Self { told: told.clone(), file, names, unknown, told_unknown: None, again: None }
    }

    /// The directory has changed.
    fn follow(&mut self, routing: &Routing) {
        (self.names, self.unknown) = (names(&self.told, routing), unknown(&self.told, routing));
    }

    fn read(&mut self, asked: bool) -> MapLook {
        let news = self.told_unknown != self.unknown;
        self.told_unknown.clone_from(&self.unknown);
        match &self.unknown {
            Some(domain) if news => {
                MapLook::Kept(ReadError::UnknownDomain { path: self.told.path.clone(), domain: domain.to_string() })
            }
            Some(_) => MapLook::Same,
            None if asked || news => self.file.read_again(&self.names),
            None => self.file.look(&self.names),
        }
    }

    /// What stands for it while it was never read.
    fn unread(&self) -> LiveMap {
        LiveMap::unread(&self.told.path.display().to_string(), self.told.kind)
    }

    /// Reads it if it is to be read, and lays it together with the others; takes as long as that does.
    fn look(mut self, nth: usize, asked: bool, now: Instant, overlay: &Overlay) -> (Self, Found) {
        overlay.sweep();
        let due = self.again.is_some_and(|at| at <= now);
        let found = match self.read(asked || due) {
            MapLook::Same => Found::Same,
            MapLook::Kept(error) => Found::Kept(error),
            MapLook::Read(map) => {
                let content = Content::of(&map);
                Found::Draft(overlay.draft(nth, map), content)
            }
        };
        (self, found)
    }
}

/// A slip in a domain's name would make every key of the map one of nobody's.
fn unknown(told: &Map, routing: &Routing) -> Option<Domain> {
    let is_known = |name: &&Domain| routing.domains().any(|domain| domain.name == **name);
    told.domains.iter().find(|name| !is_known(name)).cloned()
}

/// What a map's names are read against, as the directory has it now.
fn names(told: &Map, routing: &Routing) -> MapNames {
    let own = match (told.domains.is_empty(), told.kind) {
        // Its rules hold in all domains.
        (true, MapKind::RegexMap) => Vec::new(),
        (true, _) => routing.main_domain().cloned().into_iter().collect(),
        (false, _) => told.domains.clone(),
    };
    let names = MapNames::in_copy(routing, own).with_names(told.names);
    // One that the directory does not know makes its lines bad ones, until it does.
    let known = told.hosts.iter().filter(|(_, store)| routing.store(store).is_some());
    known.fold(names, |names, (host, store)| names.with_host(host, store.clone()))
}

impl Content {
    fn of(map: &LiveMap) -> Self {
        Self { entries: map.len(), ignored: map.ignored().to_vec(), remote: map.remote().to_vec() }
    }
}

impl MapStates {
    fn of(told: &[Map]) -> Self {
        let unread = |map: &Map| MapFacts {
            path: map.path.display().to_string(),
            kind: map.kind.name().to_owned(),
            entries: None,
            ignored: 0,
            remote: 0,
            trouble: None,
        };
        let states = States { maps: told.iter().map(unread).collect(), differences: Differences::default() };
        Self(Arc::new(Mutex::new(states)))
    }

    pub(super) fn now(&self) -> Vec<MapFacts> {
        self.lock().maps.clone()
    }

    /// The accounts that are elsewhere than a map says, the first of them, and how many there are.
    pub(super) fn differences(&self) -> (Vec<String>, usize) {
        let states = self.lock();
        (states.differences.first.iter().map(ToString::to_string).collect(), states.differences.count)
    }

    fn tell_differences(&self, differences: Differences) {
        let mut states = self.lock();
        if states.differences == differences {
            return;
        }
        for difference in differences.first.iter().take(LINES_TOLD_MAX) {
            tracing::warn!(%difference, "a map does not move anybody");
        }
        if differences.count > LINES_TOLD_MAX {
            tracing::warn!(count = differences.count, "so many accounts are elsewhere than a map says");
        }
        states.differences = differences;
    }

    fn tell(&self, nth: usize, content: &Content, taken: &Taken) {
        let Content { entries, ignored, remote } = content;
        let Taken { changes, pinned } = taken;
        let mut states = self.lock();
        let Some(state) = states.maps.get_mut(nth) else { return };
        (state.entries, state.ignored, state.trouble) = (Some(*entries), ignored.len(), None);
        state.remote = remote.len();
        tracing::info!(map = state.path, entries, changes, pinned = pinned.len(), "the map was read");
        for (line, text) in ignored.iter().take(LINES_TOLD_MAX) {
            tracing::warn!(map = state.path, line, text, "a line of the map that deserves a look");
        }
        for (line, text) in remote.iter().take(LINES_TOLD_MAX) {
            tracing::warn!(map = state.path, line, text, "there is no outbound mail yet; is it a store's host?");
        }
    }

    fn tell_kept(&self, nth: usize, error: &(dyn Error + 'static)) {
        let mut states = self.lock();
        let Some(state) = states.maps.get_mut(nth) else { return };
        let map = state.path.as_str();
        match state.entries {
            Some(_) => tracing::error!(map, error, "the map is not taken; what was read before stays in service"),
            None => {
                tracing::error!(map, error, "the map cannot be read; mail waits for it, since any address may be in it")
            }
        }
        state.trouble = Some(error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")));
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The directory did not answer, or does not take what must be written before.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Lines of one matter that are logged; `status` has more, and their count.
const LINES_TOLD_MAX: usize = 20;
