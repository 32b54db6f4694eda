//! Hosts of back-ends that failed are looked at until they answer: whoever watches them need not wait for the next mail.
//!
//! A look is a call up to where mail could be sent (greeting, TLS, hello), and QUIT. Hosts that are well are not looked at: the
//! next mail finds out.

use super::hosts::{Host, HostAt};
use super::lines::{Called, Whose};
use super::{Deliveries, World, at_once};
use crate::visits::LOOK_ROUND_SPAN;
use std::sync::Arc;

/// Hosts that are looked at side by side. A dead one takes the time of a call, so hundreds take a minute.
pub(super) const LOOKS_AT_ONCE_MAX: usize = 64;

impl Deliveries {
    /// Looks at hosts of back-ends that failed, about each minute. Never ends.
    pub async fn tend(&self) {
        let clock = &self.world.clock;
        loop {
            let next = clock.instant() + LOOK_ROUND_SPAN;
            self.world.look_round().await;
            clock.sleep(next.saturating_duration_since(clock.instant())).await;
        }
    }
}

impl World {
    async fn look_round(&self) {
        let mut failing = self.failing().into_iter().peekable();
        while failing.peek().is_some() {
            at_once(failing.by_ref().take(LOOKS_AT_ONCE_MAX).map(|at| self.look(at))).await;
        }
    }

    async fn look(&self, at: HostAt) {
        let line = self.lines.to(&at, Whose::Queue, self.clock.instant());
        let host = Host { at, line };
        // Where all places are taken, those who have them find out.
        let Ok(_turn) = Arc::clone(&host.line.turns).try_acquire_owned() else { return };
        if let Some(Called { call, .. }) = self.call(&host).await {
            self.bid_farewell(call).await;
        }
    }
}
