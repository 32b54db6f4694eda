//! The changes of both: of the maps first, then of the base.

use super::moment::{Moment, NO_MAP};
use super::seen::{Layered, seen};
use super::{Overlay, let_others_run};
use crate::engine::{BoxFuture, Change, Changes, EngineError, Entry, Revision, Watch};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

pub(super) struct OverlayWatch {
    overlay: Overlay,
    of_layer: Box<dyn Watch>,
    of_base: Box<dyn Watch>,
    /// Everything up to here has been given.
    given: Moment,
    /// A commit of the maps that is being given: the base is asked what it has.
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

    /// What the base's changes do to what is seen, with what the maps say now. What they say later is told then.
    /// Nothing of it may be seen: how far the base is, is told all the same.
    fn of_base(&mut self, changes: Changes) -> Result<Changes, EngineError> {
        self.given.base = changes.revision;
        let mut told = Vec::with_capacity(changes.changes.len());
        for change in changes.changes {
            let held = self.overlay.layer.read(change.key())?;
            if held.is_some() && Layered::of(change.key()) == Layered::Over {
                continue;
            }
            let (key, moment) = (change.key().to_owned(), Moment { base: change.revision(), layer: NO_MAP });
            let entry = match change {
                Change::Put(entry) => Some(entry),
                Change::Delete { .. } => None,
            };
            let seen = seen(&key, entry, held)?;
            told.push(told_as(key, seen, moment)?);
        }
        let revision = self.given.revision()?;
        Ok(Changes { changes: told, revision })
    }

    /// Gives a commit of the maps. Dropped on the way, it goes on where it was.
    async fn give(&mut self) -> Result<Option<Changes>, EngineError> {
        let Some(taken) = &mut self.taken else { return Ok(None) };
        while let Some(change) = taken.left.front() {
            let key = change.key();
            let (held, is_over) = match change {
                Change::Put(entry) => (Some(entry.clone()), Layered::of(key) == Layered::Over),
                Change::Delete { .. } => (None, false),
            };
            let base = if is_over { None } else { self.overlay.base.get(key).await? };
            let moment = Moment { base: Revision::ZERO, layer: change.revision() };
            let seen = seen(key, base, held)?;
            taken.done.push(told_as(key.to_owned(), seen, moment)?);
            taken.left.pop_front();
            if taken.done.len() % CHANGES_AT_ONCE == 0 {
                let_others_run().await;
            }
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
                    Next::Base(changes) => return self.of_base(changes),
                }
            }
        })
    }
}

/// Changes that are looked up before others run: the engine below may wait for nobody.
const CHANGES_AT_ONCE: usize = 500;

fn told_as(key: String, seen: Option<Entry>, moment: Moment) -> Result<Change, EngineError> {
    Ok(match seen {
        Some(entry) => Change::Put(entry),
        None => Change::Delete { key, revision: moment.revision()? },
    })
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
