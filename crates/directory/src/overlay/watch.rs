//! The changes of both: of the maps first, then of the base.

use super::{Moment, NO_MAP, Overlay, change_from_base, from_base, from_layer};
use crate::engine::{BoxFuture, Change, Changes, EngineError, Revision, Watch};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

pub(super) struct OverlayWatch {
    overlay: Overlay,
    of_layer: Box<dyn Watch>,
    of_base: Box<dyn Watch>,
    /// Everything up to here has been given.
    given: Moment,
    /// A commit of the maps that is being given: of what they gave back, the base is asked what it has.
    taken: Option<Taken>,
}

struct Taken {
    left: VecDeque<Change>,
    done: Vec<Change>,
    revision: Revision,
}

enum Next {
    Layer(Changes),
    Base(Changes),
}

impl OverlayWatch {
    pub(super) async fn new(overlay: &Overlay, prefix: &str, after: Moment) -> Result<Self, EngineError> {
        let overlay = overlay.clone();
        let of_layer = crate::Engine::watch(&overlay.layer, prefix, after.layer).await?;
        let of_base = overlay.base.watch(prefix, after.base).await?;
        Ok(Self { overlay, of_layer, of_base, given: after, taken: None })
    }

    /// The maps are asked first: once this has answered, everything of theirs that a page before had is given, so that
    /// the base's revision, which stands in the upper bits, tells how far a watch is.
    async fn either(&mut self) -> Result<Next, EngineError> {
        let mut of_layer = self.of_layer.next();
        let mut of_base = self.of_base.next();
        poll_fn(|context| {
            if let Poll::Ready(changes) = of_layer.as_mut().poll(context) {
                return Poll::Ready(changes.map(Next::Layer).map_err(of_layer_error));
            }
            of_base.as_mut().poll(context).map(|changes| changes.map(Next::Base).map_err(of_base_error))
        })
        .await
    }

    /// Of the base's changes, those of keys that no map has now. One that a map takes later is told then.
    fn shown(&mut self, changes: Changes) -> Result<Option<Changes>, EngineError> {
        self.given.base = changes.revision;
        let mut shown = Vec::with_capacity(changes.changes.len());
        for change in changes.changes {
            if self.overlay.layer.read(change.key())?.is_none() {
                shown.push(change_from_base(change)?);
            }
        }
        let revision = self.given.revision()?;
        Ok((!shown.is_empty()).then_some(Changes { changes: shown, revision }))
    }

    /// Gives a commit of the maps. Dropped on the way, it goes on where it was.
    async fn give(&mut self) -> Result<Option<Changes>, EngineError> {
        let Some(taken) = &mut self.taken else { return Ok(None) };
        while let Some(change) = taken.left.front() {
            let told = match change {
                Change::Put(entry) => Change::Put(from_layer(entry.clone())?),
                Change::Delete { key, revision } => match self.overlay.base.get(key).await? {
                    Some(entry) => Change::Put(from_base(entry)?),
                    None => {
                        let revision = Moment { base: Revision::ZERO, layer: *revision }.revision()?;
                        Change::Delete { key: key.clone(), revision }
                    }
                },
            };
            taken.done.push(told);
            taken.left.pop_front();
        }
        self.given.layer = taken.revision;
        let changes = std::mem::take(&mut taken.done);
        self.taken = None;
        Ok(Some(Changes { changes, revision: self.given.revision()? }))
    }
}

impl Watch for OverlayWatch {
    fn next(&mut self) -> BoxFuture<'_, Result<Changes, EngineError>> {
        Box::pin(async move {
            loop {
                if let Some(changes) = self.give().await? {
                    return Ok(changes);
                }
                match self.either().await? {
                    Next::Layer(Changes { changes, revision }) => {
                        self.taken = Some(Taken { left: changes.into(), done: Vec::new(), revision });
                    }
                    Next::Base(changes) => {
                        if let Some(changes) = self.shown(changes)? {
                            return Ok(changes);
                        }
                    }
                }
            }
        })
    }
}

fn of_layer_error(error: EngineError) -> EngineError {
    compacted_at(error, |layer| Moment { base: Revision::ZERO, layer })
}

fn of_base_error(error: EngineError) -> EngineError {
    compacted_at(error, |base| Moment { base, layer: NO_MAP })
}

fn compacted_at(error: EngineError, moment: impl FnOnce(Revision) -> Moment) -> EngineError {
    match error {
        EngineError::Compacted { oldest } => match moment(oldest).revision() {
            Ok(oldest) => EngineError::Compacted { oldest },
            Err(error) => error,
        },
        error @ (EngineError::Unavailable { .. }
        | EngineError::ReadOnly { .. }
        | EngineError::Live { .. }
        | EngineError::Invalid { .. }
        | EngineError::Damaged { .. }) => error,
    }
}
