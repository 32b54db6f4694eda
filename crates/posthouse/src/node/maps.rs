//! Maps that others edit, laid over the directory: read at the start, and again when they change.

use super::{Node, NodeError};
use crate::config::Map;
use admin::MapFacts;
use directory::engine::Engine;
use directory::overlay::{LiveMap, MapNames, Overlay};
use directory::{Editor, Routing};
use files::{MapFile, MapLook, MapSource};
use net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
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
}

/// How each map is, for operators.
#[derive(Clone, Default)]
pub(super) struct MapStates(Arc<Mutex<Vec<MapFacts>>>);

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
        let look = map.file.read_again(&map.names);
        states.tell(nth, &look);
        read.push(match look {
            MapLook::Read(map) => map,
            MapLook::Same | MapLook::Kept(_) => LiveMap::unread(&map.told.path.display().to_string(), map.told.kind),
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
            let mut routing = routes.now();
            loop {
                let asked = tokio::select! {
                    () = clock.sleep(LOOK_EVERY) => false,
                    _ = hangup.recv() => true,
                    () = shutdown.cut() => return,
                };
                let now = routes.now();
                if !Arc::ptr_eq(&routing, &now) {
                    maps.iter_mut().for_each(|map| map.names = names(&map.told, &now));
                    routing = now;
                }
                let (over, told) = (overlay.clone(), states.clone());
                // None: the program stops.
                let Some(same) = ports::blocking(&*spawn, move || look(maps, asked, &over, &told)).await else {
                    return;
                };
                maps = same;
            }
        }));
        Ok(())
    }
}

/// Reads what is to be read, and lays it over the directory; takes as long as that does.
fn look(mut maps: Vec<Watched>, asked: bool, overlay: &Overlay, states: &MapStates) -> Vec<Watched> {
    for (nth, map) in maps.iter_mut().enumerate() {
        let look = if asked { map.file.read_again(&map.names) } else { map.file.look(&map.names) };
        states.tell(nth, &look);
        if let MapLook::Read(read) = look {
            overlay.replace(nth, read);
        }
    }
    maps
}

impl Watched {
    fn of(told: &Map, routing: &Routing) -> Self {
        let source = MapSource { path: told.path.clone(), kind: told.kind };
        Self { told: told.clone(), file: MapFile::new(source), names: names(told, routing) }
    }
}

/// What a map's names are read against, as the directory has it now.
fn names(told: &Map, routing: &Routing) -> MapNames {
    let own = match told.domains.is_empty() {
        true => routing.main_domain().cloned().into_iter().collect(),
        false => told.domains.clone(),
    };
    let names = MapNames::in_copy(routing, own);
    told.hosts.iter().fold(names, |names, (host, store)| names.with_host(host, store.clone()))
}

impl MapStates {
    fn of(told: &[Map]) -> Self {
        let unread = |map: &Map| MapFacts {
            path: map.path.display().to_string(),
            kind: map.kind.name().to_owned(),
            entries: None,
            ignored: 0,
            trouble: None,
        };
        Self(Arc::new(Mutex::new(told.iter().map(unread).collect())))
    }

    pub(super) fn now(&self) -> Vec<MapFacts> {
        self.lock().clone()
    }

    fn tell(&self, nth: usize, look: &MapLook) {
        let mut states = self.lock();
        let Some(state) = states.get_mut(nth) else { return };
        match look {
            MapLook::Same => {}
            MapLook::Read(map) => {
                (state.entries, state.ignored, state.trouble) = (Some(map.len()), map.ignored().len(), None);
                tracing::info!(map = state.path, entries = map.len(), ignored = state.ignored, "the map was read");
                for (line, text) in map.ignored().iter().take(IGNORED_TOLD_MAX) {
                    tracing::warn!(map = state.path, line, text, "the directory has no place for this");
                }
            }
            MapLook::Kept(error) => {
                let stays = match state.entries {
                    Some(_) => "the map is not taken; what was read before stays in service",
                    None => "the map cannot be read: mail waits for it, since any address may be in it",
                };
                tracing::error!(error = error as &dyn std::error::Error, "{stays}");
                state.trouble = Some(with_cause(error));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<MapFacts>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Lines of a map that say what no record can hold, as far as they are logged; `status` has their count.
const IGNORED_TOLD_MAX: usize = 20;
