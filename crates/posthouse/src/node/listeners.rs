//! The sockets of a node, and which role answers on each.

use super::adjustable::{Adjustable, clear_logins};
use super::auth_http::HttpOrigin;
use super::door::Door;
use super::inside::Inside;
use super::oauth;
use super::polite::{Leave, Polite};
use super::recipients::StoreRecipients;
use super::scram;
use super::sessions::Visit;
use super::sockets::Sockets;
use super::{Node, NodeError, System};
use crate::config::Config;
use admin::ListenerFacts;
use bytes::Bytes;
use net::{Listener, ListenerHandle, ListenerOptions, Network, Security, ServerTls, SessionError, Shutdown, serve};
use ports::{BoxFuture, Peer, Protocol};
use proxy::{
    Authenticator, DirectoryAccounts, LoginForms, LoginOrigin, Pop3Config, Proxy, SieveConfig, StartTls,
    SubmissionConfig, Verified,
};
use relay::{Gate, Relay, RelaySession};
use smtp_proto::server as smtp;
use smtp_proto::{Dialect, Refusal};
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use store::{Lmtp, Store};
use tokio::task::JoinSet;

/// The bound sockets.
#[derive(Default)]
pub(super) struct Listeners {
    smtp: Vec<Listener>,
    relay_lmtp: Vec<Listener>,
    imap: Vec<Listener>,
    pop3: Vec<Listener>,
    submission: Vec<Listener>,
    sieve: Vec<Listener>,
    lmtp: Vec<(Listener, Arc<Store>)>,
    /// For other nodes.
    inside: Inside,
}

impl Listeners {
    /// Listens where the configuration says.
    pub(super) fn open(node: &Node, sockets: &mut Sockets) -> Result<Self, NodeError> {
        let per_address_max = node.config.limits.connections_per_address;
        let mut binder = Binder { node, sockets, tls: front(node), proxy_from: None, per_address_max };
        let mut bound = Self::default();
        if let Some(relay) = &node.config.relay {
            binder.proxy_from.clone_from(&relay.proxy_from);
            bound.smtp = binder.plain("smtp", &relay.listen, BUSY_SMTP)?;
            // A mail server of ours comes with many connections from one address, and without a header.
            binder.proxy_from = None;
            binder.per_address_max = node.config.limits.connections;
            bound.relay_lmtp = binder.plain("lmtp", &relay.lmtp, BUSY_SMTP)?;
            binder.per_address_max = per_address_max;
        }
        if let Some(proxy) = &node.config.proxy {
            binder.proxy_from.clone_from(&proxy.proxy_from);
            bound.imap = binder.both(("imap", &proxy.imap), ("imaps", &proxy.imaps), BUSY_IMAP)?;
            bound.pop3 = binder.both(("pop3", &proxy.pop3), ("pop3s", &proxy.pop3s), BUSY_POP3)?;
            let (plain, secure) = (("submission", &proxy.submission[..]), ("submissions", &proxy.submissions[..]));
            bound.submission = binder.both(plain, secure, BUSY_SMTP)?;
            bound.sieve = binder.both(("sieve", &proxy.sieve), ("sieves", &proxy.sieves), BUSY_SIEVE)?;
        }
        binder.proxy_from = None;
        for (config, store) in node.config.stores.iter().zip(&node.local) {
            let sockets = binder.plain("lmtp", &config.lmtp, BUSY_SMTP)?;
            bound.lmtp.extend(sockets.into_iter().map(|socket| (socket, Arc::clone(store))));
        }
        if let Some(cluster) = &node.config.cluster {
            // A node calls for many clients, and says for which.
            binder.proxy_from = Some(Arc::clone(&cluster.from));
            binder.per_address_max = node.config.limits.connections;
            bound.inside = Inside::open(&mut binder, cluster)?;
        }
        Ok(bound)
    }

