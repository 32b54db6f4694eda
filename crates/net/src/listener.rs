//! Listening, and who may come in.

use crate::network::Network;
use crate::proxy_header::{self, Origin, ProxyError};
use crate::shutdown::Shutdown;
use crate::stream::Stream;
use crate::tls::{HandshakeError, ServerTls};
use bytes::Bytes;
use ports::{Peer, host_of};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the operating system says.
    #[source]
    pub source: io::Error,
}

/// How connections to a listener begin.
#[derive(Clone, Debug)]
pub enum Security {
    /// In plain text; a session may turn to TLS by itself.
    Plain,
    /// With TLS (RFC 8314 §3.3).
    Tls(ServerTls),
}

/// What a listener is told.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// Its name in log lines.
    pub name: String,
    /// How connections begin.
    pub security: Security,
    /// How many may be open at a time.
    pub connections_max: usize,
    /// How many of them may come from one address.
    pub connections_per_address_max: usize,
    /// The balancers whose connections, and no others, come here, each beginning with a PROXY header: it says who the
    /// client is.
    pub proxy_from: Option<Arc<[Network]>>,
    /// What those beyond hear, as whole lines (`421 4.3.2 …`, `* BYE …`); not said where a connection begins with TLS.
    pub refusal: Bytes,
}

/// A socket that has its address; nobody can connect to it yet.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    address: SocketAddr,
}

/// A socket that others connect to.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local: SocketAddr,
    options: ListenerOptions,
    seats: Arc<Seats>,
}

/// A running listener, for who watches or changes it.
#[derive(Clone, Debug)]
pub struct ListenerHandle(Arc<Seats>);

impl Bound {
    /// Takes an address; port 0 takes a free port.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let socket = bound(address).map_err(|source| BindError { address, source })?;
        Ok(Self { socket, address })
    }

    /// From now on connections are taken into the backlog. Runs inside a runtime.
    pub fn listen(self) -> Result<TcpListener, BindError> {
        let Self { socket, address } = self;
        let listening = socket.listen(BACKLOG).and_then(|()| TcpListener::from_std(socket.into()));
        listening.map_err(|source| BindError { address, source })
    }
}

impl Listener {
    /// Listens; port 0 takes a free one, see [`Listener::local_address`].
    pub fn bind(address: SocketAddr, options: ListenerOptions) -> Result<Self, BindError> {
        Self::on(Bound::bind(address)?, options)
    }

    /// Listens where somebody else has bound.
    pub fn on(bound: Bound, options: ListenerOptions) -> Result<Self, BindError> {
        let address = bound.address;
        let failed = |source| BindError { address, source };
        let socket = bound.listen()?;
        let local = socket.local_addr().map_err(failed)?;
        let seats = Seats::new(&options);
        Ok(Self { socket, local, options, seats })
    }

