//! What of a configuration changes without a restart.

use super::{Config, Limits, Log, Node, Relay, Tls};

impl Config {
    /// The keys under which `new` says something else: those that follow at once, and those that wait for a restart.
    pub(crate) fn changed_keys(&self, new: &Self) -> (Vec<String>, Vec<String>) {
        let all = self.written.keys().chain(new.written.keys().filter(|key| !self.written.contains_key(*key)));
        let changed = all.filter(|key| self.written.get(*key) != new.written.get(*key)).cloned();
        changed.partition(|key| self.can_change(key, new))
    }

    /// This configuration, with what follows at once taken from `new`. Whoever is told of a change is told of nothing else.
    pub(crate) fn with_live_of(&self, new: &Self) -> Self {
        let Limits { connections, connections_per_address, logins, message_octets, recipients } = new.limits;
        let stop_span = new.node.stop_span;
        let commit_wait = new.relay.as_ref().map(|relay| relay.commit_wait);
        let relay =
            self.relay.clone().map(|relay| Relay { commit_wait: commit_wait.unwrap_or(relay.commit_wait), ..relay });
        let tls = match (&self.tls, &new.tls) {
            // The servers are those of the start: they read the files again.
            (Some(ours), Some(new)) => {
                let Tls { first, others, clients, .. } = new.clone();
                Some(Tls { first, others, clients, ..ours.clone() })
            }
            (ours, _) => ours.clone(),
        };
        Self {
            limits: Limits { connections, connections_per_address, logins, message_octets, recipients },
            log: Log { level: new.log.level.clone(), ..self.log.clone() },
            node: Node { stop_span, ..self.node.clone() },
            relay,
            tls,
            expiring: new.expiring.clone(),
            written: new.written.clone(),
            ..self.clone()
        }
    }

    fn can_change(&self, key: &str, new: &Self) -> bool {
        // Whether TLS is offered is part of what listeners are.
        let is_of_tls = key.starts_with("tls.");
        let is_of_relay = key.starts_with("relay.");
        let is_of_clients = key.starts_with("proxy.client_");
        (LIVE.contains(&key) || key.starts_with("tls.also["))
            && (!(is_of_tls || is_of_clients) || self.tls.is_some() == new.tls.is_some())
            && (!is_of_clients || self.proxy.is_some() == new.proxy.is_some())
            && (!is_of_relay || self.relay.is_some() == new.relay.is_some())
    }
}

/// docs/operating/service.md lists them, too.
const LIVE: &[&str] = &[
    "limits.connections",
    "limits.connections_per_address",
    "limits.logins_per_minute_per_address",
    "limits.logins_per_second",
    "limits.message",
    "limits.recipients",
    "limits.sessions_per_account",
    "limits.unauthenticated_connections",
    "log.level",
    "node.stop_seconds",
    "proxy.client_authority",
    "proxy.client_revocations",
    "relay.commit_wait_seconds",
    "tls.certificate",
    "tls.key",
    // `tls.also[0].certificate` and its like: see `can_change`.
];
