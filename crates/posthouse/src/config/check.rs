//! From what the files say to what the node does: defaults, and the mistakes that only the whole can show.

use super::forms::RawLoginForm;
use super::material::is_private;
use super::problem::Problems;
use super::raw::{
    RawBalancers, RawCertificate, RawClients, RawConfig, RawDirectory, RawEngine, RawLimits, RawNode, RawProxy,
    RawRelay, RawStore, RawTls, usual_socket,
};
use super::section::At;
use super::{
    Admin, Config, Directory, DirectoryEngine, Expiring, ExpiringKind, Journal, Limits, Log, LogFormat, Node, Proxy,
    Relay, Store, Tls,
};
use mail_types::StoreName;
use net::{CertificateFiles, ClientAuthority, Network, ServerTls};
use nix::errno::Errno;
use nix::unistd::{Group, User};
use proxy::LoginLimits;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Checks all of it; nothing when there is nothing to run with.
pub(super) fn config(mut raw: RawConfig, problems: &Problems) -> Option<Config> {
    let mut check = Check {
        problems,
        tls_is_offered: raw.tls.is_some(),
        addresses: Once::default(),
        folders: Once::default(),
        maps: Once::default(),
        backends: Once::default(),
        expiring: Vec::new(),
    };
    if raw.stores.is_empty() && raw.relay.is_none() && raw.proxy.is_none() {
        let idle = raw.whole.problem("the node has nothing to do");
        problems.add(idle.help("it needs a [relay], a [proxy] or a [[store]]").of_missing());
    }
    // Where the rest is put while `node.data` is wrong, so that its mistakes are told in the same go.
    let data = raw.node.data.as_ref().map_or_else(PathBuf::new, |at| at.value.clone());
    let node = node(raw.node, problems);
    let clients = raw.proxy.as_mut().map(|proxy| std::mem::take(&mut proxy.clients));
    let clients = clients.and_then(|clients| check.clients(&clients));
    let tls = raw.tls.and_then(|tls| check.tls(tls, clients));
    let names: Vec<_> = raw.stores.iter().filter_map(|store| store.name.clone()).collect();
    let directory = check.directory(raw.directory, &names, &data, &raw.whole);
    let has_stores = !raw.stores.is_empty();
    let mut stores_seen = Once::default();
    let stores = raw.stores.into_iter().filter_map(|store| check.store(store, &data, &mut stores_seen)).collect();
    let relay = raw.relay.map(|relay| check.relay(relay));
    let proxy = raw.proxy.map(|proxy| check.proxy(proxy));
    let cluster = raw.cluster.and_then(|cluster| cluster.check(&mut check, has_stores));
    if let (Some(at), None | Some(0)) = (&raw.limits.logins_per_second, raw.limits.logins_per_minute_per_address)
        && at.value > 0
    {
        let alone = at.problem("one client may use up the logins of everybody");
        problems.warn(alone.help("add logins_per_minute_per_address"));
    }
    let backends = raw.backends.into_iter().filter_map(|backend| backend.check(&mut check)).collect();
    let metrics = check.listeners(raw.admin.metrics);
    Some(Config {
        tls,
        directory,
        stores,
        relay,
        proxy,
        cluster,
        backends,
        log: Log {
            format: raw.log.format.unwrap_or(LogFormat::Logfmt),
            level: raw.log.level.map_or_else(|| "info".to_owned(), |at| at.value),
        },
        admin: Admin { socket: raw.admin.socket.map_or_else(|| usual_socket(&data), |at| at.value), metrics },
        limits: limits(raw.limits),
        node: node?,
        expiring: check.expiring,
        written: BTreeMap::new(),
        warnings: problems.take_warnings(),
    })
}