    /// What it is called in log lines.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// To watch it and to change its limits.
    pub fn handle(&self) -> ListenerHandle {
        ListenerHandle(Arc::clone(&self.seats))
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Accepts connections and runs `session` for each in a task of its own, until the program stops: returns when
    /// the last session has ended, or has been cut.
    pub async fn run<F>(self, shutdown: Shutdown, session: impl Fn(Stream, Peer) -> F + Clone + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { socket, local, options, seats } = self;
        let options = Arc::new(options);
        let mut sessions = JoinSet::new();
        let mut exhausted = false;
        let mut draining = pin!(shutdown.draining());
        loop {
            let accepted = tokio::select! {
                () = &mut draining => break,
                Some(ended) = sessions.join_next() => {
                    report(&options.name, ended);
                    continue;
                }
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((connection, address)) => {
                    exhausted = false;
                    if !may_connect(address, &options) {
                        continue;
                    }
                    // Behind a balancer the client's address is not known yet.
                    let client = options.proxy_from.is_none().then(|| address.ip());
                    match seats.take(client) {
                        Some(seat) => {
                            let guest = Guest { connection, address, local, seat };
                            sessions.spawn(guest.attend(Arc::clone(&options), session.clone()));
                        }
                        None => seats.refuse(connection, address, &options),
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Out of descriptors or memory: the connection stays in the backlog, and accept would fail again at
                    // once. Wait for a session to give some back, or a moment.
                    if !std::mem::replace(&mut exhausted, true) {
                        tracing::error!(listener = options.name, %error, "cannot accept connections for now");
                    }
                    tokio::select! {
                        () = &mut draining => break,
                        Some(ended) = sessions.join_next() => report(&options.name, ended),
                        () = tokio::time::sleep(EXHAUSTED_SPAN) => {}
                    }
                }
            }
        }
        // Closed first, so that new clients are refused at once and find another node.
        drop(socket);
        drain(sessions, &options.name, &shutdown).await;
    }
}

impl ListenerHandle {
    /// From now on so many connections may be open at a time, and so many of them come from one address. Those that are
    /// there stay.
    pub fn set_limits(&self, connections_max: usize, per_address_max: usize) {
        self.0.connections_max.store(connections_max, Ordering::Relaxed);
        self.0.per_address_max.store(per_address_max, Ordering::Relaxed);
    }

    /// How many connections became sessions.
    pub fn accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// How many were one too many.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// How many did not agree on the TLS that they should have begun with.
    pub fn without_tls(&self) -> u64 {
        self.0.without_tls.load(Ordering::Relaxed)
    }
}

async fn drain(mut sessions: JoinSet<()>, name: &str, shutdown: &Shutdown) {
    loop {
        tokio::select! {
            ended = sessions.join_next() => match ended {
                Some(ended) => report(name, ended),
                None => return,
            },
            () = shutdown.cut() => return sessions.shutdown().await,
        }
    }
}

/// A connection that found a seat.
struct Guest {
    connection: TcpStream,
    address: SocketAddr,
    local: SocketAddr,
    seat: Seat,
}

impl Guest {
    /// Not an `async fn`: that would have room for all that it is given as long as the session lasts.
    fn attend<F>(self, options: Arc<ListenerOptions>, session: impl Fn(Stream, Peer) -> F) -> impl Future<Output = ()>
    where
        F: Future<Output = ()>,
    {
        // In a box, which goes with it: the session has no room for its beginning while it lasts.
        let beginning = Box::pin(self.begin(options, session));
        async move {
            let Some((session, seat)) = beginning.await else { return };
            session.await;
            drop(seat);
        }
    }

    /// All that comes before the session; nothing where it does not come to one.
    async fn begin<F>(self, options: Arc<ListenerOptions>, session: impl Fn(Stream, Peer) -> F) -> Option<(F, Seat)> {
        let Self { connection, address, local, seat } = self.introduced(&options).await?;
        let plain = Stream::plain(connection);
        let (stream, tls) = match &options.security {
            Security::Plain => (plain, false),
            Security::Tls(tls) => match plain.accept_tls(tls).await {
                Ok(stream) => (stream, true),
                Err(error) => {
                    seat.seats.without_tls.fetch_add(1, Ordering::Relaxed);
                    seat.seats.tell_of_no_tls(&error, tls, address, &options);
                    return None;
                }
            },
        };
        seat.seats.accepted.fetch_add(1, Ordering::Relaxed);
        Some((session(stream, Peer { address, local, tls }), seat))
    }

    /// With the addresses that hold from here on: those of the PROXY header, where one is expected.
    async fn introduced(mut self, options: &ListenerOptions) -> Option<Self> {
        if self.local.ip().is_unspecified() {
            self.local = self.connection.local_addr().unwrap_or(self.local);
        }
        if options.proxy_from.is_none() {
            return Some(self);
        }
        // In a box, which goes with it: the session has no room for it.
        match Box::pin(proxy_header::read(&mut self.connection)).await {
            Ok(Origin::Socket) => Some(self),
            Ok(Origin::Forwarded { client, server }) => {
                (self.address, self.local) = (client, server);
                if self.seat.is_for(client.ip()) {
                    return Some(self);
                }
                self.seat.seats.refuse(self.connection, client, options);
                None
            }
            // So do health checks that only look whether somebody listens.
            Err(error @ ProxyError::Broken(_)) => {
                tracing::debug!(listener = options.name, peer = %self.address, %error, "closed: it went away");
                None
            }
            Err(error @ (ProxyError::Header(_) | ProxyError::TooSlow)) => {
                tracing::warn!(listener = options.name, peer = %self.address, %error, "closed: not a balancer's connection");
                None
            }
        }
    }
}

/// Whether somebody may connect at all: behind a balancer nobody but the balancer, whose headers we believe.
fn may_connect(address: SocketAddr, options: &ListenerOptions) -> bool {
    let Some(balancers) = &options.proxy_from else { return true };
    let known = balancers.iter().any(|network| network.contains(address.ip()));
    if !known {
        tracing::warn!(listener = options.name, peer = %address, "closed: not among those who may connect here");
    }
    known
}

/// Options of every connection, ours and others'.
pub(crate) fn tune<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    let socket = socket.into();
    // A reply waits for nothing: Nagle's algorithm and delayed acknowledgements together cost 40 ms each.
    socket.set_tcp_nodelay(true)?;
    // A client that vanished without a word is found in about 10 minutes (RFC 1122 §4.2.3.6 lets us ask).
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for the connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two addresses, whatever this machine's default.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // Every connection that is accepted from it has them too, and costs no call for each.
    tune(&socket)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Whether accept failed for one connection that had gone before we looked, or whose network had (accept(2) on Linux).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | HostUnreachable
            | PermissionDenied
    )
}