    /// All of them: what they are and where, and their handles.
    pub(super) fn all(&self) -> Vec<(ListenerFacts, ListenerHandle)> {
        let fronts = self
            .smtp
            .iter()
            .chain(&self.relay_lmtp)
            .chain(&self.imap)
            .chain(&self.pop3)
            .chain(&self.submission)
            .chain(&self.sieve)
            .chain(self.inside.all())
            .map(|listener| (listener, None));
        let stores = self.lmtp.iter().map(|(listener, store)| (listener, Some(store.name().to_string())));
        let facts = |(listener, store): (&Listener, Option<String>)| {
            let (name, address) = (listener.name().to_owned(), listener.local_address().to_string());
            (ListenerFacts { name, address, store }, listener.handle())
        };
        fronts.chain(stores).map(facts).collect()
    }

    /// The handles of those whose clients are counted by their address.
    pub(super) fn counted(&self) -> Vec<ListenerHandle> {
        let fronts = self.smtp.iter().chain(&self.imap).chain(&self.pop3).chain(&self.submission).chain(&self.sieve);
        fronts.chain(self.lmtp.iter().map(|(listener, _)| listener)).map(Listener::handle).collect()
    }

    /// The handles of those to which mail servers and nodes of ours come, with many connections each.
    pub(super) fn trusting(&self) -> Vec<ListenerHandle> {
        self.relay_lmtp.iter().chain(self.inside.all()).map(Listener::handle).collect()
    }

    /// Serves until the shutdown; completes when the last session has ended.
    pub(super) fn run(mut self, node: &Node, shutdown: &Shutdown) -> impl Future<Output = ()> + use<> {
        let mut running = JoinSet::new();
        let tls = node.config.tls.as_ref().map(|tls| tls.server.clone());
        let clock = Arc::clone(&node.system.clock);

        let relay = Arc::new(relay(node));
        let adjustable = Adjustable::of(node, &self, Arc::clone(&relay));
        if node.queue.is_some() {
            let (relay, ending) = (relay.clone(), shutdown.clone());
            running.spawn(async move {
                // An attempt that is cut is made again after the start.
                tokio::select! {
                    () = relay.retry() => {}
                    () = ending.draining() => {}
                }
            });
        }
        let doors = node.config.relay.iter().flat_map(|config| {
            let gate = Gate::new(config.clients.clone(), clock.clone());
            let smtp = Door { dialect: Dialect::Smtp, trusted: config.trusted.clone(), gate: gate.clone() };
            let lmtp = Door { dialect: Dialect::Lmtp, trusted: config.lmtp_from.clone(), gate };
            [(smtp, std::mem::take(&mut self.smtp)), (lmtp, std::mem::take(&mut self.relay_lmtp))]
        });
        for (door, listeners) in doors {
            for listener in listeners {
                let (relay, config, tls, clock) =
                    (relay.clone(), adjustable.relay(door.dialect), tls.clone(), clock.clone());
                let (ending, door, sessions) = (shutdown.clone(), door.clone(), node.sessions.clone());
                running.spawn(listener.run(shutdown.clone(), move |stream, peer| {
                    let visit = sessions.enter(door.protocol(), &peer);
                    let session = RelaySession::new(relay.clone(), peer).with_badge(visit.badge().clone());
                    let (config, now) = (config.now(), clock.instant());
                    let (machine, session) = match door.admit(&peer) {
                        Ok(None) => (smtp::Server::new(config, security(&peer), now), session),
                        Ok(Some(guest)) => (smtp::Server::new(config, security(&peer), now), session.counted(guest)),
                        Err(refusal) => (smtp::Server::refused(config, &refusal, now), session),
                    };
                    let session = Polite::new(session, visit.badge(), &ending, leave_smtp);
                    report(visit, Box::pin(serve(stream, machine, session, tls.clone())))
                }));
            }
        }

        for (listener, store) in self.lmtp.drain(..) {
            let (own, routes) = (node.config.node.name.clone(), node.routes.clone());
            let recipients = Arc::new(StoreRecipients { store: store.name().clone(), own, routes });
            let (config, clock, ending) = (adjustable.lmtp.clone(), clock.clone(), shutdown.clone());
            let sessions = node.sessions.clone();
            running.spawn(listener.run(shutdown.clone(), move |stream, peer| {
                let visit = sessions.enter(Protocol::Lmtp, &peer);
                let machine = smtp::Server::new(config.now(), security(&peer), clock.instant());
                let session = Lmtp::new(store.clone(), recipients.clone(), peer).with_badge(visit.badge().clone());
                let session = Polite::new(session, visit.badge(), &ending, leave_smtp);
                report(visit, Box::pin(serve(stream, machine, session, None)))
            }));
        }
        self.run_proxy(node, &adjustable, shutdown, &mut running);
        let (settings, ending) = (node.settings.subscribe(), shutdown.clone());
        running.spawn(async move {
            tokio::select! {
                () = adjustable.follow(settings) => {}
                () = ending.draining() => {}
            }
        });
        async move { while running.join_next().await.is_some() {} }
    }
}

