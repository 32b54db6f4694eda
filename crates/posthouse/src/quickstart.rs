//! A whole site in one process: a domain, two stores, a rule, a map and a few accounts.
//!
//! ```text
//!   D/posthouse.toml   the node's configuration, written at the first start and read at every start
//!   D/site.json        listeners and accounts with their passwords, mode 0600
//!   D/tls/             a certificate that signs itself
//!   D/data/            directory, stores, journals
//!   D/queue/           mail that waits for a store
//! ```

use crate::config::Config;
use crate::node::{Node, System};
use crate::reload::Reloader;
use anyhow::{Context, Result};
use directory::engine::{Engine, Revision};
use directory::{
    AccountRecord, DomainRecord, Editor, NewAccount, Origin, PasswordHash, RuleChange, RuleKind, RuleName, RuleRecord,
    SiteRecord,
};
use mail_types::{AccountId, Address, Domain, StoreName};
use net::Stopper;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `posthouse quickstart`
#[derive(Debug, clap::Args)]
pub struct Quickstart {
    /// Where the site is kept; started again in the same folder, it has the same mail and passwords.
    #[arg(long, default_value = "posthouse-quickstart")]
    dir: PathBuf,
    /// The first of the ports: SMTP has N+25, IMAP N+143 and so on [default: 10000, or as the site has it].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64_000))]
    port_base: Option<u16>,
}

/// `D/site.json`: what a test or a script needs to know of the site.
#[derive(Debug, Serialize, Deserialize)]
pub struct Site {
    /// The domain.
    pub domain: String,
    /// Where the site listens.
    pub listeners: Vec<SiteListener>,
    /// Who has a mailbox.
    pub accounts: Vec<SiteAccount>,
}

/// A socket.
#[derive(Debug, Serialize, Deserialize)]
pub struct SiteListener {
    /// `smtp`, `imap`, `imaps`, `pop3`, `pop3s` or `lmtp`.
    pub name: String,
    /// Its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The store behind it, of LMTP; none where it is the relay's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub store: Option<String>,
}

/// An account.
#[derive(Debug, Serialize, Deserialize)]
pub struct SiteAccount {
    /// Its address, with which it logs in too.
    pub address: String,
    /// Its password.
    pub password: String,
    /// Where it lives.
    pub store: String,
}

impl Quickstart {
    /// Makes the site if the folder has none, and runs it until it is told to stop.
    pub async fn run(self) -> Result<()> {
        let dir = absolute(&self.dir)?;
        let file = dir.join("posthouse.toml");
        let system = System::of_this_machine();
        let is_new = !file.exists();
        if is_new {
            private_folder(&dir)?;
            certificate(&dir.join("tls"))?;
            write_private(&file, &configuration(&dir, self.port_base.unwrap_or(PORT_BASE)))?;
        } else if let Some(base) = self.port_base {
            move_ports(&dir, &file, base)?;
        }
        let config = Config::load(&file).map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let level = crate::log::start(&config.log);
        let listeners = listeners(&config);
        let (stopper, shutdown) = Stopper::new();
        let signals = crate::signals::Signals::new(stopper, &Arc::default())?;
        let node = Node::open(config, system.clone()).await?;
        let site_file = dir.join("site.json");
        let (accounts, changed) = match site_file.exists() {
            true => {
                let accounts = read_site(&site_file)?.accounts;
                let changed = changed(&**node.engine(), &accounts).await;
                (accounts, changed)
            }
            false => (seed(&**node.engine(), &system).await?, Vec::new()),
        };
        let site = Site { domain: DOMAIN.to_owned(), listeners, accounts };
        write_private(&site_file, &(serde_json::to_string_pretty(&site)? + "\n"))?;
        let reloader = Reloader::new(file, node.settings(), level);
        node.run(signals.watch(reloader), shutdown, || println!("{}", welcome(&dir, &site, &changed))).await?;
        Ok(())
    }
}

/// Gives a site that is there other ports, unless somebody has changed its configuration.
fn move_ports(dir: &Path, file: &Path, base: u16) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let ours = (1..=64_000).find(|base| text == configuration(dir, *base));
    match ours {
        Some(known) if known == base => Ok(()),
        Some(_) => write_private(file, &configuration(dir, base)),
        None => anyhow::bail!("{} was changed by hand: change the ports there", file.display()),
    }
}

