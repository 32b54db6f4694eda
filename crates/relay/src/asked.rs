//! What back-ends of another make have said of who exists, where nobody else knows; remembered for a short time.
//!
//! A "yes" stands in for a back-end that is away for a moment: only then is it looked at. A "no" spares one that is there the
//! same question again and again, from who guesses names. Whatever is temporary is forgotten at once.

use mail_types::{Address, EnhancedCode, StoreName};
use smtp_proto::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The answers; each kind has its own bound, so that guesses push out nobody who is there.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    yes: Mutex<Answers<()>>,
    no: Mutex<Answers<Refusal>>,
}

#[derive(Debug)]
struct Answers<T> {
    /// With when each ends.
    of: BTreeMap<Arc<Key>, (Instant, T)>,
    /// The next that ends first.
    ends: BTreeSet<(Instant, Arc<Key>)>,
}

/// The recipient's spelling is the store's own matter.
type Key = (StoreName, Address);

impl Asked {
    /// The store has just taken him.
    pub(crate) fn is_there(&self, store: &StoreName, recipient: &Address, now: Instant) {
        locked(&self.no).forget(&(store.clone(), recipient.clone()));
        locked(&self.yes).put(store, recipient, now, YES_SPAN, ());
    }

    /// The store has just refused him. For good, nothing stands in for it any more; what it said is remembered only if that is "no
    /// such user", and nothing that could depend on the message or its sender.
    pub(crate) fn is_refused(&self, store: &StoreName, recipient: &Address, now: Instant, refusal: &Refusal) {
        let enhanced = refusal.reply().enhanced();
        let is_senders = enhanced.is_some_and(|enhanced| ABOUT_SENDERS.contains(&enhanced));
        if refusal.reply().code().is_permanent() && !is_senders {
            locked(&self.yes).forget(&(store.clone(), recipient.clone()));
            if enhanced == Some(NO_SUCH_USER) {
                locked(&self.no).put(store, recipient, now, NO_SPAN, refusal.clone());
            }
        }
    }

    /// Whether he was there a moment ago.
    pub(crate) fn was_there(&self, store: &StoreName, recipient: &Address, now: Instant) -> bool {
        locked(&self.yes).get(store, recipient, now).is_some()
    }

    /// What the store said a moment ago of who is not there.
    pub(crate) fn was_refused(&self, store: &StoreName, recipient: &Address, now: Instant) -> Option<Refusal> {
        locked(&self.no).get(store, recipient, now)
    }
}

impl<T: Clone> Answers<T> {
    fn put(&mut self, store: &StoreName, recipient: &Address, now: Instant, span: Duration, answer: T) {
        let key = Arc::new((store.clone(), recipient.clone()));
        self.forget(&key);
        if self.of.len() >= ANSWER_COUNT_MAX
            && let Some((_, oldest)) = self.ends.pop_first()
        {
            self.of.remove(&oldest);
        }
        self.ends.insert((now + span, Arc::clone(&key)));
        self.of.insert(key, (now + span, answer));
    }

    fn forget(&mut self, key: &Key) {
        if let Some((key, (until, _))) = self.of.remove_entry(key) {
            self.ends.remove(&(until, key));
        }
    }

    fn get(&self, store: &StoreName, recipient: &Address, now: Instant) -> Option<T> {
        let (until, answer) = self.of.get(&(store.clone(), recipient.clone()))?;
        (*until > now).then(|| answer.clone())
    }
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self { of: BTreeMap::new(), ends: BTreeSet::new() }
    }
}

