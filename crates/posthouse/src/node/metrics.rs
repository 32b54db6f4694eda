//! What a node tells of itself to a monitor, read from the roles' own counters when it is asked.
//!
//! ```text
//!   Register, relay::Counts, proxy::LoginCounts, store::Counts, listeners ─▶ Meters::page ─▶ text.rs
//!                                          http.rs: GET /metrics ──┘  └── the admin socket
//! ```
//! docs/operating/metrics.md says what each name means.

mod http;
mod text;

pub(super) use http::{listen, serve};

use super::Node;
use super::backends::Backends;
use super::listeners::Listeners;
use super::maps::MapStates;
use super::routing::Routes;
use super::sessions::Register;
use crate::config::Config;
use admin::{Enough, ListenerFacts, Sessions};
use backend::{HostReport, HostState};
use mail_types::UnixTime;
use net::ListenerHandle;
use ports::{Clock, Protocol, Spawn};
use proxy::{LoginCounts, LoginOutcome};
use relay::{Outcome, RetryQueue};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{COMMIT_SPANS, Store};
use text::{Kind, Page};
use tokio::sync::watch;

/// All that is read at a scrape.
pub(super) struct Meters {
    node: String,
    started: i64,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    routes: Routes,
    sessions: Arc<Register>,
    logins: Arc<LoginCounts>,
    relay: Option<Arc<relay::Counts>>,
    listeners: Vec<(ListenerFacts, ListenerHandle)>,
    stores: Vec<(Arc<Store>, PathBuf)>,
    queue: Option<Arc<RetryQueue>>,
    maps: MapStates,
    backends: Backends,
    settings: watch::Receiver<Arc<Config>>,
}

/// What the operating system says of this process, and the disks of the journals.
#[derive(Default)]
struct Outside {
    resident_octets: Option<u64>,
    open_files: Option<usize>,
    journals: Vec<u64>,
    /// Since when the oldest message of the queue waits.
    oldest: Option<UnixTime>,
}

impl Meters {
    pub(super) fn of(node: &Node, listeners: &Listeners) -> Arc<Self> {
        let config = &node.config;
        let journals = config.stores.iter().map(|store| store.journal.path.clone());
        Arc::new(Self {
            node: config.node.name.to_string(),
            started: node.system.clock.now().secs(),
            clock: Arc::clone(&node.system.clock),
            spawn: Arc::clone(&node.system.spawn),
            routes: node.routes.clone(),
            sessions: Arc::clone(&node.sessions),
            logins: Arc::clone(&node.logins),
            relay: config.relay.as_ref().map(|_| Arc::clone(&node.relay_counts)),
            listeners: listeners.all(),
            stores: node.local.iter().cloned().zip(journals).collect(),
            queue: node.queue.clone(),
            maps: node.map_states.clone(),
            backends: node.backends.clone(),
            settings: node.settings.subscribe(),
        })
    }

    /// Everything, in the text format of Prometheus.
    pub(super) async fn page(&self) -> String {
        let outside = self.outside().await;
        let mut page = Page::default();
        self.process(&mut page, &outside);
        self.sessions(&mut page);
        self.back_ends(&mut page);
        self.relay(&mut page);
        self.queue(&mut page, &outside);
        self.stores(&mut page, &outside);
        self.directory(&mut page);
        self.expiry(&mut page);
        page.into_text()
    }

    /// Reads files, on the pool; nothing where it stops.
    async fn outside(&self) -> Outside {
        let folders: Vec<PathBuf> = self.stores.iter().map(|(_, folder)| folder.clone()).collect();
        let queue = self.queue.clone();
        let asked = ports::blocking(&*self.spawn, move || Outside {
            resident_octets: resident_octets(),
            open_files: std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
            journals: folders.iter().map(|folder| octets_in(folder, FOLDER_DEPTH_MAX)).collect(),
            oldest: queue.and_then(|queue| queue.oldest()),
        });
        asked.await.unwrap_or_default()
    }

    fn process(&self, page: &mut Page, outside: &Outside) {
        let version = env!("CARGO_PKG_VERSION");
        let mut info = page.family("posthouse_info", Kind::Gauge, "Always 1; says which node and version this is.");
        info.sample(&[("node", &self.node), ("version", version)], 1);
        let mut start = page.family("process_start_time_seconds", Kind::Gauge, "When it was started, since 1970.");
        start.sample(&[], self.started);
        if let Some(octets) = outside.resident_octets {
            let mut memory = page.family("process_resident_memory_bytes", Kind::Gauge, "Memory that it has.");
            memory.sample(&[], octets);
        }
        if let Some(count) = outside.open_files {
            page.family("process_open_fds", Kind::Gauge, "Files and sockets that it has open.").sample(&[], count);
        }
    }

