//! What keeps the queue's journal small.

use super::{Held, NotQueued, RetryQueue};
use journal::Purge;
use mail_types::{Lsn, UnixTime};
use queue::{Entry, QueueId};
use std::sync::Arc;

impl RetryQueue {
    /// Moves forward what holds up the rest, and removes the segments that nobody needs.
    pub(super) async fn tidy(self: &Arc<Self>) {
        for _ in 0..MOVES_PER_ROUND_MAX {
            let Some((id, entry)) = self.in_the_way() else { break };
            if let Err(why) = self.move_forward(id, entry).await {
                tracing::warn!(entry = %id, %why, "queued mail cannot be moved forward in its journal");
                break;
            }
        }
        self.purge();
    }

    /// The oldest entry, where it keeps far more of the journal than all entries need.
    fn in_the_way(&self) -> Option<(QueueId, Entry)> {
        let state = self.state();
        let (floor, id) = state.queue.floor()?;
        let needed: u64 = state.queue.entries().map(|(_, entry)| entry.body.octets).fold(0, u64::saturating_add);
        let sealed = self.journal.sealed_segments().iter().filter(|segment| segment.last >= floor).count();
        let kept = u64::try_from(sealed).unwrap_or(u64::MAX).saturating_mul(self.segment_octets);
        let allowed = needed.saturating_mul(2).saturating_add(self.segment_octets.saturating_mul(SEGMENTS_SPARE));
        let entry = state.queue.entry(id)?;
        (kept > allowed).then(|| (id, entry.clone()))
    }

    /// Writes an entry again at the journal's end. It frees space, so it may use what is kept for that.
    async fn move_forward(self: &Arc<Self>, id: QueueId, entry: Entry) -> Result<(), NotQueued> {
        let mut held = Held::to_move(Arc::clone(self));
        for chunk in self.chunks(entry.body) {
            let chunk = chunk.map_err(|error| {
                tracing::error!(entry = %id, error = &error as &dyn std::error::Error, "a queued message cannot be read");
                NotQueued::Lost
            })?;
            held.take(&chunk).await;
        }
        held.keep_moved(id, entry).await.map(drop)
    }

    fn purge(&self) {
        let floor = {
            let state = self.state();
            let lowest = [state.queue.floor().map(|(floor, _)| floor), state.held.first().copied()];
            // What is not applied yet may be needed.
            lowest.into_iter().flatten().fold(state.applied.lsn().next(), Lsn::min)
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

/// Entries moved between two looks at what is due.
const MOVES_PER_ROUND_MAX: usize = 16;
/// Segments that are no reason to move anything.
const SEGMENTS_SPARE: u64 = 4;
