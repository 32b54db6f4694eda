//! `posthouse store`

use super::Run;
use super::client::{Client, Target};
use super::failure::Failure;
use super::record::{Form, Given, Kind, Remove, Show, list};
use super::screen::Screen;
use super::table::{Column, field};
use directory::{Protocol, TlsMode};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// Stores.
#[derive(Debug, clap::Subcommand)]
pub enum Store {
    /// Makes a store known: one of ours by its node, a foreign one by its host.
    Add(Add),
    /// Lists stores.
    List(Form),
    /// Shows a store.
    Show(Show),
    /// Changes a store.
    Set(Set),
    /// Removes stores that nothing refers to.
    Remove(Remove),
}

/// `store add`
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Its name.
    name: String,
    #[command(flatten)]
    settings: Settings,
}

/// `store set`
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its name.
    name: String,
    #[command(flatten)]
    settings: Settings,
    /// `false` takes back a removal that was cut short.
    #[arg(long, value_name = "true|false", hide_short_help = true)]
    closed: Option<bool>,
}

#[derive(Debug, clap::Args)]
struct Settings {
    /// The node that serves it: a store of ours.
    #[arg(long, conflicts_with_all = ["host", "port", "tls", "login", "tokens"])]
    node: Option<String>,
    /// Where it is: a store of another make. Again for more, which are called in order while those before do not answer;
    /// `HOST,imap=1143` has a port of its own.
    #[arg(long, value_name = "HOST[,PROTOCOL=PORT…]")]
    host: Vec<String>,
    /// A protocol that it speaks, with its port: `imap=143`, or `imap` for the usual one; `submission=587/starttls` where it is
    /// not protected as `--tls` says. Again for more.
    #[arg(long, value_name = "PROTOCOL[=PORT][/TLS]")]
    port: Vec<String>,
    /// How connections to it are protected.
    #[arg(long, value_parser = ["none", "starttls", "tls"])]
    tls: Option<String>,
    /// How a proxy logs in: with the user's password, or as a master user.
    #[arg(long, value_parser = ["password", "master"])]
    login: Option<String>,
    /// Whether it judges its users' access tokens itself (OAUTHBEARER, XOAUTH2), and is shown them as it is passwords.
    #[arg(long, value_name = "true|false")]
    tokens: Option<bool>,
}

const KIND: Kind = Kind {
    one: "store",
    many: "stores",
    columns: &[
        Column { head: "NAME", cell: |store| field(store, "name") },
        Column { head: "KIND", cell: |store| field(store, "kind") },
        Column { head: "WHERE", cell: place },
        Column { head: "PORTS", cell: ports },
        Column { head: "TLS", cell: |store| field(store, "tls") },
        Column { head: "LOGIN", cell: |store| field(store, "login") },
    ],
};

impl Run for Store {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            Self::Add(Add { name, settings }) => {
                let mut given = Given::default();
                settings.put(given.put("name", Some(name)), None)?;
                let store: Value = node.post(Target::of(KIND.many), &given.body()?).await?;
                screen.say(format_args!("added store {}", field(&store, "name")))?;
                remark(&store, screen)?;
                Ok(0)
            }
            Self::List(form) => list(&KIND, None, form, |_| true, node, screen).await,
            Self::Show(show) => show.run(&KIND, node, screen).await,
            Self::Set(Set { name, settings, closed }) => {
                let mut given = Given::default();
                let before: Option<Value> = match settings.port.is_empty() {
                    false => Some(node.get(Target::named(KIND.many, &name)).await?),
                    true => None,
                };
                // What port is the usual one depends on it.
                let mode = before.as_ref().map(|store| field(store, "tls"));
                settings.put(given.put("closed", closed), mode.as_deref().filter(|mode| !mode.is_empty()))?;
                let store: Value = node.patch(Target::named(KIND.many, &name), &given.body()?).await?;
                screen.say(format_args!("changed store {}", field(&store, "name")))?;
                remark_lost(before.as_ref(), &store, screen)?;
                remark(&store, screen)?;
                Ok(0)
            }
            Self::Remove(remove) => remove.run(&KIND, node, screen).await,
        }
    }
}

/// Its node, or its hosts.
fn place(store: &Value) -> String {
    let parts = ["node", "host", "hosts"].map(|name| field(store, name));
    parts.concat()
}

/// `imap=993, submission=587/starttls`.
fn ports(store: &Value) -> String {
    let ports = store.get("ports").and_then(Value::as_object).into_iter().flatten();
    let own = |protocol: &str| store.get("port_tls").and_then(|own| own.get(protocol)).and_then(Value::as_str);
    let each = ports.map(|(protocol, port)| match own(protocol) {
        Some(own) => format!("{protocol}={port}/{own}"),
        None => format!("{protocol}={port}"),
    });
    each.collect::<Vec<_>>().join(", ")
}

/// The protocols that a store has a port for.
fn protocols(store: &Value) -> impl Iterator<Item = &String> {
    store.get("ports").and_then(Value::as_object).into_iter().flatten().map(|(protocol, _)| protocol)
}

/// Those of them in which somebody logs in.
fn with_logins(store: &Value) -> impl Iterator<Item = &String> {
    protocols(store).filter(|protocol| !matches!(protocol.as_str(), "lmtp" | "smtp"))
}

/// `--port` says all of them anew, which is easily forgotten.
fn remark_lost(before: Option<&Value>, store: &Value, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let before = before.into_iter().flat_map(protocols);
    let lost: Vec<&str> = before.filter(|had| protocols(store).all(|has| has != *had)).map(String::as_str).collect();
    if !lost.is_empty() {
        let (name, lost) = (field(store, "name"), lost.join(", "));
        screen.remark(format_args!("posthouse: {name} has no port for {lost} any more: --port says all of them"))?;
    }
    Ok(())
}