/// Fills the directory of a new site. What an interrupted first start left is kept; passwords are set anew.
async fn seed(engine: &dyn Engine, system: &System) -> Result<Vec<SiteAccount>> {
    let editor = Editor::new(engine);
    let domain = Domain::parse(DOMAIN).context("the domain")?;
    let [ingrid, fritz] = ["ingrid", "fritz"].map(|name| StoreName::parse(name).expect("a store's name"));
    let postmaster = Address::parse(&format!("postmaster@{domain}")).context("postmaster")?;
    let site = SiteRecord {
        postmaster: Some(postmaster),
        default_store: Some(fritz.clone()),
        login_domain: Some(domain.clone()),
    };
    let seen = editor.find::<SiteRecord>("").await?.map_or(Revision::ZERO, |shown| shown.revision);
    editor.change_rules(&RuleChange::SetSite(site, seen)).await?;
    if editor.find::<DomainRecord>(DOMAIN).await?.is_none() {
        editor.add_domain(&DomainRecord::new(domain.clone())).await?;
    }
    if editor.find::<RuleRecord>("a-to-k").await?.is_none() {
        let kind = RuleKind::Prefix { from: "a".to_owned(), to: "k".to_owned(), store: ingrid };
        let name = RuleName::parse("a-to-k").context("the rule's name")?;
        editor.change_rules(&RuleChange::AddRule(RuleRecord { name, order: 10, domain: Some(domain), kind })).await?;
    }
    let mut accounts = Vec::new();
    for (local, store) in ACCOUNTS {
        accounts.push(account(&editor, system, local, store.map(|_| fritz.clone())).await?);
    }
    Ok(accounts)
}

/// The accounts that do not have the password of `site.json` any more, if they are there at all.
async fn changed(engine: &dyn Engine, accounts: &[SiteAccount]) -> Vec<String> {
    let mut changed = Vec::new();
    for account in accounts {
        if !has_its_password(engine, account).await {
            changed.push(account.address.clone());
        }
    }
    changed
}

async fn has_its_password(engine: &dyn Engine, account: &SiteAccount) -> bool {
    let (Ok(address), Ok(password)) =
        (Address::parse(&account.address), sasl::Password::new(account.password.as_bytes().to_vec()))
    else {
        return false;
    };
    match directory::read_secret(engine, &address).await {
        Origin::Found(secret) => {
            let hashes = secret.passwords.iter();
            hashes.filter_map(|hash| sasl::StoredPassword::parse(hash.expose()).ok()).any(|hash| hash.verify(&password))
        }
        Origin::NotFound => false,
        // Nobody can say: then it is as it was.
        Origin::Unavailable => true,
    }
}

async fn account(editor: &Editor<'_>, system: &System, local: &str, store: Option<StoreName>) -> Result<SiteAccount> {
    let address = Address::parse(&format!("{local}@{DOMAIN}")).context("an account's address")?;
    let password = password(system);
    let hashes = hashes(system, &password)?;
    let store = match editor.find::<AccountRecord>(&address.to_string()).await? {
        Some(_) => {
            editor.set_passwords(&address, hashes).await?;
            let placement = editor.show::<directory::PlacementRecord>(&address.to_string()).await?;
            placement.record.store
        }
        None => {
            let mut id = [0; 16];
            system.random.fill(&mut id);
            let mut record = AccountRecord::new(address.clone(), AccountId::from_bytes(id));
            record.created = system.clock.now().secs();
            editor.add_account(&NewAccount { account: record, passwords: hashes, store }).await?.store
        }
    };
    Ok(SiteAccount { address: address.to_string(), password, store: store.to_string() })
}

fn hashes(system: &System, password: &str) -> Result<Vec<PasswordHash>> {
    let (mut salt, mut other) = ([0; 16], [0; 16]);
    system.random.fill(&mut salt);
    system.random.fill(&mut other);
    let password = sasl::Password::new(password.as_bytes().to_vec())?;
    let hashed = sasl::StoredPassword::hash_argon2id(&password, &salt)?;
    let both = [Some(hashed), sasl::StoredPassword::scram(&password, &other)].into_iter().flatten();
    Ok(both.map(|stored| PasswordHash::parse(&stored.to_string())).collect::<Result<_, _>>()?)
}

/// 16 letters and digits, none of them easily taken for another: about 79 bits.
fn password(system: &System) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut octets = [0; 16];
    system.random.fill(&mut octets);
    octets.iter().filter_map(|octet| LETTERS.get(usize::from(octet % 32))).map(|letter| char::from(*letter)).collect()
}

