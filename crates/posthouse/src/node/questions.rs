//! How many questions about logins are on their way to somebody who is asked about them.

use ports::{Clock, host_of};
use proxy::NoVerdict;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The questions to one server.
pub(super) struct Questions {
    /// What it is called.
    server: String,
    /// How long an answer may take, the wait for one's turn included.
    span: Duration,
    clock: Arc<dyn Clock>,
    turns: Semaphore,
    /// Questions of each client host that has any.
    by_host: Mutex<BTreeMap<IpAddr, usize>>,
}

impl Questions {
    pub(super) fn new(server: String, span: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { server, span, clock, turns: Semaphore::new(QUESTIONS_AT_ONCE), by_host: Mutex::default() }
    }

    /// What `answer` comes to, which is asked for in the order in which clients came. There is none in time, or for a client
    /// that has too many on their way.
    pub(super) async fn ask<T>(
        &self,
        client: IpAddr,
        answer: impl Future<Output = Result<T, NoVerdict>>,
    ) -> Result<T, NoVerdict> {
        let Some(_place) = self.place(client) else {
            return Err(NoVerdict(format!("{}: too many questions of one client at once", self.server)));
        };
        let answer = async {
            let _turn = self.turns.acquire().await;
            answer.await
        };
        tokio::select! {
            answer = answer => answer,
            () = self.clock.sleep(self.span) => {
                Err(NoVerdict(format!("{}: no answer within {} s", self.server, self.span.as_secs())))
            }
        }
    }

    /// A place among the questions of a client's host.
    fn place(&self, client: IpAddr) -> Option<Place<'_>> {
        let host = host_of(client);
        let mut by_host = lock(&self.by_host);
        let asked = by_host.entry(host).or_default();
        if *asked >= QUESTIONS_OF_A_HOST {
            return None;
        }
        *asked += 1;
        Some(Place { of: self, host })
    }
}

/// A question that is counted until it is answered.
struct Place<'q> {
    of: &'q Questions,
    host: IpAddr,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut by_host = lock(&self.of.by_host);
        if let Some(asked) = by_host.get_mut(&self.host) {
            *asked -= 1;
            if *asked == 0 {
                by_host.remove(&self.host);
            }
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // No holder of this lock can panic half-way through a change.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Questions that are asked at once; further ones wait for their turn, no longer than for an answer.
const QUESTIONS_AT_ONCE: usize = 256;
/// Of these and of those that wait, from one client host; further logins of it hear "unavailable".
const QUESTIONS_OF_A_HOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use net::SystemClock;
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn a_client_has_so_many_on_their_way() {
        let questions = Questions::new("it".to_owned(), Duration::from_secs(60), Arc::new(SystemClock));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _entered = runtime.enter();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let mut cx = Context::from_waker(Waker::noop());
        let mut asking: Vec<_> =
            (0..QUESTIONS_OF_A_HOST).map(|_| Box::pin(questions.ask(one, pending::<Result<(), _>>()))).collect();
        assert!(asking.iter_mut().all(|question| question.as_mut().poll(&mut cx).is_pending()));
        let ask = |client| runtime.block_on(questions.ask(client, ready(Ok(7))));
        let why = ask(one).expect_err("one too many").0;
        assert_eq!(why, "it: too many questions of one client at once");
        assert_eq!(ask(other).expect("it has none yet"), 7);
        asking.pop();
        assert_eq!(ask(one).expect("there is a place again"), 7);
        assert_eq!(lock(&questions.by_host).len(), 1, "who has none is forgotten");
    }

    #[test]
    fn an_answer_comes_in_time_or_never() {
        let questions = Questions::new("it".to_owned(), Duration::ZERO, Arc::new(SystemClock));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let asked = pin!(questions.ask(IpAddr::from([192, 0, 2, 1]), pending::<Result<(), _>>()));
        assert_eq!(runtime.block_on(asked).expect_err("too late").0, "it: no answer within 0 s");
    }
}
