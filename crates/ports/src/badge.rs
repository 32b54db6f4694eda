//! A session as an operator sees it.

use mail_types::{Address, StoreName, UnixTime};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

/// What is spoken with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 2033.
    Lmtp,
    /// RFC 9051.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 5804.
    Sieve,
    /// RFC 6409.
    Submission,
}

/// Who somebody logged in as.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The account; shared with the session itself.
    pub account: Arc<Address>,
    /// The store that answers.
    pub store: StoreName,
}

/// What a session shows of itself, and how it is asked to leave. Roles write on it, operators read it; whoever registers
/// sessions makes it. An idle session is mostly this, so it is kept small.
#[derive(Debug)]
pub struct Badge {
    id: u64,
    since: UnixTime,
    client: SocketAddr,
    login: OnceLock<Holder>,
    leave: Mutex<Option<Waker>>,
    messages: AtomicU32,
    protocol: Protocol,
    tls: AtomicBool,
    busy: AtomicBool,
    leaving: AtomicBool,
}

impl Badge {
    /// For a session that begins; `id` is nobody else's in this process.
    pub fn new(id: u64, protocol: Protocol, client: SocketAddr, since: UnixTime) -> Self {
        Self {
            id,
            since,
            client,
            login: OnceLock::new(),
            leave: Mutex::new(None),
            messages: AtomicU32::new(0),
            protocol,
            tls: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
        }
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What is spoken.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The peer's address.
    pub fn client(&self) -> SocketAddr {
        self.client
    }

    /// Since when it is there.
    pub fn since(&self) -> UnixTime {
        self.since
    }

    /// Whether it is under TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.load(Ordering::Relaxed)
    }

    /// It is under TLS from now on.
    pub fn under_tls(&self) {
        self.tls.store(true, Ordering::Relaxed);
    }

    /// Who is logged in.
    pub fn login(&self) -> Option<&Holder> {
        self.login.get()
    }

    /// Somebody has logged in, which happens once.
    pub fn logged_in(&self, account: Arc<Address>, store: StoreName) {
        let _there_already = self.login.set(Holder { account, store });
    }

    /// How many messages it has brought.
    pub fn messages(&self) -> u32 {
        self.messages.load(Ordering::Relaxed)
    }

    /// It has brought a message, which was taken.
    pub fn brought_message(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    /// It is our turn: something is being answered.
    pub fn set_busy(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    /// It is the peer's turn.
    pub fn set_idle(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }

    /// Its state in a word.
    pub fn state(&self) -> &'static str {
        let (busy, is_stranger) = (self.busy.load(Ordering::Relaxed), self.login.get().is_none());
        match (self.is_leaving(), busy, self.protocol.has_login() && is_stranger) {
            (true, _, _) => "leaving",
            (false, _, true) => "login",
            (false, true, false) => "busy",
            (false, false, false) => "idle",
        }
    }

    /// Asks the session to leave.
    pub fn kick(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        if let Some(waker) = self.lock().take() {
            waker.wake();
        }
    }

    /// Whether it was asked to leave.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// Ready once the session was asked to leave. One task asks, that of the session.
    pub fn poll_leaving(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut leave = self.lock();
        // Under the lock: a kick after this look finds the waker.
        if self.is_leaving() {
            return Poll::Ready(());
        }
        match &mut *leave {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        // A waker that panicked has been taken out: what is left is whole.
        self.leave.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Smtp, Self::Lmtp, Self::Imap, Self::Pop3, Self::Sieve, Self::Submission];

    /// Its name in log lines and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Lmtp => "lmtp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Sieve => "sieve",
            Self::Submission => "submission",
        }
    }

    /// The protocol of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// Whether nothing goes on before a login.
    const fn has_login(self) -> bool {
        match self {
            Self::Smtp | Self::Lmtp => false,
            Self::Imap | Self::Pop3 | Self::Sieve | Self::Submission => true,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn badge(protocol: Protocol) -> Badge {
        Badge::new(7, protocol, "192.0.2.7:40000".parse().unwrap(), UnixTime::from_secs(1))
    }

    #[test]
    fn an_idle_session_costs_little() {
        assert!(size_of::<Badge>() <= 128, "{}", size_of::<Badge>());
    }

    #[test]
    fn the_state_in_a_word() {
        let imap = badge(Protocol::Imap);
        imap.set_busy();
        assert_eq!(imap.state(), "login");
        imap.logged_in(Arc::new(Address::parse("a@b.test").unwrap()), StoreName::parse("s").unwrap());
        assert_eq!(imap.state(), "busy");
        imap.set_idle();
        assert_eq!(imap.state(), "idle");
        imap.kick();
        assert_eq!(imap.state(), "leaving");
        assert_eq!(badge(Protocol::Smtp).state(), "idle", "who brings mail need not log in");
    }

    #[test]
    fn a_kick_wakes_who_waits_and_is_seen_by_who_comes_later() {
        let badge = badge(Protocol::Smtp);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        assert!(badge.poll_leaving(&mut cx).is_pending());
        badge.kick();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(badge.poll_leaving(&mut cx).is_ready());
        assert!(badge.poll_leaving(&mut cx).is_ready());
    }

    #[test]
    fn names_are_read_back() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::parse(protocol.name()), Some(protocol));
        }
        assert_eq!(Protocol::parse("IMAP"), Some(Protocol::Imap));
        assert_eq!(Protocol::parse("http"), None);
    }
}
