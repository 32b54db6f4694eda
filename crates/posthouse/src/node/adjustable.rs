//! What of the listeners and their roles follows the configuration while they run.

use super::Node;
use super::listeners::Listeners;
use crate::config::Config;
use net::ListenerHandle;
use ports::SessionHandover;
use proxy::{ClearLogins, ImapConfig, ImapInsideConfig, StartTls, Turnstile};
use relay::Relay;
use smtp_proto::Dialect;
use smtp_proto::server as smtp;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// What sessions are begun with, made of the configuration as it is now.
pub(super) struct Adjustable {
    pub(super) smtp: Current<smtp::Config>,
    /// Of the relay; a store's LMTP has no STARTTLS.
    pub(super) relay_lmtp: Current<smtp::Config>,
    pub(super) lmtp: Current<smtp::Config>,
    pub(super) imap: Current<ImapConfig>,
    /// For other nodes.
    pub(super) inside_lmtp: Current<smtp::Config>,
    pub(super) inside_imap: Current<ImapInsideConfig>,
    stores: Arc<dyn SessionHandover>,
    /// Of listeners whose clients are counted by their address.
    counted: Vec<ListenerHandle>,
    /// Of those to which one of ours comes with many connections.
    trusting: Vec<ListenerHandle>,
    relay: Arc<Relay>,
    turnstile: Arc<Turnstile>,
}

/// A value that is replaced as a whole; who has taken it keeps what it took.
pub(super) struct Current<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Current<T> {
    fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// As it is now.
    pub(super) fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

impl Adjustable {
    pub(super) fn of(node: &Node, listeners: &Listeners, relay: Arc<Relay>) -> Self {
        let config = &node.config;
        let stores = Arc::clone(&node.stores) as Arc<dyn SessionHandover>;
        Self {
            smtp: Current::new(smtp_config(config, Dialect::Smtp, starttls(config))),
            relay_lmtp: Current::new(smtp_config(config, Dialect::Lmtp, starttls(config))),
            lmtp: Current::new(smtp_config(config, Dialect::Lmtp, StartTls::NotOffered)),
            imap: Current::new(imap_config(config)),
            inside_lmtp: Current::new(smtp::Config::cluster(
                config.node.hostname.clone(),
                config.limits.message_octets,
            )),
            inside_imap: Current::new(inside_imap_config(config, &stores)),
            stores,
            counted: listeners.counted(),
            trusting: listeners.trusting(),
            relay,
            turnstile: Arc::clone(&node.turnstile),
        }
    }

    /// What the relay's sessions begin with.
    pub(super) fn relay(&self, dialect: Dialect) -> Current<smtp::Config> {
        match dialect {
            Dialect::Smtp => self.smtp.clone(),
            Dialect::Lmtp => self.relay_lmtp.clone(),
        }
    }

    /// Takes every change of the configuration; ends when there will be none any more.
    pub(super) async fn follow(self, mut settings: watch::Receiver<Arc<Config>>) {
        while settings.changed().await.is_ok() {
            let config = settings.borrow_and_update().clone();
            self.adjust(&config);
        }
    }

    fn adjust(&self, config: &Config) {
        self.smtp.set(smtp_config(config, Dialect::Smtp, starttls(config)));
        self.relay_lmtp.set(smtp_config(config, Dialect::Lmtp, starttls(config)));
        self.lmtp.set(smtp_config(config, Dialect::Lmtp, StartTls::NotOffered));
        self.imap.set(imap_config(config));
        self.inside_lmtp.set(smtp::Config::cluster(config.node.hostname.clone(), config.limits.message_octets));
        self.inside_imap.set(inside_imap_config(config, &self.stores));
        for handle in &self.counted {
            handle.set_limits(config.limits.connections, config.limits.connections_per_address);
        }
        for handle in &self.trusting {
            handle.set_limits(config.limits.connections, config.limits.connections);
        }
        self.turnstile.set(config.limits.logins);
        if let Some(relay) = &config.relay {
            self.relay.set_commit_wait(relay.commit_wait);
        }
    }
}

fn starttls(of: &Config) -> StartTls {
    if of.tls.is_some() { StartTls::Offered } else { StartTls::NotOffered }
}

fn smtp_config(of: &Config, dialect: Dialect, starttls: StartTls) -> smtp::Config {
    let mut config = smtp::Config::new(dialect, of.node.hostname.clone());
    config.size_max = of.limits.message_octets;
    config.limits.rcpt_count_max = of.limits.recipients;
    config.extensions.starttls = starttls == StartTls::Offered;
    config.extensions.smtputf8 = true;
    config.extensions.chunking = true;
    config
}

fn imap_config(of: &Config) -> ImapConfig {
    let mut support = store::ImapSession::support();
    support.plain_mechanisms = sasl::Mechanism::ALL.iter().map(|mechanism| mechanism.name().into()).collect();
    ImapConfig {
        greeting: "Posthouse is ready",
        limits: Arc::new(imap_limits(of)),
        support,
        starttls: starttls(of),
        clear_logins: clear_logins(of),
    }
}

fn inside_imap_config(of: &Config, stores: &Arc<dyn SessionHandover>) -> ImapInsideConfig {
    ImapInsideConfig {
        greeting: "Posthouse is ready",
        limits: Arc::new(imap_limits(of)),
        support: store::ImapSession::support(),
        stores: Arc::clone(stores),
    }
}

fn imap_limits(of: &Config) -> imap_proto::Limits {
    let octets_max = u32::try_from(of.limits.message_octets).unwrap_or(u32::MAX);
    imap_proto::Limits { append_octets_max: octets_max, ..Default::default() }
}

/// From this machine, where nobody else can listen, and from where the operator says so.
pub(super) fn clear_logins(of: &Config) -> ClearLogins {
    let networks = of.proxy.as_ref().map(|proxy| Arc::clone(&proxy.clear_from)).unwrap_or_default();
    ClearLogins::from_where(move |address| {
        address.is_loopback() || networks.iter().any(|network| network.contains(address))
    })
}
