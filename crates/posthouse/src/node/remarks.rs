//! What the configuration asks for and the directory does not let be: said in the log when it comes and goes, and in
//! `posthouse status`.
//!
//! A mechanism is told before anybody says who he is, so one store that cannot honour it takes it from everybody. That is right,
//! but nobody would notice: clients go on with passwords, or cannot log in and do not say why.

use super::Node;
use super::cover::Cover;
use super::routing::Routes;
use crate::config::{Config, ScramOffer};
use admin::RemarkFacts;
use directory::engine::Revision;
use directory::{Protocol, Record, Routing, StoreAt, StoreKind, StoreRecord, TokenJudge, nearest};
use mail_types::StoreName;
use net::Shutdown;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What may be remarked of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    /// Ways to log in that are offered together.
    Mechanism(&'static str),
    /// A `[[backend]]`.
    BackEnd(StoreName),
}

/// Everything that is asked for, each with what is wrong with it now.
type Remarked = BTreeMap<About, Option<String>>;

/// Compares the configuration with the directory, as both are now.
#[derive(Clone)]
pub(super) struct Remarks {
    settings: watch::Receiver<Arc<Config>>,
    routes: Routes,
    cover: Cover,
}

/// What a look depends on.
struct Version {
    config: Arc<Config>,
    directory: Option<Revision>,
    covered: Option<bool>,
}

impl Version {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && (self.directory, self.covered) == (other.directory, other.covered)
    }
}

impl Remarks {
    pub(super) fn of(node: &Node) -> Self {
        Self { settings: node.settings.subscribe(), routes: node.routes.clone(), cover: node.cover.clone() }
    }

    /// What is wrong now, for operators.
    pub(super) fn now(&self) -> Vec<RemarkFacts> {
        let wrong = self.look().into_iter().filter_map(|(about, why)| Some((about, why?)));
        wrong.map(|(about, why)| about.told(why)).collect()
    }

    /// Tells the log what changes, and at the start all, until the node stops.
    pub(super) fn watch(self, node: &Node, shutdown: Shutdown) {
        let clock = Arc::clone(&node.system.clock);
        node.system.spawn.task(Box::pin(async move {
            let (mut told, mut seen) = (Remarked::new(), None);
            loop {
                let version = self.version();
                let is_seen = seen.as_ref().is_some_and(|seen| version.is(seen));
                let now = if is_seen { told.clone() } else { self.look() };
                seen = Some(version);
                now.iter().filter(|(about, why)| told.get(*about) != Some(*why)).for_each(|(about, why)| {
                    about.log(why.as_deref());
                });
                told = now;
                tokio::select! {
                    () = clock.sleep(LOOK_EVERY) => {}
                    () = shutdown.draining() => return,
                }
            }
        }));
    }

    fn version(&self) -> Version {
        let (config, directory) = (self.settings.borrow().clone(), self.routes.now().revision());
        Version { config, directory, covered: self.cover.known() }
    }

    fn look(&self) -> Remarked {
        let config = self.settings.borrow().clone();
        look(&config, &self.routes.now(), self.cover.known())
    }
}

impl About {
    fn told(self, why: String) -> RemarkFacts {
        let about = match self {
            Self::Mechanism(name) => format!("not offered: {name}"),
            Self::BackEnd(store) => format!("[[backend]] {store}"),
        };
        RemarkFacts { about, text: why }
    }

    fn log(&self, why: Option<&str>) {
        match (self, why) {
            // It is asked for by nobody but our default.
            (Self::Mechanism(SCRAM), why) => {
                tracing::info!(scram = why.is_none(), why, "whether SCRAM is offered");
            }
            (Self::Mechanism(mechanism), Some(why)) => tracing::warn!(mechanism, why, "not offered to anybody"),
            (Self::Mechanism(mechanism), None) => tracing::info!(mechanism, "offered"),
            (Self::BackEnd(store), Some(why)) => tracing::warn!(%store, why, "a [[backend]] is of no use"),
            (Self::BackEnd(store), None) => tracing::debug!(%store, "a [[backend]] has its store in the directory"),
        }
    }
}

