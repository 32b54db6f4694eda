//! What keeps the queue's journal small.

use super::held::Parked;
use super::{Held, NotQueued, RetryQueue, State};
use journal::{Purge, ReadError};
use mail_types::{Lsn, StoreName, UnixTime};
use queue::{Body, QueueId};
use std::collections::BTreeMap;
use std::sync::Arc;

impl RetryQueue {
    /// Moves forward what holds up the rest, and removes the segments that nobody needs.
    pub(crate) async fn tidy(self: &Arc<Self>) {
        self.purge();
        for _ in 0..MOVES_PER_ROUND_MAX {
            // An order that comes now waits, and finds the entry in its new place.
            let Ok(_change) = self.settled().await else { break };
            let Some((body, entries)) = self.in_the_way() else { break };
            if !self.has_room_to_move(body) {
                tracing::warn!(body = %body.first, "too little space to move queued mail forward in its journal");
                break;
            }
            if let Err(why) = self.move_forward(body, entries).await {
                tracing::warn!(body = %body.first, %why, "queued mail cannot be moved forward in its journal");
                break;
            }
            self.purge();
        }
    }

    /// A move frees space only once the last of the old is gone, so it must not take what attempts, and the next start,
    /// need: a segment to go on in, and one to begin with.
    fn has_room_to_move(&self, body: Body) -> bool {
        // A disk that does not say is taken to have space, as the journal does.
        let free = self.world.disk.free_bytes().unwrap_or(u64::MAX);
        free >= body.octets.saturating_add(self.segment_octets.saturating_mul(2))
    }

    /// The oldest body with its entries, where it keeps far more of the journal than all bodies need. A message of very
    /// many recipients has several entries with one body.
    fn in_the_way(&self) -> Option<(Body, Vec<Parked>)> {
        let state = self.state();
        let (floor, id) = state.queue.floor()?;
        if state.unreadable.contains(&id) {
            // Nothing is gained by moving those behind it.
            return None;
        }
        let bodies: BTreeMap<Lsn, u64> =
            state.queue.entries().map(|(_, entry)| (entry.body.first, entry.body.octets)).collect();
        let needed = bodies.values().copied().fold(0, u64::saturating_add);
        let sealed = self.journal.sealed_segments().iter().filter(|segment| segment.last >= floor).count();
        let kept = u64::try_from(sealed).unwrap_or(u64::MAX).saturating_mul(self.segment_octets);
        let allowed = needed.saturating_mul(2).saturating_add(self.segment_octets.saturating_mul(SEGMENTS_SPARE));
        if kept <= allowed {
            return None;
        }
        let body = state.queue.entry(id)?.body;
        if state.in_hand.values().any(|first| *first == body.first) {
            // What comes of the attempt names the entry by its place.
            return None;
        }
        let with_it = state.queue.entries().filter(|(_, entry)| entry.body.first == body.first);
        Some((body, with_it.map(|(id, entry)| Parked { entry: entry.clone(), replaces: Some(id) }).collect()))
    }

    /// Writes a body and its entries again at the journal's end. It frees space, so it may use what is kept for that.
    async fn move_forward(self: &Arc<Self>, body: Body, entries: Vec<Parked>) -> Result<(), NotQueued> {
        // Read to its end before anything is written: a body of which something is missing stays where it is, and what
        // was written of it could not be removed again.
        let (mut octets, mut chunks) = (0, self.chunks(body));
        while let Some(chunk) = chunks.next().await {
            octets += chunk.map_err(|error| self.give_up(&entries, &error))?.len() as u64;
        }
        if octets != body.octets {
            return Err(self.give_up(&entries, &ReadError::Purged(body.first)));
        }
        let (mut held, mut chunks) = (Held::to_move(Arc::clone(self)), self.chunks(body));
        while let Some(chunk) = chunks.next().await {
            held.take(&chunk.map_err(|error| self.give_up(&entries, &error))?).await;
        }
        held.keep_moved(entries).await.map(drop)
    }

    /// Their octets cannot be read: they are not moved again before the next start.
    fn give_up(&self, entries: &[Parked], error: &ReadError) -> NotQueued {
        for id in entries.iter().filter_map(|parked| parked.replaces) {
            tracing::error!(entry = %id, error = error as &dyn std::error::Error, "a queued message cannot be read");
            self.state().unreadable.insert(id);
        }
        NotQueued::Lost
    }

    /// Removes the segments that nobody needs.
    pub(super) fn purge(&self) {
        let floor = {
            let mut state = self.state();
            self.let_go(&mut state);
            let held = [state.held.first().copied(), state.kept.first().copied()];
            let in_hand = state.in_hand.values().min().copied();
            let lowest = held.into_iter().chain([in_hand, state.queue.floor().map(|(floor, _)| floor)]);
            // What is not applied yet may be needed.
            lowest.flatten().fold(state.applied.lsn().next(), Lsn::min)
        };
        let (now, clock) = (self.world.clock.now(), &self.world.clock);
        let monotonic = clock.instant().saturating_duration_since(self.started);
        // Nothing is kept for its age, so the clock does not matter.
        let purge = Purge { floor, older_than: UnixTime::from_micros(i64::MAX), now, monotonic };
        match self.journal.purge(&purge) {
            Ok(purged) if purged.suspended => self.journal.accept_clock(),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "segments of the queue cannot be removed");
            }
        }
    }
}

impl RetryQueue {
    /// A sender that takes very long with a large message must not keep the whole journal: its message cannot be queued
    /// any more.
    fn let_go(&self, state: &mut State) {
        let sealed = self.journal.sealed_segments();
        let Some(oldest) = sealed.len().checked_sub(HELD_SEGMENTS_MAX).and_then(|at| sealed.get(at)) else { return };
        while state.held.first().is_some_and(|first| *first < oldest.first) {
            state.held.pop_first();
        }
    }
}

impl RetryQueue {
    /// An entry that is to be tried at a store: its body stays where it is meanwhile. Nothing if it is gone, has another
    /// place by now, or is held.
    pub(super) async fn take_in_hand(&self, store: &StoreName, id: QueueId) -> Option<InHand<'_>> {
        // Not while something is moved forward.
        let _unmoved = self.changes.lock().await;
        let mut state = self.state();
        let entry = state.queue.entry(id).filter(|entry| entry.state == queue::State::Waiting)?;
        let first = entry.body.first;
        state.in_hand.insert(store.clone(), first);
        Some(InHand { queue: self, store: store.clone() })
    }
}

/// While it lasts, the body of an entry is neither moved nor removed. A store has one at a time.
pub(super) struct InHand<'q> {
    queue: &'q RetryQueue,
    store: StoreName,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.queue.state().in_hand.remove(&self.store);
    }
}

/// Sealed segments that a message which is still coming may keep.
pub(crate) const HELD_SEGMENTS_MAX: usize = 64;
/// Entries moved between two looks at what is due.
const MOVES_PER_ROUND_MAX: usize = 16;
/// Segments that are no reason to move anything.
const SEGMENTS_SPARE: u64 = 4;