/// Says why, and goes. Whether the line arrives is not waited for.
fn turn_away(connection: TcpStream, options: &ListenerOptions) {
    if let (Security::Plain, Ok(mut socket)) = (&options.security, connection.into_std()) {
        let _whether_it_arrives = socket.write(&options.refusal);
    }
}

fn report(name: &str, ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(listener = name, %error, "a session ended by a bug of ours");
    }
}

/// Who is connected.
#[derive(Debug)]
struct Seats {
    taken: Mutex<Taken>,
    connections_max: AtomicUsize,
    per_address_max: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
    without_tls: AtomicU64,
    /// When a stranger at a door for nodes was last told of, and when that there are too many.
    stranger_told: Seldom,
    refusal_told: Seldom,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// When something was last told of: who comes again and again shall not fill the log.
#[derive(Debug, Default)]
struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Once in [`TOLD_EVERY`].
    fn may_tell(&self, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = told.is_none_or(|told| now.saturating_duration_since(told) >= TOLD_EVERY);
        if may {
            *told = Some(now);
        }
        may
    }
}

/// A place among the connections; given back when dropped.
#[derive(Debug)]
struct Seat {
    seats: Arc<Seats>,
    /// Not known while a PROXY header is awaited; of a balancer's own connections never.
    address: Option<IpAddr>,
}