/// `covered` says whether everybody who has a password can log in by SCRAM, where that is known.
fn look(config: &Config, routing: &Routing, covered: Option<bool>) -> Remarked {
    let mut remarked: Remarked = config.backends.iter().map(|told| back_end(routing, &told.store)).collect();
    let Some(proxy) = &config.proxy else { return remarked };
    let asked = proxy.auth_http.is_some().then(|| "proxy.auth_http decides by passwords".to_owned());
    let passwords =
        || asked.clone().or_else(|| because_of(routing.wanting_passwords(), "wanting users' own passwords"));
    if proxy.scram == ScramOffer::Auto
        && let Some(covered) = covered
    {
        let uncovered = || (!covered).then(|| "an account has a password without keys, or more than one".to_owned());
        remarked.insert(About::Mechanism(SCRAM), passwords().or_else(uncovered));
    }
    if config.tls.as_ref().is_some_and(|tls| tls.clients.is_some()) {
        remarked.insert(About::Mechanism(EXTERNAL), passwords());
    }
    let judge = if proxy.oauth.is_some() { TokenJudge::Issuer } else { TokenJudge::BackEnds };
    // Without an issuer they are asked for by the stores that are said to judge them.
    if proxy.oauth.is_some() || routing.stores().any(is_shown_tokens) {
        let refused = asked.clone().or_else(|| because_of(routing.refusing_tokens(judge), "taking no tokens"));
        remarked.insert(About::Mechanism(TOKENS), refused);
    }
    remarked
}

fn back_end(routing: &Routing, store: &StoreName) -> (About, Option<String>) {
    let why = match routing.store_at(store) {
        Some(StoreAt::Foreign { .. }) => None,
        Some(StoreAt::Node(_) | StoreAt::UnknownNode(_)) => Some("this store is one of Posthouse's own".to_owned()),
        None if is_unreadable(routing, store) => Some("the record of this store cannot be read".to_owned()),
        None => {
            let near = nearest(store.as_str(), routing.stores().map(|known| known.name.as_str()));
            let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            Some(format!("the directory has no such store{near}"))
        }
    };
    (About::BackEnd(store.clone()), why)
}

fn is_unreadable(routing: &Routing, store: &StoreName) -> bool {
    routing.flaws().any(|(key, _)| key.strip_prefix(StoreRecord::PREFIX) == Some(store.as_str()))
}

fn is_shown_tokens(store: &StoreRecord) -> bool {
    let is_for_mail = |protocol: &Protocol| matches!(protocol, Protocol::Smtp | Protocol::Lmtp);
    matches!(&store.kind, StoreKind::Foreign { tokens: true, ports, .. } if !ports.keys().all(is_for_mail))
}

/// `stores wanting users' own passwords: a, b and 3 more`; nothing where there is none.
fn because_of<'r>(stores: impl Iterator<Item = &'r StoreRecord>, what: &str) -> Option<String> {
    let names: Vec<&str> = stores.map(|store| store.name.as_str()).collect();
    let (shown, rest) = names.split_at_checked(NAMES_SHOWN_MAX).unwrap_or((names.as_slice(), &[]));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    (!shown.is_empty()).then(|| format!("stores {what}: {}{more}", shown.join(", ")))
}

