//! Who may come in, and how much he may ask for: the limits of client networks, at the relay's door.

use crate::clients::{Asks, ClientLimits, Clients, Network, Verdict};
use ports::Clock;
use smtp_proto::Refusal;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Counts the client networks of a relay.
pub struct Gate {
    clients: Mutex<Clients>,
    clock: Arc<dyn Clock>,
    opened: Instant,
}

/// A connection that was let in, counted until it is dropped.
pub struct Guest {
    gate: Arc<Gate>,
    network: Network,
    address: IpAddr,
}

impl Gate {
    /// With these limits.
    pub fn new(limits: ClientLimits, clock: Arc<dyn Clock>) -> Arc<Self> {
        let opened = clock.instant();
        Arc::new(Self { clients: Mutex::new(Clients::new(limits)), clock, opened })
    }

    /// A connection from that address; `Err` stands in the place of the greeting.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Guest, Refusal> {
        let (network, verdict) = {
            let now = self.now();
            let mut clients = self.clients.lock().expect(LOCK);
            let network = clients.network(address);
            (network, clients.connect(now, network))
        };
        told(verdict, address, "connections", TOO_MANY_CONNECTIONS)?;
        Ok(Guest { gate: Arc::clone(self), network, address })
    }

    fn now(&self) -> std::time::Duration {
        self.clock.instant().saturating_duration_since(self.opened)
    }
}

impl Guest {
    /// MAIL.
    pub(crate) fn message(&self) -> Result<(), Refusal> {
        told(self.ask(Asks::Message), self.address, "messages", TOO_FAST)
    }

    /// RCPT, before anybody looks who it is: who guesses names learns nothing any more.
    pub(crate) fn recipient(&self) -> Result<(), Refusal> {
        let may_guess = {
            let now = self.gate.now();
            self.gate.clients.lock().expect(LOCK).may_ask(now, self.network, Asks::RefusedRecipient)
        };
        told(may_guess, self.address, "refused recipients", TOO_MANY_UNKNOWN)?;
        told(self.ask(Asks::Recipient), self.address, "recipients", TOO_FAST)
    }

    /// RCPT was answered by this.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        let reply = refusal.reply();
        // RFC 3463 §3.3, X.2: the matter of a mailbox that is there.
        let is_there = reply.enhanced().is_some_and(|code| code.subject() == 2);
        if !reply.code().is_transient() && !is_there {
            self.ask(Asks::RefusedRecipient);
        }
    }

    fn ask(&self, what: Asks) -> Verdict {
        let now = self.gate.now();
        self.gate.clients.lock().expect(LOCK).ask(now, self.network, what)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.gate.clients.lock().expect(LOCK).disconnect(self.network);
    }
}

/// Says so in the log once a minute: who asks too much shall not fill the disk with it.
fn told(verdict: Verdict, client: IpAddr, of: &str, refusal: Refusal) -> Result<(), Refusal> {
    match verdict {
        Verdict::Within => return Ok(()),
        Verdict::Over { is_news: true } => {
            tracing::warn!(%client, reply = %refusal, "too many {of} from a network, for a minute told only here");
        }
        Verdict::Over { is_news: false } => tracing::debug!(%client, reply = %refusal, "too many {of} from a network"),
    }
    Err(refusal)
}

const LOCK: &str = "nobody panics while holding the lock of the gate";
/// RFC 5321 §3.1, §7.8; RFC 3463 §3.8, X.7.0.
const TOO_MANY_CONNECTIONS: Refusal =
    Refusal::of(421, (4, 7, 0), "Too many connections from your network, try again later");
/// Ends the connection: each further guess costs another.
const TOO_MANY_UNKNOWN: Refusal =
    Refusal::of(421, (4, 7, 0), "Too many unknown recipients from your network, try again later");
/// RFC 3463 §3.8, X.7.1.
const TOO_FAST: Refusal = Refusal::of(450, (4, 7, 1), "Too much mail from your network in a minute, try again later");
