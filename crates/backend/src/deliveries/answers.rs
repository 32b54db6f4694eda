//! What a host's answers mean for who sent the message.

use super::hosts::Kind;
use mail_types::EnhancedCode;
use ports::SHOWN_TEXT_OCTETS_MAX;
use smtp_proto::client::{Event, Outcome, Unsendable};
use smtp_proto::{LineFault, Refusal, Reply};

/// RFC 3463 §3.5, X.4.1 (no answer from host): the message can wait in the queue.
pub(super) const SILENT: Refusal = Refusal::of(451, (4, 4, 1), "The store does not answer, try again later");
/// RFC 3463 §3.5, X.4.2 (bad connection): likewise. Behind the final dot nobody knows what came of it; a repeated delivery
/// has the same id, which a node knows and a back-end of another make does not (RFC 1047).
pub(super) const BROKEN: Refusal = Refusal::of(451, (4, 4, 2), "The connection to the store broke, try again later");
/// The directory is wrong about the store, or newer than we are.
pub(super) const NOWHERE: Refusal = Refusal::of(451, (4, 3, 0), "The store cannot be reached, try again later");
/// RFC 6531 §3.5.
const NO_SMTPUTF8: Refusal =
    Refusal::of(553, (5, 6, 7), "An address of this message needs SMTPUTF8, which its store does not have");

/// What an answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// MAIL or RCPT: before the message, so that it is about the recipient, or about us.
    Envelope,
    /// The message.
    Text,
}

impl Kind {
    /// The refusal that an answer is; nothing where it is a yes.
    pub(super) fn refusal(self, reply: Reply, to: To) -> Option<Refusal> {
        if reply.code().is_positive() {
            return None;
        }
        let Ok(refusal) = Refusal::try_from(reply) else { return Some(BROKEN) };
        if refusal.closes() {
            // It goes, and has not taken the message: as good as no answer.
            return Some(BROKEN);
        }
        Some(match self {
            Self::Node => of_node(refusal),
            Self::BackEnd(_) => of_back_end(&refusal, to),
        })
    }

    /// What a recipient that did not get the message is told.
    pub(super) fn refusal_of(self, outcome: Outcome) -> Refusal {
        match outcome {
            Outcome::Deferred(reply) | Outcome::Failed(reply) => self.refusal(reply, To::Text).unwrap_or(BROKEN),
            // An acceptance that does not count: before the final dot, or of nobody's.
            Outcome::Accepted(_) | Outcome::Unsent | Outcome::Unknown => BROKEN,
        }
    }