/// Both with -PLUS, where that is offered.
const SCRAM: &str = "SCRAM-SHA-256";
/// To who has shown a certificate.
const EXTERNAL: &str = "EXTERNAL";
const TOKENS: &str = "OAUTHBEARER, XOAUTH2";
const NAMES_SHOWN_MAX: usize = 5;
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use directory::engine::Entry;
    use mail_types::NodeName;

    /// A configuration with `tail`, and what is wrong with it where the directory has these stores.
    fn remarked(tail: &str, stores: &[&StoreRecord], covered: Option<bool>) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(vec!["one.example".to_owned()]).expect("a certificate");
        let head = "[node]\nname = 'one'\nhostname = 'one.example'\ndata = 'data'\n\
                    [tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n[proxy]\nimap = '127.0.0.1:0'\n";
        for (name, text) in [
            ("cert.pem", made.cert.pem()),
            ("key.pem", made.signing_key.serialize_pem()),
            ("posthouse.toml", format!("{head}{tail}")),
        ] {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        let config = Config::load(&folder.path().join("posthouse.toml")).expect("a good one");
        let entry =
            |store: &&StoreRecord| Entry { key: store.key(), value: store.encode(), revision: Revision::new(1) };
        let routing = Routing::load(&stores.iter().map(entry).collect::<Vec<_>>(), Revision::new(1));
        let all = look(&config, &routing, covered).into_iter();
        all.map(|(about, why)| format!("{about:?} {}", why.as_deref().unwrap_or("fine"))).collect()
    }

    fn foreign(name: &str, judges: bool) -> StoreRecord {
        let ports = BTreeMap::from([(directory::Protocol::Imap, 143)]);
        let name = StoreName::parse(name).expect("a name");
        let mut store = StoreRecord::foreign(name, directory::Host::parse("h.test").expect("a host"), ports);
        if let StoreKind::Foreign { tokens, .. } = &mut store.kind {
            *tokens = judges;
        }
        store
    }

    fn ours() -> StoreRecord {
        StoreRecord::posthouse(StoreName::parse("ingrid").expect("a name"), NodeName::parse("one").expect("a name"))
    }

    #[test]
    fn what_one_store_takes_from_everybody_is_told() {
        let (old, shown, ours) = (foreign("old", false), foreign("shown", true), ours());
        let all = "client_authority = 'cert.pem'\n[proxy.oauth]\njwks = 'http://[::1]/'\nissuer = 'x'\nscopes = 'm'\n";
        insta::assert_debug_snapshot!(remarked(all, &[&ours], Some(true)), @r#"
        [
            "Mechanism(\"EXTERNAL\") fine",
            "Mechanism(\"OAUTHBEARER, XOAUTH2\") fine",
            "Mechanism(\"SCRAM-SHA-256\") fine",
        ]
        "#);
        insta::assert_debug_snapshot!(remarked(all, &[&ours, &old, &shown], Some(true)), @r#"
        [
            "Mechanism(\"EXTERNAL\") stores wanting users' own passwords: old, shown",
            "Mechanism(\"OAUTHBEARER, XOAUTH2\") stores taking no tokens: old",
            "Mechanism(\"SCRAM-SHA-256\") stores wanting users' own passwords: old, shown",
        ]
        "#);
        // Nobody asks for tokens but a store that judges them, and nobody for certificates.
        insta::assert_debug_snapshot!(remarked("", &[&ours, &shown], Some(false)), @r#"
        [
            "Mechanism(\"OAUTHBEARER, XOAUTH2\") stores taking no tokens: ingrid",
            "Mechanism(\"SCRAM-SHA-256\") stores wanting users' own passwords: shown",
        ]
        "#);
        insta::assert_debug_snapshot!(remarked("", &[&ours], Some(false)), @r#"
        [
            "Mechanism(\"SCRAM-SHA-256\") an account has a password without keys, or more than one",
        ]
        "#);
        assert_eq!(remarked("", &[&ours], None), [""; 0], "nobody has looked yet");
        assert_eq!(remarked("scram = 'on'\n", &[&old], Some(false)), [""; 0], "it is offered all the same");
        let asks = format!("{all}[proxy.auth_http]\nurl = 'http://127.0.0.1:1/'\n");
        let told = remarked(&asks, &[&ours], Some(true));
        assert!(told.len() == 3 && told.iter().all(|line| line.contains("proxy.auth_http decides")), "{told:?}");
    }

    #[test]
    fn a_back_end_that_no_store_is_is_told() {
        let old = foreign("old-imap", false);
        let told = "[[backend]]\nstore = 'odl-imap'\n[[backend]]\nstore = 'old-imap'\n[[backend]]\nstore = 'ingrid'\n";
        let tail = format!("scram = 'off'\n{told}");
        insta::assert_debug_snapshot!(remarked(&tail, &[&ours(), &old], None), @r#"
        [
            "BackEnd(StoreName(ingrid)) this store is one of Posthouse's own",
            "BackEnd(StoreName(odl-imap)) the directory has no such store; did you mean old-imap?",
            "BackEnd(StoreName(old-imap)) fine",
        ]
        "#);
    }

    #[test]
    fn not_all_of_many_stores_are_named() {
        let stores: Vec<_> = (0..8).map(|number| foreign(&format!("s{number}"), false)).collect();
        let because = because_of(stores.iter(), "of this kind").expect("some");
        assert_eq!(because, "stores of this kind: s0, s1, s2, s3, s4 and 3 more");
        assert_eq!(because_of(stores.iter().take(0), "of this kind"), None);
    }
}