impl Listeners {
    fn run_proxy(self, node: &Node, adjustable: &Adjustable, shutdown: &Shutdown, running: &mut JoinSet<()>) {
        let tls = front(node);
        let starttls = if tls.is_some() { StartTls::Offered } else { StartTls::NotOffered };
        let accounts = DirectoryAccounts::new(Arc::clone(node.routes.live()), Arc::clone(&node.engine));
        let System { clock, spawn, .. } = &node.system;
        let mut authenticator = Authenticator::new(Arc::new(accounts), Arc::clone(clock), Arc::clone(spawn))
            .with_turnstile(Arc::clone(&node.turnstile))
            .with_origin(origin(node))
            .with_tokens(oauth::of(node, shutdown))
            .with_verified(verified(node))
            .with_forms(forms(&node.config));
        if let Some(scram) = scram::of(node) {
            node.cover.keep(node, shutdown.clone());
            authenticator = authenticator.with_scram(scram);
        }
        let proxy = Proxy {
            authenticator: Arc::new(authenticator.with_counts(Arc::clone(&node.logins)).hashing_at_once(cores())),
            handover: Arc::clone(&node.backends.handover),
            back_ends: node.backends.visits.clone(),
            clock: Arc::clone(clock),
        };
        self.inside.run(node, adjustable, &proxy, shutdown, running);
        for listener in self.imap {
            let (proxy, config, tls) = (proxy.clone(), adjustable.imap.clone(), tls.clone());
            let (ending, sessions) = (shutdown.clone(), node.sessions.clone());
            running.spawn(listener.run(shutdown.clone(), move |stream, peer| {
                let visit = sessions.enter(Protocol::Imap, &peer);
                let (machine, front) = proxy.imap_over(&config.now(), peer, stream.tls_facts());
                let session = front.with_badge(visit.badge().clone());
                let session = Polite::new(session, visit.badge(), &ending, leave_imap);
                report(visit, Box::pin(serve(stream, machine, session, tls.clone())))
            }));
        }
        for listener in self.submission {
            let config = Arc::new(submission_config(&node.config, starttls));
            let (proxy, tls) = (proxy.clone(), tls.clone());
            let (ending, sessions) = (shutdown.clone(), node.sessions.clone());
            running.spawn(listener.run(shutdown.clone(), move |stream, peer| {
                let visit = sessions.enter(Protocol::Submission, &peer);
                let (machine, front) = proxy.submission(&config, peer, stream.tls_facts());
                let session = front.with_badge(visit.badge().clone());
                let session = Polite::new(session, visit.badge(), &ending, leave_smtp);
                report(visit, Box::pin(serve(stream, machine, session, tls.clone())))
            }));
        }
        let pop3_config = Arc::new(Pop3Config::new(starttls, clear_logins(&node.config)));
        for listener in self.pop3 {
            let (proxy, config, tls) = (proxy.clone(), pop3_config.clone(), tls.clone());
            let (ending, sessions) = (shutdown.clone(), node.sessions.clone());
            running.spawn(listener.run(shutdown.clone(), move |stream, peer| {
                let visit = sessions.enter(Protocol::Pop3, &peer);
                let (machine, front) = proxy.pop3_over(&config, peer, stream.tls_facts());
                let session = front.with_badge(visit.badge().clone());
                let session = Polite::new(session, visit.badge(), &ending, leave_pop3);
                report(visit, Box::pin(serve(stream, machine, session, tls.clone())))
            }));
        }
        let sieve_config = Arc::new(SieveConfig::new(starttls, clear_logins(&node.config)));
        for listener in self.sieve {
            let (proxy, config, tls) = (proxy.clone(), sieve_config.clone(), tls.clone());
            let (ending, sessions) = (shutdown.clone(), node.sessions.clone());
            running.spawn(listener.run(shutdown.clone(), move |stream, peer| {
                let visit = sessions.enter(Protocol::Sieve, &peer);
                let (proxy, config, tls) = (proxy.clone(), config.clone(), tls.clone());
                let (ending, badge) = (ending.clone(), visit.badge().clone());
                let session = async move {
                    // What it greets with may have to be asked for.
                    let (machine, front) = proxy.sieve(&config, peer, stream.tls_facts()).await;
                    let session = Polite::new(front.with_badge(badge.clone()), &badge, &ending, leave_sieve);
                    serve(stream, machine, session, tls).await
                };
                report(visit, Box::pin(session))
            }));
        }
    }
}