fn node(raw: RawNode, problems: &Problems) -> Option<Node> {
    if let (None, Some(group)) = (&raw.user, &raw.group) {
        problems.add(group.problem("names a group, but there is no user").help("add node.user"));
    }
    known_here(raw.user.as_ref(), "user", |name| User::from_name(name).map(|found| found.is_some()), problems);
    known_here(raw.group.as_ref(), "group", |name| Group::from_name(name).map(|found| found.is_some()), problems);
    Some(Node {
        name: raw.name?.value,
        hostname: raw.hostname?.value,
        data: raw.data?.value,
        stop_span: Duration::from_secs(u64::from(raw.stop_seconds.unwrap_or(30))),
        user: raw.user.map(|at| at.value),
        group: raw.group.map(|at| at.value),
    })
}

/// The file may be for another machine; this one could not start with it.
fn known_here(
    name: Option<&At<String>>,
    what: &str,
    look_up: impl Fn(&str) -> Result<bool, Errno>,
    problems: &Problems,
) {
    if let Some(at) = name.filter(|at| look_up(&at.value) == Ok(false)) {
        problems
            .warn(at.problem(format!("this machine knows no {what} {:?}: a node does not start with it", at.value)));
    }
}

fn limits(raw: RawLimits) -> Limits {
    let count = |number: Option<u32>, default| number.map_or(default, |number| number as usize);
    let connections = raw.connections.unwrap_or(10_000);
    Limits {
        connections: connections as usize,
        // A provider's translator of addresses or a campus behind one address is not an attack.
        connections_per_address: count(raw.connections_per_address, 100),
        logins: LoginLimits {
            // Whoever holds connections and says nothing leaves room for those who log in.
            strangers: raw.unauthenticated_connections.unwrap_or((connections / 4).max(1)),
            per_second: raw.logins_per_second.map_or(0, |at| at.value),
            per_host_and_minute: raw.logins_per_minute_per_address.unwrap_or(0),
            // A person with five devices, each with as many connections as clients open.
            sessions_per_account: raw.sessions_per_account.unwrap_or(100),
        },
        message_octets: raw.message_octets.unwrap_or(50_000_000),
        recipients: count(raw.recipients, 1_000),
    }
}

/// What is checked against each other, section after section.
pub(super) struct Check<'a> {
    pub(super) problems: &'a Problems,
    tls_is_offered: bool,
    addresses: Once<SocketAddr>,
    folders: Once<PathBuf>,
    maps: Once<PathBuf>,
    backends: Once<StoreName>,
    pub(super) expiring: Vec<Expiring>,
}