    fn sessions(&self, page: &mut Page) {
        let help = "Connections by listener: accepted, refused because there were too many, or without the TLS due.";
        let mut connections = page.family("posthouse_connections_total", Kind::Counter, help);
        for (ListenerFacts { name, address, .. }, counts) in &self.listeners {
            for (outcome, count) in
                [("accepted", counts.accepted()), ("refused", counts.refused()), ("no-tls", counts.without_tls())]
            {
                connections.sample(&[("listener", name), ("address", address), ("outcome", outcome)], count);
            }
        }
        let mut present = [0_u64; Protocol::ALL.len()];
        self.sessions.each(0, &mut |badge| {
            if let Some(count) = present.get_mut(badge.protocol() as usize) {
                *count += 1;
            }
            Enough::No
        });
        let mut now = page.family("posthouse_sessions", Kind::Gauge, "Sessions that are there, by protocol.");
        for (protocol, count) in Protocol::ALL.into_iter().zip(present) {
            now.sample(&[("protocol", protocol.name())], count);
        }
        let mut begun = page.family("posthouse_sessions_total", Kind::Counter, "Sessions begun, by protocol.");
        for protocol in Protocol::ALL {
            begun.sample(&[("protocol", protocol.name())], self.sessions.begun(protocol));
        }
        let mut logins = page.family("posthouse_logins_total", Kind::Counter, "Logins by protocol and outcome.");
        for protocol in [Protocol::Imap, Protocol::Pop3, Protocol::Sieve, Protocol::Submission] {
            for outcome in LoginOutcome::ALL {
                let labels = [("protocol", protocol.name()), ("outcome", outcome.name())];
                logins.sample(&labels, self.logins.count(protocol, outcome));
            }
        }
    }

    fn back_ends(&self, page: &mut Page) {
        let help = "Logins at back-ends by protocol and outcome.";
        let mut logins = page.family("posthouse_backend_logins_total", Kind::Counter, help);
        for (store, protocol, outcome, count) in self.backends.visits.logins() {
            let labels = [("store", store.as_str()), ("protocol", protocol.name()), ("outcome", outcome.name())];
            logins.sample(&labels, count);
        }
        let hosts = self.backends.hosts();
        let help = "Calls of a back-end's host that came to nothing.";
        let mut failures = page.family("posthouse_backend_failures_total", Kind::Counter, help);
        for HostReport { store, protocol, host, failures: count, .. } in &hosts {
            failures
                .sample(&[("store", store.as_str()), ("protocol", protocol.name()), ("host", host.as_str())], count);
        }
        let help = "1 if a back-end's host answered when it was last called, 0 if it did not; no sample before.";
        let mut up = page.family("posthouse_backend_up", Kind::Gauge, help);
        for HostReport { store, protocol, host, state, .. } in &hosts {
            let labels = [("store", store.as_str()), ("protocol", protocol.name()), ("host", host.as_str())];
            match state {
                HostState::Up => up.sample(&labels, 1),
                HostState::LeftAlone => up.sample(&labels, 0),
                HostState::Unknown => {}
            }
        }
    }

    fn relay(&self, page: &mut Page) {
        let Some(relay) = &self.relay else { return };
        let mut messages = page.family("posthouse_relay_messages_total", Kind::Counter, "Messages by outcome.");
        for outcome in Outcome::ALL {
            messages.sample(&[("outcome", outcome.name())], relay.messages(outcome).0);
        }
        let mut octets = page.family("posthouse_relay_message_bytes_total", Kind::Counter, "Their octets by outcome.");
        for outcome in Outcome::ALL {
            octets.sample(&[("outcome", outcome.name())], relay.messages(outcome).1);
        }
        let help = "Recipients by what they were answered.";
        let mut recipients = page.family("posthouse_relay_recipients_total", Kind::Counter, help);
        for (name, outcome) in
            [("accepted", Outcome::Stored), ("deferred", Outcome::Deferred), ("refused", Outcome::Refused)]
        {
            recipients.sample(&[("outcome", name)], relay.recipients(outcome));
        }
    }

    fn queue(&self, page: &mut Page, outside: &Outside) {
        let Some(queue) = &self.queue else { return };
        page.family("posthouse_queue_messages", Kind::Gauge, "Messages that wait for a store.")
            .sample(&[], queue.entry_count());
        page.family("posthouse_queue_recipients", Kind::Gauge, "Recipients that wait for a store.")
            .sample(&[], queue.waiting_count());
        let age = outside.oldest.map_or(0, |since| self.clock.now().since(since).as_secs());
        page.family("posthouse_queue_oldest_age_seconds", Kind::Gauge, "How long the oldest of them waits; else 0.")
            .sample(&[], age);
    }