/// Whether any protocol in which passwords are said is spoken in the clear.
fn is_clear(store: &Value) -> bool {
    let own = |protocol: &str| store.get("port_tls").and_then(|own| own.get(protocol)).and_then(Value::as_str);
    let tls = store.get("tls").and_then(Value::as_str);
    with_logins(store).any(|protocol| own(protocol).or(tls) == Some("none"))
}

/// What follows from a record, and may not be known to who writes it.
fn remark(store: &Value, screen: &mut Screen<'_>) -> Result<(), Failure> {
    warn_of_clear(store, screen)?;
    remark_mechanisms(store, screen)
}

/// One back-end that wants passwords is enough: mechanisms are told before anybody says who he is.
fn remark_mechanisms(store: &Value, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let wants_passwords = field(store, "kind") == "foreign" && field(store, "login") == "password";
    if wants_passwords && with_logins(store).next().is_some() {
        let name = field(store, "name");
        let takes_tokens = store.get("tokens") == Some(&Value::Bool(true));
        let others = if takes_tokens { " and client certificates" } else { ", client certificates and access tokens" };
        screen.remark(format_args!(
            "posthouse: {name} wants its users' own passwords: while it is there, SCRAM (\"auto\"){others} are offered nowhere"
        ))?;
    }
    Ok(())
}

/// Passwords, and tokens, that cross a network in the clear should be meant so.
fn warn_of_clear(store: &Value, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let many = store.get("hosts").and_then(Value::as_array).into_iter().flatten();
    let hosts = store.get("host").into_iter().chain(many).filter_map(Value::as_str);
    let mut far = hosts.filter_map(|host| host.split(',').next()).filter(|host| !is_near(host));
    if let Some(host) = far.next().filter(|_| field(store, "kind") == "foreign" && is_clear(store)) {
        let name = field(store, "name");
        let what = if store.get("tokens") == Some(&Value::Bool(true)) { "passwords and tokens" } else { "passwords" };
        screen.remark(format_args!(
            "posthouse: {what} go to {host} in the clear: `posthouse store set {name} --tls starttls` or `--tls tls`"
        ))?;
    }
    Ok(())
}

fn is_near(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) || host == "localhost"
}

impl Settings {
    /// `before` is how connections are protected until now.
    fn put(self, given: &mut Given, before: Option<&str>) -> Result<(), Failure> {
        let kind = match (&self.node, self.host.is_empty()) {
            (Some(_), _) => Some("posthouse"),
            (None, false) => Some("foreign"),
            (None, true) => None,
        };
        if !self.host.is_empty() {
            // Whichever of the two the record has, it is replaced.
            given.put("host", Some(Value::Null)).put("hosts", Some(self.host));
        }
        let tls = self.tls.as_deref().or(before).map_or(Ok(TlsMode::None), mode)?;
        let (mut ports, mut port_tls) = (Map::new(), Map::new());
        for text in &self.port {
            let Port { protocol, port, own } = Port::read(text, tls)?;
            ports.insert(protocol.name().to_owned(), port.into());
            port_tls.extend(own.map(|own| (protocol.name().to_owned(), own.name().into())));
        }
        given
            .put("kind", kind)
            .put("node", self.node)
            // Anew with the ports, also where none has its own.
            .put("port_tls", (!ports.is_empty()).then_some(port_tls))
            .put("ports", (!ports.is_empty()).then_some(ports))
            .put("tls", self.tls)
            .put("login", self.login)
            .put("tokens", self.tokens);
        Ok(())
    }
}

/// A protocol with its port, and with how connections to that are protected where it is not as the store has it.
struct Port {
    protocol: Protocol,
    port: u16,
    own: Option<TlsMode>,
}

impl Port {
    /// `imap=143`, or `imap` for the usual port, and `/starttls` or another mode behind it.
    fn read(text: &str, tls: TlsMode) -> Result<Self, Failure> {
        let (text, own) = match text.split_once('/') {
            Some((text, own)) => (text, Some(mode(own)?)),
            None => (text, None),
        };
        let (name, port) = match text.split_once('=') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        let protocol = Protocol::ALL
            .into_iter()
            .find(|protocol| protocol.name() == name)
            .ok_or_else(|| Failure::usage(format!("{name:?} is none of smtp, lmtp, imap, pop3, sieve, submission")))?;
        let port = match port {
            Some(port) => port.parse::<u16>().map_err(|_| Failure::usage(format!("{port:?} is not a port")))?,
            None => protocol.usual_port(own.unwrap_or(tls)),
        };
        Ok(Self { protocol, port, own })
    }
}

fn mode(text: &str) -> Result<TlsMode, Failure> {
    [TlsMode::None, TlsMode::Starttls, TlsMode::Tls]
        .into_iter()
        .find(|mode| mode.name() == text)
        .ok_or_else(|| Failure::usage(format!("{text:?} is none of none, starttls, tls")))
}

/// The port of a node, which says nothing of TLS: nodes have their own way.
pub(super) fn port(text: &str) -> Result<(String, Value), Failure> {
    match Port::read(text, TlsMode::None)? {
        Port { protocol, port, own: None } => Ok((protocol.name().to_owned(), port.into())),
        Port { own: Some(_), .. } => {
            Err(Failure::usage(format!("{text:?}: the port of a node is written as imap=143")))
        }
    }
}