impl Check<'_> {
    fn tls(&mut self, raw: RawTls, clients: Option<ClientAuthority>) -> Option<Tls> {
        let first = self.certificate(&raw.first);
        // All of them, so that their mistakes are told in the same go.
        let others: Vec<_> = raw.others.iter().map(|raw| self.certificate(raw)).collect();
        for (raw, files) in raw.others.iter().zip(&others) {
            let nameless = files.as_ref().is_some_and(|files| files.names().is_ok_and(|names| names.is_empty()));
            if let (true, Some(at)) = (nameless, &raw.certificate) {
                self.problems.warn(at.problem("names no host, so no client is ever shown it"));
            }
        }
        let (first, others) = (first?, others.into_iter().collect::<Option<Vec<_>>>()?);
        let server = ServerTls::from_pem_files(&first, &others);
        let front = ServerTls::asking(&first, &others, clients.as_ref());
        match server.and_then(|server| Ok((server, front?))) {
            Ok((server, front)) => Some(Tls { first, others, clients, server, front }),
            // They were readable a moment ago.
            Err(error) => {
                self.problems.add(raw.first.certificate?.problem(error.to_string()));
                None
            }
        }
    }

    /// Who vouches for users.
    fn clients(&mut self, raw: &RawClients) -> Option<ClientAuthority> {
        let Some(authority) = &raw.authority else {
            if let Some(alone) = &raw.revocations {
                let alone = alone.problem("revokes certificates that nobody is asked for");
                self.problems.add(alone.help("add client_authority"));
            }
            return None;
        };
        if !self.tls_is_offered {
            let bare = authority.problem("vouches for users under TLS, but there is no certificate of ours");
            self.problems.add(bare.help("add [tls] with certificate and key"));
        }
        let clients = ClientAuthority {
            authority: authority.value.clone(),
            revocations: raw.revocations.as_ref().map(|at| at.value.clone()),
        };
        let Err(error) = clients.check() else {
            if let Some(lists) = &raw.revocations {
                self.expires(lists, ExpiringKind::Revocations);
            }
            return Some(clients);
        };
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        let of_revocations = raw.revocations.as_ref().filter(|at| error.path() == Some(&*at.value));
        self.problems.add(of_revocations.unwrap_or(authority).problem(format!("{error}{cause}")));
        None
    }

    /// A certificate that a server can show.
    fn certificate(&mut self, raw: &RawCertificate) -> Option<CertificateFiles> {
        let (certificate, key) = (raw.certificate.as_ref()?, raw.key.as_ref()?);
        let files = CertificateFiles { certificate: certificate.value.clone(), key: key.value.clone() };
        let Err(error) = ServerTls::from_pem_files(&files, &[]) else {
            self.expires(certificate, ExpiringKind::Certificate);
            is_private(key, self.problems);
            return Some(files);
        };
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        let place = if error.path() == Some(&key.value) { key } else { certificate };
        self.problems.add(place.problem(format!("{error}{cause}")));
        // The certificate is read first: its mistake must not hide that of the key.
        if error.path() != Some(&key.value)
            && let Err(error) = std::fs::read(&key.value)
        {
            self.problems.add(key.problem(format!("cannot read {}: {error}", key.value.display())));
        }
        None
    }

    fn directory(&mut self, raw: RawDirectory, stores: &[At<StoreName>], data: &Path, whole: &At<()>) -> Directory {
        let RawDirectory { engine, path, default_store, maps } = raw;
        if let Some(wanted) = &default_store {
            match engine {
                RawEngine::File => {
                    let twice = wanted.problem("is in the directory's file, if engine is \"file\"");
                    self.problems.add(twice.help("take it out; in the file it is a field of the record routing/site"));
                }
                // A node without stores may name one of another node, which the directory knows.
                RawEngine::Embedded if !stores.is_empty() => self.one_of(wanted, stores),
                RawEngine::Embedded => {}
            }
        }
        if let Some(at) = &path {
            self.kind_of_path(at, engine);
        }
        let engine = match engine {
            RawEngine::Embedded => {
                DirectoryEngine::Embedded { folder: self.folder(path, data.join("directory"), whole) }
            }
            // Without a path there is a mistake already.
            RawEngine::File => DirectoryEngine::File { path: path.map(|at| at.value).unwrap_or_default() },
        };
        let maps = maps.into_iter().filter_map(|map| map.check(self)).collect();
        Directory { engine, default_store: default_store.map(|at| at.value), maps }
    }

    /// A file is one map. It may be away now: a node starts without it.
    pub(super) fn map(&mut self, path: &At<PathBuf>) {
        let shown = path.value.display();
        match std::fs::metadata(&path.value) {
            Ok(found) if !found.is_file() => self.problems.add(path.problem(format!("{shown} is no file"))),
            Ok(_) => self.maps.note(path, shown, self.problems),
            Err(error) => {
                let away =
                    path.problem(format!("cannot read {shown} ({error}): all mail would wait until it is there"));
                self.problems.warn(away);
                self.maps.note(path, shown, self.problems);
            }
        }
    }

    /// A back-end is told of once.
    pub(super) fn backend(&mut self, store: &At<StoreName>) {
        self.backends.note(store, &store.value, self.problems);
    }

    fn one_of(&self, wanted: &At<StoreName>, stores: &[At<StoreName>]) {
        if stores.iter().any(|name| name.value == wanted.value) {
            return;
        }
        let names: Vec<&str> = stores.iter().map(|name| name.value.as_str()).collect();
        let unknown = wanted.problem(format!("there is no [[store]] named {}", wanted.value));
        self.problems.add(unknown.help(format!("there is: {}", names.join(", "))));
    }

    /// An embedded directory has a folder, which is made when it is missing; a file must be there.
    fn kind_of_path(&self, at: &At<PathBuf>, engine: RawEngine) {
        let shown = at.value.display();
        match (engine, std::fs::metadata(&at.value)) {
            (RawEngine::Embedded, Ok(found)) if !found.is_dir() => {
                let file = at.problem(format!("{shown} is a file, not a folder"));
                self.problems.add(file.help("a node that reads its directory from a file has engine = \"file\""));
            }
            (RawEngine::File, Ok(found)) if !found.is_file() => {
                let folder = at.problem(format!("{shown} is no file"));
                self.problems
                    .add(folder.help("`posthouse export directory` makes one; a folder is for engine = \"embedded\""));
            }
            (RawEngine::File, Err(error)) => {
                let missing = at.problem(format!("cannot read {shown}: {error}"));
                self.problems.add(missing.help("`posthouse export directory` makes one"));
            }
            (RawEngine::Embedded | RawEngine::File, _) => {}
        }
    }

    fn store(&mut self, raw: RawStore, data: &Path, seen: &mut Once<StoreName>) -> Option<Store> {
        for listener in raw.lmtp.iter().filter(|at| !at.value.ip().is_loopback()) {
            let open =
                listener.problem(format!("{} is not on loopback: LMTP trusts whoever speaks it", listener.value));
            self.problems.add(open.help("use 127.0.0.1 or [::1]"));
        }
        let lmtp = self.listeners(raw.lmtp);
        let name = raw.name?;
        seen.note(&name, &name.value, self.problems);
        let path = self.folder(raw.path, data.join("stores").join(name.value.as_str()), &raw.whole);
        let journal = Journal {
            path: self.folder(raw.journal.path, path.join("journal"), &raw.whole),
            keep_days: raw.journal.keep_days.unwrap_or(7),
            // A multiple of the sectors that the journal writes.
            segment_octets: raw.journal.segment_octets.unwrap_or(64 << 20).next_multiple_of(4096),
        };
        Some(Store { name: name.value, path, shards: raw.shards.unwrap_or(4), lmtp, journal })
    }

    fn relay(&mut self, raw: RawRelay) -> Relay {
        self.lmtp_peers(&raw.lmtp, &raw.lmtp_from);
        Relay {
            listen: self.listeners(raw.listen),
            lmtp: self.listeners(raw.lmtp),
            lmtp_from: raw.lmtp_from.iter().map(|at| at.value).collect(),
            clients: raw.clients,
            trusted: raw.trusted.iter().map(|at| at.value).collect(),
            queue: raw.queue.map(|at| {
                self.folders.note(&at, at.value.display(), self.problems);
                at.value
            }),
            commit_wait: Duration::from_secs(u64::from(raw.commit_wait_seconds.unwrap_or(20))),
            proxy_from: self.balancers(&raw.balancers),
        }
    }

    /// LMTP knows no password: beyond loopback it must be said who is trusted, and a list without such a listener is a
    /// slip.
    fn lmtp_peers(&self, lmtp: &[At<SocketAddr>], from: &[At<Network>]) {
        let open = lmtp.iter().find(|at| !at.value.ip().is_loopback());
        match (open, from.first()) {
            (Some(at), None) => {
                let open = at.problem(format!("{} is not on loopback, and lmtp_from names nobody to trust", at.value));
                self.problems.add(open.help("add lmtp_from with the addresses of your mail servers, or use 127.0.0.1"));
            }
            (None, Some(first)) => {
                let idle = first.problem("names peers, but no lmtp listener is beyond loopback");
                self.problems.add(idle.help("add lmtp with an address of this machine that they can reach"));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn proxy(&mut self, raw: RawProxy) -> Proxy {
        let behind_balancer = raw.balancers.proxy_protocol.as_ref().is_some_and(|at| at.value);
        if let (Some(idle), Some(_)) = (&raw.oauth, &raw.auth_http) {
            self.problems
                .warn(idle.at().problem("no token is taken beside proxy.auth_http, which decides by passwords"));
        }
        Proxy {
            proxy_from: self.balancers(&raw.balancers),
            imap: self.listeners(raw.imap),
            imaps: self.tls_listeners(raw.imaps),
            pop3: self.listeners(raw.pop3),
            pop3s: self.tls_listeners(raw.pop3s),
            submission: self.listeners(raw.submission),
            submissions: self.tls_listeners(raw.submissions),
            submission_extensions: raw.submission_extensions,
            sieve: self.listeners(raw.sieve),
            sieves: self.tls_listeners(raw.sieves),
            oauth: raw.oauth.and_then(|raw| raw.check(self.problems)),
            auth_http: raw.auth_http.and_then(|raw| raw.check(self.problems)),
            login_forms: RawLoginForm::check(raw.login_forms, self.problems),
            clear_from: raw.clear_from.iter().map(|at| at.value).collect(),
            scram: raw.scram.unwrap_or_default(),
            // A balancer may end TLS; whether it does we cannot see.
            scram_plus: raw.scram_plus.map_or(!behind_balancer, |at| at.value),
            login_cache: raw.login_cache_seconds.filter(|span| *span > 0).map(|span| Duration::from_secs(span.into())),
        }
    }

    /// Whose PROXY headers are believed: a header from anybody would let anybody be whoever they like, and a list without
    /// headers is a slip.
    fn balancers(&mut self, raw: &RawBalancers) -> Option<Arc<[Network]>> {
        let required = raw.proxy_protocol.as_ref().is_some_and(|at| at.value);
        match (&raw.proxy_protocol, raw.proxy_from.first()) {
            (Some(at), None) if required => {
                let open = at.problem("requires a header of every client, but proxy_from names nobody to believe");
                self.problems.add(open.help("add proxy_from with the addresses of the balancers"));
            }
            (_, Some(first)) if !required => {
                let idle = first.problem("names balancers, but proxy_protocol is not true");
                self.problems
                    .add(idle.help("add proxy_protocol = true: each connection must then begin with a header"));
            }
            _ => {}
        }
        required.then(|| raw.proxy_from.iter().map(|at| at.value).collect())
    }

    fn tls_listeners(&mut self, raw: Vec<At<SocketAddr>>) -> Vec<SocketAddr> {
        if !self.tls_is_offered
            && let Some(first) = raw.first()
        {
            let bare = first.problem("begins with TLS, but there is no certificate");
            self.problems.add(bare.help("add [tls] with certificate and key"));
        }
        self.listeners(raw)
    }

    pub(super) fn listeners(&mut self, raw: Vec<At<SocketAddr>>) -> Vec<SocketAddr> {
        let addresses = raw.into_iter().map(|at| {
            // Port 0 takes a free port, so two of them never meet.
            if at.value.port() != 0 {
                self.addresses.note(&at, at.value, self.problems);
            }
            at.value
        });
        addresses.collect()
    }

    /// A folder that belongs to one thing only.
    fn folder(&mut self, written: Option<At<PathBuf>>, default: PathBuf, owner: &At<()>) -> PathBuf {
        let at = written.unwrap_or_else(|| owner.with(default));
        self.folders.note(&at, at.value.display(), self.problems);
        at.value
    }
}

/// What may be used once, and by whom it is.
struct Once<T>(BTreeMap<T, At<()>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Ord + Clone> Once<T> {
    fn note(&mut self, at: &At<T>, shown: impl Display, problems: &Problems) {
        match self.0.get(&at.value) {
            Some(first) => {
                let (line, _) = first.place.line_and_column();
                let file = first.place.source.path.display();
                problems.add(at.problem(format!("{shown} is taken by {} ({file}:{line})", first.key)));
            }
            None => {
                self.0.insert(at.value.clone(), at.with(()));
            }
        }
    }
}