    fn stores(&self, page: &mut Page, outside: &Outside) {
        let named: Vec<_> = self.stores.iter().map(|(store, _)| (store.name().as_str(), store.counts())).collect();
        let help = "Recipients that messages were delivered to, by outcome.";
        let mut deliveries = page.family("posthouse_store_deliveries_total", Kind::Counter, help);
        for (name, counts) in &named {
            let seen = counts.deliveries();
            for (outcome, count) in [("stored", seen.stored), ("repeated", seen.repeated), ("refused", seen.refused)] {
                deliveries.sample(&[("store", name), ("outcome", outcome)], count);
            }
        }
        let commits: Vec<_> = named.iter().map(|(name, counts)| (*name, counts.commits())).collect();
        let help = "Groups of records made durable, each by one fdatasync.";
        let mut groups = page.family("posthouse_store_commit_groups_total", Kind::Counter, help);
        commits.iter().for_each(|(name, commits)| groups.sample(&[("store", name)], commits.groups));
        let mut records =
            page.family("posthouse_store_commit_records_total", Kind::Counter, "Records in these groups.");
        commits.iter().for_each(|(name, commits)| records.sample(&[("store", name)], commits.records));
        let help = "From the append of a group's first record until the group was durable and visible.";
        let mut spans = page.family("posthouse_store_commit_seconds", Kind::Histogram, help);
        for (name, commits) in &commits {
            spans.histogram(&[("store", name)], &COMMIT_SPANS, &commits.within, commits.groups, commits.waited);
        }
        let mut octets = page.family("posthouse_store_journal_bytes", Kind::Gauge, "Space that the journal takes.");
        for ((name, _), taken) in commits.iter().zip(&outside.journals) {
            octets.sample(&[("store", name)], taken);
        }
    }

    fn directory(&self, page: &mut Page) {
        let stale = self.routes.silent_since().map_or(0, |since| self.clock.now().since(since).as_secs());
        let help = "For how long the directory has not answered; 0 while it does.";
        page.family("posthouse_directory_stale_seconds", Kind::Gauge, help).sample(&[], stale);
        let help = "The revision of the directory that this node routes by.";
        let revision = self.routes.now().revision().map_or(0, |revision| revision.number());
        page.family("posthouse_directory_revision", Kind::Gauge, help).sample(&[], revision);
        self.maps(page);
    }

    /// Of a file that two keys name there is one sample.
    fn expiry(&self, page: &mut Page) {
        let config = self.settings.borrow().clone();
        let files: BTreeMap<_, _> = config.expiring.iter().map(|file| ((file.kind, &file.path), file.until)).collect();
        let help =
            "Until when certificates, and lists of revoked ones, are valid that were read from files, since 1970.";
        let mut until = page.family("posthouse_tls_expiry_time_seconds", Kind::Gauge, help);
        for ((kind, path), time) in files {
            until.sample(&[("kind", kind.name()), ("file", &path.to_string_lossy())], time.secs());
        }
    }

    fn maps(&self, page: &mut Page) {
        let maps = self.maps.now();
        let help = "Entries in service of a map that is read live; without a sample while it was never read.";
        let mut entries = page.family("posthouse_map_entries", Kind::Gauge, help);
        for map in &maps {
            if let Some(count) = map.entries {
                entries.sample(&[("map", &map.path)], count);
            }
        }
        let help = "1 while the file of a map is not the one in service: it is away or has bad lines.";
        let mut trouble = page.family("posthouse_map_trouble", Kind::Gauge, help);
        for map in &maps {
            trouble.sample(&[("map", &map.path)], u8::from(map.trouble.is_some()));
        }
    }
}

/// VmRSS of proc(5), which is in kB of 1024 octets.
fn resident_octets() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The space that files in a folder take. One that vanishes meanwhile takes none.
fn octets_in(folder: &Path, depth: usize) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let octets = entries.flatten().map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() && depth > 0 => octets_in(&entry.path(), depth - 1),
        Ok(about) => about.blocks() * BLOCK_OCTETS,
        Err(_) => 0,
    });
    octets.sum()
}

/// Of stat(2).
const BLOCK_OCTETS: u64 = 512;
/// A journal's segments are in a folder below its own.
const FOLDER_DEPTH_MAX: usize = 2;