/// What users are shown, and asked for.
fn front(node: &Node) -> Option<ServerTls> {
    node.config.tls.as_ref().map(|tls| tls.front.clone())
}

/// The memory of passwords that were found right, where the site wants one.
fn verified(node: &Node) -> Option<Verified> {
    let span = node.config.proxy.as_ref()?.login_cache?;
    let mut key = vec![0; 32];
    node.system.random.fill(&mut key);
    Some(Verified::new(sasl::Secret::new(key), span))
}

fn submission_config(config: &Config, starttls: StartTls) -> SubmissionConfig {
    let promised = config.proxy.as_ref().and_then(|proxy| proxy.submission_extensions.clone());
    SubmissionConfig::new(config.node.hostname.clone(), promised, starttls, clear_logins(config))
}

/// Who is asked about names that the directory does not know.
fn origin(node: &Node) -> Option<Arc<dyn LoginOrigin>> {
    let told = node.config.proxy.as_ref()?.auth_http.clone()?;
    Some(Arc::new(HttpOrigin::new(told, node.routes.clone(), Arc::clone(&node.system.clock))))
}

/// What names mean, here and at back-ends.
pub(super) fn forms(config: &Config) -> LoginForms {
    let domains = config.proxy.iter().flat_map(|proxy| &proxy.login_forms);
    let forms =
        domains.fold(LoginForms::default(), |forms, (local, domain)| forms.with_domain_at(*local, domain.clone()));
    let bare = config.backends.iter().filter_map(|backend| Some((&backend.store, backend.local_part_of.as_ref()?)));
    bare.fold(forms, |forms, (store, domain)| forms.with_bare_names(store.clone(), domain.clone()))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Makes listeners with what all of them share.
pub(super) struct Binder<'a> {
    node: &'a Node,
    sockets: &'a mut Sockets,
    /// Of those that begin with it: users' all of them, but for nodes' own.
    tls: Option<ServerTls>,
    /// The balancers that clients come through, if they do.
    proxy_from: Option<Arc<[Network]>>,
    per_address_max: usize,
}

impl Binder<'_> {
    /// Sockets on which a conversation begins in clear.
    fn plain(
        &mut self,
        name: &str,
        addresses: &[SocketAddr],
        refusal: &'static str,
    ) -> Result<Vec<Listener>, NodeError> {
        addresses.iter().map(|address| self.bind(name, *address, Security::Plain, refusal)).collect()
    }

    /// Sockets of a protocol, in clear and with TLS from the first octet.
    fn both(
        &mut self,
        (plain, in_clear): (&str, &[SocketAddr]),
        (secure, under_tls): (&str, &[SocketAddr]),
        refusal: &'static str,
    ) -> Result<Vec<Listener>, NodeError> {
        let mut bound = self.plain(plain, in_clear, refusal)?;
        // The configuration does not let such a listener be without a certificate.
        if let Some(tls) = self.tls.clone() {
            for address in under_tls {
                bound.push(self.bind(secure, *address, Security::Tls(tls.clone()), refusal)?);
            }
        }
        Ok(bound)
    }

    /// Sockets with this TLS from the first octet.
    pub(super) fn secure(
        &mut self,
        name: &str,
        addresses: &[SocketAddr],
        tls: &ServerTls,
        refusal: &'static str,
    ) -> Result<Vec<Listener>, NodeError> {
        addresses.iter().map(|address| self.bind(name, *address, Security::Tls(tls.clone()), refusal)).collect()
    }

    fn bind(
        &mut self,
        name: &str,
        address: SocketAddr,
        security: Security,
        refusal: &'static str,
    ) -> Result<Listener, NodeError> {
        let limits = &self.node.config.limits;
        let options = ListenerOptions {
            name: name.to_owned(),
            security,
            connections_max: limits.connections,
            connections_per_address_max: self.per_address_max,
            proxy_from: self.proxy_from.clone(),
            refusal: Bytes::from_static(refusal.as_bytes()),
        };
        Ok(Listener::on(self.sockets.take(address)?, options)?)
    }
}