fn locked<T>(answers: &Mutex<T>) -> MutexGuard<'_, T> {
    // No holder of these locks can panic half-way through a change.
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// RFC 3463 §3.2, X.1.1 (bad destination mailbox address).
const NO_SUCH_USER: EnhancedCode = EnhancedCode::new(5, 1, 1);
/// RFC 3463 §3.2, X.1.7 and X.1.8: the sender's address.
const ABOUT_SENDERS: [EnhancedCode; 2] = [EnhancedCode::new(5, 1, 7), EnhancedCode::new(5, 1, 8)];
/// Long enough for a back-end that starts again; who is removed meanwhile is found out when it is back.
const YES_SPAN: Duration = Duration::from_secs(10 * 60);
/// Short: who has just been made is refused so long, for good.
const NO_SPAN: Duration = Duration::from_secs(30);
/// Answers of one kind, about 500 octets each; the oldest goes where there would be more.
const ANSWER_COUNT_MAX: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test begins somewhere")]
    fn start() -> Instant {
        Instant::now()
    }

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    #[test]
    fn answers_are_remembered_for_their_time() {
        let (asked, t) = (Asked::default(), start());
        let (store, ann) = (StoreName::parse("old").expect("a name"), address("ann@a.test"));
        assert!(!asked.was_there(&store, &ann, t) && asked.was_refused(&store, &ann, t).is_none());
        asked.is_there(&store, &ann, t);
        assert!(asked.was_there(&store, &ann, t + YES_SPAN / 2) && !asked.was_there(&store, &ann, t + YES_SPAN));
        // Case is the store's own matter, and another store is another matter.
        assert!(!asked.was_there(&store, &address("Ann@a.test"), t));
        assert!(!asked.was_there(&StoreName::parse("new").expect("a name"), &ann, t));
        asked.is_refused(&store, &ann, t, &Refusal::NO_SUCH_USER);
        assert!(!asked.was_there(&store, &ann, t));
        assert_eq!(asked.was_refused(&store, &ann, t + NO_SPAN / 2), Some(Refusal::NO_SUCH_USER));
        assert_eq!(asked.was_refused(&store, &ann, t + NO_SPAN), None);
        asked.is_there(&store, &ann, t);
        assert_eq!(asked.was_refused(&store, &ann, t), None);
    }

    #[test]
    fn what_is_temporary_or_another_matter_is_not_remembered() {
        let (asked, t) = (Asked::default(), start());
        let (store, ann) = (StoreName::parse("old").expect("a name"), address("ann@a.test"));
        for refusal in [Refusal::TRY_LATER, Refusal::MAILBOX_FULL, Refusal::MAILBOX_DISABLED, Refusal::RELAY_DENIED] {
            asked.is_there(&store, &ann, t);
            asked.is_refused(&store, &ann, t, &refusal);
            assert_eq!(asked.was_refused(&store, &ann, t), None, "{refusal}");
            // Refused for good, whatever for, he is no longer taken for one who is there.
            let is_final = refusal.reply().code().is_permanent();
            assert_eq!(asked.was_there(&store, &ann, t), !is_final, "{refusal}");
        }
        asked.is_there(&store, &ann, t);
        asked.is_refused(&store, &ann, t, &Refusal::of(550, (5, 1, 8), "Sender address rejected"));
        assert!(asked.was_there(&store, &ann, t), "that is the sender's matter");
    }

    #[test]
    fn memory_is_bounded_and_guesses_push_out_nobody() {
        let (asked, t) = (Asked::default(), start());
        let (store, ann) = (StoreName::parse("old").expect("a name"), address("ann@a.test"));
        asked.is_there(&store, &ann, t);
        for guess in 0..ANSWER_COUNT_MAX + 10 {
            asked.is_refused(&store, &address(&format!("g{guess}@a.test")), t, &Refusal::NO_SUCH_USER);
        }
        assert!(asked.was_there(&store, &ann, t));
        let no = locked(&asked.no);
        assert_eq!((no.of.len(), no.ends.len()), (ANSWER_COUNT_MAX, ANSWER_COUNT_MAX));
    }

    #[test]
    fn the_oldest_answer_makes_room() {
        let (asked, t) = (Asked::default(), start());
        let store = StoreName::parse("old").expect("a name");
        let user = |number: usize| address(&format!("u{number}@a.test"));
        let ms = |number: usize| Duration::from_millis(u64::try_from(number).expect("few"));
        for number in 0..ANSWER_COUNT_MAX {
            asked.is_there(&store, &user(number), t + ms(number));
        }
        let now = t + ms(ANSWER_COUNT_MAX);
        // Said again, the first is not the oldest any more.
        asked.is_there(&store, &user(0), now);
        asked.is_there(&store, &user(ANSWER_COUNT_MAX), now);
        let gone: Vec<_> = (0..=ANSWER_COUNT_MAX).filter(|n| !asked.was_there(&store, &user(*n), now)).collect();
        assert_eq!(gone, [1]);
    }
}