    /// Why a message did not get to its final dot, where an event says so: what one who still waited was told, as all were.
    pub(super) fn why_not(self, event: Event, waiting: usize) -> Option<Refusal> {
        match event {
            Event::Done(outcomes) => {
                Some(outcomes.into_iter().nth(waiting).map_or(BROKEN, |outcome| self.refusal_of(outcome)))
            }
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

    /// What this host would have to be told and cannot.
    pub(super) fn unsendable(self, why: Unsendable) -> Refusal {
        match (why, self) {
            (Unsendable::Size, _) => Refusal::TOO_BIG,
            (Unsendable::Recipients, _) => Refusal::TOO_MANY_RECIPIENTS,
            (Unsendable::Smtputf8, Self::BackEnd(_)) => NO_SMTPUTF8,
            (Unsendable::Smtputf8 | Unsendable::EightBit | Unsendable::Relayed, _) => {
                tracing::error!(?why, "what listens there is no node of ours");
                NOWHERE
            }
        }
    }
}

/// The relay's directory knows the recipient, so a node that does not is behind, or ahead: nobody's mail bounces for that. Nor
/// for a misunderstanding between two releases of ours (RFC 3463 §3.2 X.1, §3.6 X.5).
fn of_node(refusal: Refusal) -> Refusal {
    let is_final = refusal.reply().code().is_permanent();
    let is_recipients_matter = refusal.reply().enhanced().is_some_and(|code| !matches!(code.subject(), 0 | 1 | 5));
    if is_final && !is_recipients_matter {
        let said: Vec<&str> = refusal.reply().lines().collect();
        tracing::warn!(reply = %refusal, "a node refuses what the directory knows");
        return Refusal::TRY_LATER.with_text(said.join(" "));
    }
    refusal
}

/// A back-end of another make knows its users: what it says of them is passed on, in words that are safe to say to a stranger.
/// What it does not understand in *us*, or does not allow us, is no matter of theirs, and no reason to bounce their mail.
fn of_back_end(refusal: &Refusal, to: To) -> Refusal {
    let (code, enhanced) = (refusal.reply().code(), refusal.reply().enhanced());
    let text = spoken(refusal.reply());
    if code.is_permanent() && (is_misunderstood(refusal.reply()) || to == To::Envelope && is_unwelcome(refusal.reply()))
    {
        tracing::warn!(reply = %refusal, "a back-end refuses us, not the mail: the mail is put off");
        return Refusal::TRY_LATER.with_text(text);
    }
    let enhanced = match enhanced {
        // These two say that nobody has answered (relay: is_unanswered), and this one has.
        Some(enhanced) if NOBODY_ANSWERED.contains(&enhanced) => EnhancedCode::new(4, 4, 0),
        Some(enhanced) => enhanced,
        // RFC 3463 §3.1: other undefined status.
        None => EnhancedCode::new(if code.is_permanent() { 5 } else { 4 }, 0, 0),
    };
    Refusal::try_from(Reply::new(code, Some(enhanced), text)).unwrap_or(Refusal::TRY_LATER)
}

fn is_misunderstood(reply: &Reply) -> bool {
    match reply.enhanced() {
        Some(enhanced) => enhanced.subject() == 5 || reply.code().number() == MUST_DO_SOMETHING_FIRST,
        None => MISUNDERSTANDINGS.contains(&reply.code().number()),
    }
}

/// At MAIL or RCPT the only client that a back-end sees is the relay: what it has against clients by their address, or by their
/// senders' (SPF, block lists, "relay access denied"), it has against all mail (RFC 3463 §3.8, X.7). Words about an address or a
/// mailbox (X.1, X.2), and the codes for them, are the recipient's.
fn is_unwelcome(reply: &Reply) -> bool {
    let code = reply.code().number();
    match reply.enhanced().map(EnhancedCode::subject) {
        Some(7) => true,
        Some(1 | 2) => false,
        Some(_) => code == TRANSACTION_FAILED,
        None => !ABOUT_MAILBOXES.contains(&code),
    }
}

/// In one line of ASCII, as long as can be read.
fn spoken(reply: &Reply) -> String {
    let readable = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    let text = reply.lines().collect::<Vec<_>>().join(" ");
    let text: String = text.trim().chars().map(readable).take(SHOWN_TEXT_OCTETS_MAX).collect();
    if text.is_empty() { "Refused by the store of this address".to_owned() } else { text }
}

/// A message that is no lines; the server that took it should have seen to that.
pub(super) fn not_lines(fault: LineFault) -> Refusal {
    match fault {
        LineFault::BareCr => Refusal::BARE_CR,
        LineFault::BareLf => Refusal::BARE_LF,
    }
}

/// RFC 3463 §3.5.
const NOBODY_ANSWERED: [EnhancedCode; 2] = [EnhancedCode::new(4, 4, 1), EnhancedCode::new(4, 4, 2)];
/// RFC 3207 §4, RFC 4954 §6: STARTTLS, or a login.
const MUST_DO_SOMETHING_FIRST: u16 = 530;
/// RFC 5321 §4.2.2: syntax, unknown commands and parameters, bad sequences; RFC 3207 §4: no TLS.
const MISUNDERSTANDINGS: [u16; 7] = [500, 501, 502, 503, 504, MUST_DO_SOMETHING_FIRST, 555];
/// RFC 5321 §4.2.3; at the connection's beginning, and of many servers later, too: "no SMTP service here".
const TRANSACTION_FAILED: u16 = 554;
/// RFC 5321 §4.2.3: unavailable, not local, over quota, not allowed as a name.
const ABOUT_MAILBOXES: [u16; 4] = [550, 551, 552, 553];