fn relay(node: &Node) -> Relay {
    let routes = node.routes.clone();
    let (clock, random) = (Arc::clone(&node.system.clock), Arc::clone(&node.system.random));
    let mut relay = Relay::new(Arc::clone(&node.backends.delivery), move || Some(routes.now()), clock, random);
    relay = relay.with_counts(Arc::clone(&node.relay_counts));
    if let Some(config) = &node.config.relay {
        relay = relay.with_commit_wait(config.commit_wait);
    }
    match &node.queue {
        Some(queue) => relay.with_queue(Arc::clone(queue), Arc::clone(&node.backends.queue_delivery)),
        None => relay,
    }
}

/// RFC 5321 §3.8.
pub(super) fn leave_smtp<Receipt>(machine: &mut smtp::Server<Receipt>, why: Leave) {
    machine.shut_down(&match why {
        Leave::Stop => Refusal::SHUTTING_DOWN,
        Leave::Kick => KICKED,
    });
}

/// RFC 9051 §7.1.5.
pub(super) fn leave_imap(machine: &mut imap_proto::server::Server, why: Leave) {
    machine.bye(imap_proto::Reply::ok(match why {
        Leave::Stop => "The server is shutting down",
        Leave::Kick => "An operator ends this session",
    }));
}

/// RFC 1939 knows no farewell: marks of a session that ends without QUIT are forgotten (§6).
pub(super) fn leave_pop3(machine: &mut pop3_proto::Server, _why: Leave) {
    machine.abort();
}

/// RFC 5804 §1.2.
fn leave_sieve(machine: &mut managesieve_proto::Server, why: Leave) {
    machine.bye(&match why {
        Leave::Stop => managesieve_proto::Refusal::SHUTTING_DOWN,
        Leave::Kick => managesieve_proto::Refusal::new(None, "An operator ends this session"),
    });
}

fn security(peer: &Peer) -> smtp_proto::Security {
    if peer.tls { smtp_proto::Security::Tls } else { smtp_proto::Security::Plain }
}

/// Runs a session; how it ended is worth a line only where it was not the peer's right.
///
/// It comes boxed: each function that waits for a future which it was given holds room for it twice, and this one is what
/// an idle connection costs.
pub(super) async fn report(visit: Visit, session: BoxFuture<'static, Result<(), SessionError>>) {
    let badge = visit.badge().clone();
    let ended = visit.attend(session).await;
    let (protocol, client) = (badge.protocol(), badge.client());
    match ended {
        Some(Ok(())) => {
            let account = badge.login().map(|holder| tracing::field::display(&holder.account));
            tracing::debug!(%protocol, %client, account, "session ended");
        }
        Some(Err(error)) => {
            if let SessionError::Handshake(failed) = &error
                && let Some(why) = failed.refused_certificate()
            {
                tracing::info!(%protocol, %client, why, "a client's certificate is refused");
            }
            tracing::debug!(%protocol, %client, error = &error as &dyn std::error::Error, "session broken");
        }
        None => tracing::info!(%protocol, %client, "a session that did not leave when asked to was cut"),
    }
}

pub(super) const BUSY_IMAP: &str = "* BYE Too many connections\r\n";
/// RFC 5804 §1.3: later it may go.
const BUSY_SIEVE: &str = "BYE (TRYLATER) \"Too many connections\"\r\n";
pub(super) const BUSY_POP3: &str = "-ERR [SYS/TEMP] Too many connections\r\n";
pub(super) const BUSY_SMTP: &str = "421 4.3.2 Too many connections, try again later\r\n";
/// RFC 3463 §3.4, X.3.2: not accepting network messages now; what was not answered may be sent again.
const KICKED: Refusal = Refusal::of(421, (4, 3, 2), "An operator ends this session");
