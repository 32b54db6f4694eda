//! What a node's answers mean for who sent the message.

use smtp_proto::client::{Event, Outcome, Unsendable};
use smtp_proto::{LineFault, Refusal, Reply};

/// RFC 3463 §3.5, X.4.1 (no answer from host): the message can wait in the queue.
pub(super) const SILENT: Refusal = Refusal::of(451, (4, 4, 1), "The store's node does not answer, try again later");
/// RFC 3463 §3.5, X.4.2 (bad connection): likewise. Behind the final dot nobody knows what came of it; a repeated delivery
/// has the same id.
pub(super) const BROKEN: Refusal =
    Refusal::of(451, (4, 4, 2), "The connection to the store's node broke, try again later");
/// The directory is wrong about the store, or newer than we are.
pub(super) const NOWHERE: Refusal = Refusal::of(451, (4, 3, 0), "The store cannot be reached, try again later");

/// The refusal that a node's answer to a command is; nothing where it is a yes.
///
/// The relay's directory knows the recipient, so a node that does not is behind, or ahead: nobody's mail bounces for that. Nor
/// for a misunderstanding between two releases of ours (RFC 3463 §3.2 X.1, §3.6 X.5).
pub(super) fn refusal(reply: Reply) -> Option<Refusal> {
    if reply.code().is_positive() {
        return None;
    }
    let Ok(refusal) = Refusal::try_from(reply) else { return Some(BROKEN) };
    if refusal.closes() {
        // It goes, and has not taken the message: as good as no answer.
        return Some(BROKEN);
    }
    let is_final = refusal.reply().code().is_permanent();
    let is_recipients_matter = refusal.reply().enhanced().is_some_and(|code| !matches!(code.subject(), 0 | 1 | 5));
    if is_final && !is_recipients_matter {
        let said: Vec<&str> = refusal.reply().lines().collect();
        tracing::warn!(reply = %refusal, "a node refuses what the directory knows");
        return Some(Refusal::TRY_LATER.with_text(said.join(" ")));
    }
    Some(refusal)
}

/// What a recipient that did not get the message is told.
pub(super) fn refusal_of(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Deferred(reply) | Outcome::Failed(reply) => refusal(reply).unwrap_or(BROKEN),
        // An acceptance that does not count: before the final dot, or of nobody's.
        Outcome::Accepted(_) | Outcome::Unsent | Outcome::Unknown => BROKEN,
    }
}

/// Why a message did not get to its final dot, where an event says so: what one who still waited was told, as all were.
pub(super) fn why_not(event: Event, waiting: usize) -> Option<Refusal> {
    match event {
        Event::Done(outcomes) => Some(outcomes.into_iter().nth(waiting).map_or(BROKEN, refusal_of)),
        Event::Closed(_) => Some(BROKEN),
        Event::Mail(_)
        | Event::Rcpt(..)
        | Event::GoAhead
        | Event::Ready
        | Event::StartTls
        | Event::TlsRefused(_)
        | Event::Challenge(_)
        | Event::Authenticated(_) => None,
    }
}

/// What this node would have to be told and cannot.
pub(super) fn unsendable(why: Unsendable) -> Refusal {
    match why {
        Unsendable::Size => Refusal::TOO_BIG,
        Unsendable::Recipients => Refusal::TOO_MANY_RECIPIENTS,
        Unsendable::Smtputf8 | Unsendable::EightBit | Unsendable::Relayed => {
            tracing::error!(?why, "what listens there is no node of ours");
            NOWHERE
        }
    }
}

/// A message that is no lines; the server that took it should have seen to that.
pub(super) fn not_lines(fault: LineFault) -> Refusal {
    match fault {
        LineFault::BareCr => Refusal::BARE_CR,
        LineFault::BareLf => Refusal::BARE_LF,
    }
}
