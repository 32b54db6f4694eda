//! What keeps the queue's journal small.

use super::{Held, NotQueued, RetryQueue, State};
use journal::{Purge, ReadError};
use mail_types::{Lsn, UnixTime};
use queue::{Body, Entry, QueueId};
use std::sync::Arc;

impl RetryQueue {
    /// Moves forward what holds up the rest, and removes the segments that nobody needs.
    pub(super) async fn tidy(self: &Arc<Self>) {
        self.purge();
        for _ in 0..MOVES_PER_ROUND_MAX {
            // An order that comes now waits, and finds the entry in its new place.
            let _change = self.changes.lock().await;
            let Some((id, entry)) = self.in_the_way() else { break };
            if !self.has_room_to_move(entry.body) {
                tracing::warn!(entry = %id, "too little space to move queued mail forward in its journal");
                break;
            }
            if let Err(why) = self.move_forward(id, entry).await {
                tracing::warn!(entry = %id, %why, "queued mail cannot be moved forward in its journal");
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

    /// The oldest entry, where it keeps far more of the journal than all entries need.
    fn in_the_way(&self) -> Option<(QueueId, Entry)> {
        let state = self.state();
        let (floor, id) = state.queue.floor()?;
        if state.unreadable.contains(&id) {
            // Nothing is gained by moving those behind it.
            return None;
        }
        let needed: u64 = state.queue.entries().map(|(_, entry)| entry.body.octets).fold(0, u64::saturating_add);
        let sealed = self.journal.sealed_segments().iter().filter(|segment| segment.last >= floor).count();
        let kept = u64::try_from(sealed).unwrap_or(u64::MAX).saturating_mul(self.segment_octets);
        let allowed = needed.saturating_mul(2).saturating_add(self.segment_octets.saturating_mul(SEGMENTS_SPARE));
        let entry = state.queue.entry(id)?;
        (kept > allowed).then(|| (id, entry.clone()))
    }

    /// Writes an entry again at the journal's end. It frees space, so it may use what is kept for that.
    async fn move_forward(self: &Arc<Self>, id: QueueId, entry: Entry) -> Result<(), NotQueued> {
        // Read to its end before anything is written: a body of which something is missing stays where it is, and what
        // was written of it could not be removed again.
        let mut octets = 0;
        for chunk in self.chunks(entry.body) {
            octets += chunk.map_err(|error| self.give_up(id, &error))?.len() as u64;
        }
        if octets != entry.body.octets {
            return Err(self.give_up(id, &ReadError::Purged(entry.body.first)));
        }
        let mut held = Held::to_move(Arc::clone(self));
        for chunk in self.chunks(entry.body) {
            held.take(&chunk.map_err(|error| self.give_up(id, &error))?).await;
        }
        held.keep_moved(id, entry).await.map(drop)
    }

    /// Its octets cannot be read: it is not moved again before the next start.
    fn give_up(&self, id: QueueId, error: &ReadError) -> NotQueued {
        tracing::error!(entry = %id, error = error as &dyn std::error::Error, "a queued message cannot be read");
        self.state().unreadable.insert(id);
        NotQueued::Lost
    }

    /// Removes the segments that nobody needs.
    pub(super) fn purge(&self) {
        let floor = {
            let mut state = self.state();
            self.let_go(&mut state);
            let held = [state.held.first().copied(), state.kept.first().copied()];
            let lowest = held.into_iter().chain([state.queue.floor().map(|(floor, _)| floor)]);
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

/// Sealed segments that a message which is still coming may keep.
pub(crate) const HELD_SEGMENTS_MAX: usize = 64;
/// Entries moved between two looks at what is due.
const MOVES_PER_ROUND_MAX: usize = 16;
/// Segments that are no reason to move anything.
const SEGMENTS_SPARE: u64 = 4;