impl Seats {
    fn new(options: &ListenerOptions) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::default(),
            connections_max: AtomicUsize::new(options.connections_max),
            per_address_max: AtomicUsize::new(options.connections_per_address_max),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            without_tls: AtomicU64::new(0),
            stranger_told: Seldom::default(),
            refusal_told: Seldom::default(),
        })
    }

    fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Seat> {
        {
            let mut taken = self.lock();
            if taken.count >= self.connections_max.load(Ordering::Relaxed) {
                return None;
            }
            taken.count += 1;
        }
        let mut seat = Seat { seats: Arc::clone(self), address: None };
        address.is_none_or(|address| seat.is_for(address)).then_some(seat)
    }

    fn refuse(&self, connection: TcpStream, address: SocketAddr, options: &ListenerOptions) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        if self.refusal_told.may_tell(Instant::now()) {
            tracing::warn!(listener = options.name, peer = %address, refused, "refused: too many connections, for a minute told only here");
        } else {
            tracing::debug!(listener = options.name, peer = %address, "refused: too many connections");
        }
        turn_away(connection, options);
    }

    /// At a door for everybody it is the caller's matter, at one for nodes an operator's.
    fn tell_of_no_tls(&self, error: &HandshakeError, tls: &ServerTls, peer: SocketAddr, options: &ListenerOptions) {
        let is_stranger = tls.is_of_cluster() && error.is_about_trust();
        if let (false, Some(why)) = (tls.is_of_cluster(), error.refused_certificate()) {
            tracing::info!(listener = options.name, %peer, why, "a client's certificate is refused");
            return;
        }
        let error = error as &dyn std::error::Error;
        if is_stranger && self.stranger_told.may_tell(Instant::now()) {
            let why = "a caller and this node do not prove to each other that they are of one cluster: both must have the \
                       same cluster.secret, or the same authority";
            tracing::warn!(listener = options.name, %peer, error, "{why}");
        } else {
            tracing::debug!(%peer, error, "no TLS");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing that panics runs under this lock.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Says who sits there, which can be known once; whether that address may have one more.
    fn is_for(&mut self, address: IpAddr) -> bool {
        let address = host_of(address);
        let mut taken = self.seats.lock();
        let of_address = taken.by_address.get(&address).copied().unwrap_or(0);
        if self.address.is_some() || of_address >= self.seats.per_address_max.load(Ordering::Relaxed) {
            return false;
        }
        taken.by_address.insert(address, of_address + 1);
        self.address = Some(address);
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.count -= 1;
        let Some(address) = self.address else { return };
        if let Some(of_address) = taken.by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long accepting rests when the machine has no more descriptors.
const EXHAUSTED_SPAN: Duration = Duration::from_millis(200);
/// After that much silence the peer's system is asked whether it is there.
const KEEPALIVE_TIME: Duration = Duration::from_secs(300);
/// How often it is asked again.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How often the same is worth a line in the log.
const TOLD_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_again_and_again_is_told_of_once_a_minute() {
        let (seldom, now) = (Seldom::default(), Instant::now());
        assert!(seldom.may_tell(now));
        assert!(!seldom.may_tell(now + Duration::from_secs(59)));
        assert!(seldom.may_tell(now + Duration::from_secs(60)));
        assert!(!seldom.may_tell(now + Duration::from_secs(61)));
    }

    #[tokio::test]
    async fn who_is_accepted_has_the_options_of_the_socket() {
        let listening =
            Bound::bind("127.0.0.1:0".parse().expect("an address")).expect("a port").listen().expect("free");
        let calling = TcpStream::connect(listening.local_addr().expect("its address"));
        let (_caller, accepted) = tokio::join!(calling, listening.accept());
        let (connection, _) = accepted.expect("a connection");
        let socket = SockRef::from(&connection);
        assert!(socket.tcp_nodelay().expect("an option") && socket.keepalive().expect("an option"));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), KEEPALIVE_TIME);
        assert_eq!(socket.tcp_keepalive_interval().expect("an option"), KEEPALIVE_INTERVAL);
    }

    #[test]
    fn a_host_of_ipv6_is_one_with_all_its_addresses() {
        let options = ListenerOptions {
            name: "imap".to_owned(),
            security: Security::Plain,
            connections_max: 10,
            connections_per_address_max: 1,
            proxy_from: None,
            refusal: Bytes::new(),
        };
        let seats = Seats::new(&options);
        let take = |address: &str| seats.take(Some(address.parse().expect("an address")));
        let first = take("2001:db8:0:1::1").expect("nobody sits there");
        assert!(take("2001:db8:0:1:ffff::2").is_none(), "the same /64");
        let others = [take("2001:db8:0:2::1"), take("192.0.2.1"), take("::ffff:192.0.2.2")];
        assert!(others.iter().all(Option::is_some));
        assert!(take("192.0.2.2").is_none(), "the same by another name");
        drop(first);
        assert!(take("2001:db8:0:1:ffff::2").is_some());
    }
}