/// A certificate that signs itself, for the names by which this machine is reached.
fn certificate(dir: &Path) -> Result<()> {
    private_folder(dir)?;
    let names = ["localhost", HOSTNAME, "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let made = rcgen::generate_simple_self_signed(names)?;
    write_private(&dir.join("cert.pem"), &made.cert.pem())?;
    write_private(&dir.join("key.pem"), &made.signing_key.serialize_pem())
}

fn configuration(dir: &Path, base: u16) -> String {
    let quoted = |path: PathBuf| toml::Value::from(path.to_string_lossy().into_owned()).to_string();
    let at = |offset: u16| format!("[\"127.0.0.1:{}\"]", base + offset);
    format!(
        "# The node of a quickstart site. `posthouse serve --config` runs it too.\n\
         [node]\nname = \"{NODE}\"\nhostname = \"{HOSTNAME}\"\ndata = {data}\n\n\
         [log]\nlevel = \"warn\"\n\n\
         [tls]\ncertificate = {cert}\nkey = {key}\n\n\
         [limits]\n# Everybody comes from this machine.\nconnections_per_address = 10000\n\n\
         [relay]\nlisten = {smtp}\nlmtp = {lmtp}\nqueue = {queue}\n\n\
         [proxy]\nimap = {imap}\nimaps = {imaps}\npop3 = {pop3}\npop3s = {pop3s}\n\n\
         [[store]]\nname = \"ingrid\"\nlmtp = {ingrid}\n\n\
         [[store]]\nname = \"fritz\"\nlmtp = {fritz}\n",
        data = quoted(dir.join("data")),
        queue = quoted(dir.join("queue")),
        cert = quoted(dir.join("tls/cert.pem")),
        key = quoted(dir.join("tls/key.pem")),
        smtp = at(25),
        lmtp = at(27),
        imap = at(143),
        imaps = at(993),
        pop3 = at(110),
        pop3s = at(995),
        ingrid = at(24),
        fritz = at(26),
    )
}

fn listeners(config: &Config) -> Vec<SiteListener> {
    let mut listeners = Vec::new();
    let mut note = |name: &str, addresses: &[std::net::SocketAddr], store: Option<&StoreName>| {
        listeners.extend(addresses.iter().map(|address| SiteListener {
            name: name.to_owned(),
            host: address.ip().to_string(),
            port: address.port(),
            store: store.map(ToString::to_string),
        }));
    };
    if let Some(relay) = &config.relay {
        note("smtp", &relay.listen, None);
        note("lmtp", &relay.lmtp, None);
    }
    if let Some(proxy) = &config.proxy {
        note("imap", &proxy.imap, None);
        note("imaps", &proxy.imaps, None);
        note("pop3", &proxy.pop3, None);
        note("pop3s", &proxy.pop3s, None);
        note("sieve", &proxy.sieve, None);
        note("sieves", &proxy.sieves, None);
    }
    for store in &config.stores {
        note("lmtp", &store.lmtp, Some(&store.name));
    }
    listeners
}

/// What a newcomer can paste; `changed` have other passwords than the site was made with.
fn welcome(dir: &Path, site: &Site, changed: &[String]) -> String {
    let port = |name: &str| site.listeners.iter().find(|listener| listener.name == name).map_or(0, |found| found.port);
    let john = site.accounts.iter().find(|account| !changed.contains(&account.address)).or(site.accounts.first());
    let (address, password) = john.map_or(("", ""), |john| (john.address.as_str(), john.password.as_str()));
    let mut text = format!("\n{} is up; everything is below {}\n\n", site.domain, dir.display());
    for account in &site.accounts {
        let SiteAccount { address, password, store } = account;
        let _ = match changed.contains(address) {
            false => writeln!(text, "  {address:28} password {password}   on {store}"),
            true => {
                writeln!(text, "  {address:28} was removed or given another password since (site.json has the old one)")
            }
        };
    }
    let _ = write!(
        text,
        "\nSend a message:\n  printf 'From: me@example.org\\nTo: {address}\\nSubject: hello\\n\\nHello!\\n' | \
         curl -s --crlf --mail-from me@example.org --mail-rcpt {address} -T - smtp://127.0.0.1:{smtp}\n\n\
         Read it by IMAP (TLS, a certificate of its own):\n  \
         curl -sk --user '{address}:{password}' 'imaps://127.0.0.1:{imaps}/INBOX;MAILINDEX=1'\n\n\
         Read it by POP3:\n  curl -s --user '{address}:{password}' pop3://127.0.0.1:{pop3}/1\n\n\
         Where an address goes, and why:\n  {program} route --dir {dir} {address} kate@{domain}\n\n\
         Ctrl-C stops it; started again in the same folder, everything is still there.\n",
        smtp = port("smtp"),
        imaps = port("imaps"),
        pop3 = port("pop3"),
        program = program().display(),
        dir = dir.display(),
        domain = site.domain,
    );
    text
}

/// What runs now: `cargo run` has put it on nobody's path.
fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("posthouse"))
}

fn read_site(file: &Path) -> Result<Site> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a site", file.display()))
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir).with_context(|| format!("{} is no folder", dir.display()))
}

fn private_folder(dir: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("cannot make the folder {}", dir.display()))
}

/// Whole or not at all: an interrupted start must not leave half a file that the next one trusts.
fn write_private(file: &Path, text: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let new = file.with_extension("new");
        let mut opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        opened.write_all(text.as_bytes())?;
        opened.sync_all()?;
        std::fs::rename(&new, file)?;
        // The name must survive a power cut as the content does.
        file.parent().map_or(Ok(()), |dir| std::fs::File::open(dir)?.sync_all())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

const PORT_BASE: u16 = 10_000;
const DOMAIN: &str = "bigisp.test";
const HOSTNAME: &str = "mail.bigisp.test";
const NODE: &str = "quickstart";
/// Who is there, and whether the map places him: john and alison live on fritz although the rule says ingrid.
const ACCOUNTS: [(&str, Option<()>); 6] =
    [("john", Some(())), ("alison", Some(())), ("kate", None), ("bob", None), ("peter", None), ("postmaster", None)];
