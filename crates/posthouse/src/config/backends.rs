//! `[[backend]]`: what this node needs to call a back-end of another make, beside what the directory says of it.

use super::ExpiringKind;
use super::check::Check;
use super::material::is_private;
use super::section::{At, Section};
use backend::{Introducing, Master, MasterForm, Telling};
use mail_types::{Domain, StoreName};
use net::{ClientTls, TlsError};
use sasl::Password;
use std::error::Error;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `[[backend]]`
#[derive(Clone, Debug)]
pub struct Backend {
    /// The store that it is in the directory.
    pub store: StoreName,
    /// As whom visitors are logged in who bring no password.
    pub master: Option<Master>,
    /// What it must prove, and is shown.
    pub proof: BackendProof,
    /// Whether it is told where clients come from before anything else.
    pub introduction: ports::Introduction,
    /// Or in the protocol itself.
    pub introducing: Introducing,
    /// What a session of submission begins with instead.
    pub submission_introduction: ports::Introduction,
    /// And a connection that brings mail, which comes from nobody.
    pub mail_introduction: ports::Introduction,
    /// The addresses that it is called from.
    pub sources: Arc<[IpAddr]>,
    /// The domain whose users it knows by their local parts.
    pub local_part_of: Option<Domain>,
    /// Whether clients hear in which words it refuses them.
    pub telling: Telling,
}

/// What a back-end must prove under TLS.
#[derive(Clone, Debug)]
pub enum BackendProof {
    /// Its name, by an authority that this machine trusts.
    Public,
    /// Nothing.
    Nothing,
    /// What is told here.
    Told(ClientTls),
}

/// What the file says.
pub(super) struct RawBackend {
    whole: At<()>,
    store: Option<At<StoreName>>,
    master_user: Option<At<String>>,
    master_password: Option<At<PathBuf>>,
    master_separator: Option<At<char>>,
    authority: Option<At<PathBuf>>,
    certificate: Option<At<PathBuf>>,
    key: Option<At<PathBuf>>,
    server_name: Option<At<String>>,
    verify: Option<At<bool>>,
    introduce: Option<Introduce>,
    introduce_submission: Option<ports::Introduction>,
    introduce_deliveries: Option<ports::Introduction>,
    source_addresses: Vec<At<IpAddr>>,
    proxy_protocol: Option<At<bool>>,
    local_part_of: Option<At<Domain>>,
    back_end_text: Option<At<bool>>,
}

/// How it is told where clients come from.
type Introduce = (ports::Introduction, Introducing);

impl RawBackend {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            whole: section.at(),
            store: section.required("store", StoreName::parse),
            master_user: section.parsed("master_user", name),
            master_password: section.path("master_password"),
            master_separator: section.parsed("master_separator", separator),
            authority: section.path("authority"),
            certificate: section.path("certificate"),
            key: section.path("key"),
            server_name: section.parsed("server_name", name),
            verify: section.boolean("verify"),
            introduce: section.choice("introduce", &INTRODUCE),
            introduce_submission: section.choice("introduce_submission", &HEADERS),
            introduce_deliveries: section.choice("introduce_deliveries", &HEADERS),
            source_addresses: section.parsed_list("source_addresses", |text| {
                text.parse::<IpAddr>().map_err(|_| "is not an address of this machine, such as 192.0.2.7")
            }),
            proxy_protocol: section.boolean("proxy_protocol"),
            local_part_of: section.parsed("local_part_of", Domain::parse),
            back_end_text: section.boolean("back_end_text"),
        }
    }

    pub(super) fn check(self, check: &mut Check<'_>) -> Option<Backend> {
        let master = self.master(check);
        let proof = self.proof(check);
        if let (Some(certificate), Some(_)) = (&self.certificate, &proof) {
            check.expires(certificate, ExpiringKind::Certificate);
        }
        self.key.iter().for_each(|key| is_private(key, check.problems));
        let store = self.store?;
        check.backend(&store);
        if let Some(old) = &self.proxy_protocol {
            let now = if old.value { "introduce = \"proxy-v2\"" } else { "introduce = \"none\"" };
            check.problems.add(old.problem("is said by introduce").help(format!("write {now}")));
        }
        let (introduction, introducing) = self.introduce.unwrap_or(INTRODUCE[0].1);
        let submission_introduction = self.introduce_submission.unwrap_or(introduction);
        // Not as for sessions: a header tells nothing of mail, and the port for it is another one, which mostly expects none.
        let mail_introduction = self.introduce_deliveries.unwrap_or(ports::Introduction::Nobody);
        let sources = self.source_addresses.iter().map(|at| at.value).collect();
        let local_part_of = self.local_part_of.map(|at| at.value);
        let telling = match self.back_end_text.is_some_and(|at| at.value) {
            true => Telling::ForClients,
            false => Telling::ForUs,
        };
        Some(Backend {
            store: store.value,
            master,
            proof: proof?,
            introduction,
            introducing,
            submission_introduction,
            mail_introduction,
            sources,
            local_part_of,
            telling,
        })
    }

    fn master(&self, check: &Check<'_>) -> Option<Master> {
        let (user, file) = match (&self.master_user, &self.master_password) {
            (Some(user), Some(file)) => (user, file),
            (Some(alone), None) => {
                check.problems.add(alone.problem("has no password").help("add master_password, the path of a file"));
                return None;
            }
            (None, Some(alone)) => {
                check.problems.add(alone.problem("belongs to nobody").help("add master_user"));
                return None;
            }
            (None, None) => {
                if let Some(alone) = &self.master_separator {
                    check.problems.add(alone.problem("stands between a user and nobody").help("add master_user"));
                }
                return None;
            }
        };
        is_private(file, check.problems);
        match password(&file.value) {
            Ok(password) => {
                let separator = self.master_separator.as_ref().map(|at| at.value);
                let form = separator.map_or(MasterForm::Authorization, MasterForm::Joined);
                Some(Master { name: user.value.clone(), password, form })
            }
            Err(why) => {
                check.problems.add(file.problem(why));
                None
            }
        }
    }

    fn proof(&self, check: &Check<'_>) -> Option<BackendProof> {
        let pair = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(alone), None) => {
                check.problems.add(alone.problem("has no key").help("add key"));
                return None;
            }
            (None, Some(alone)) => {
                check.problems.add(alone.problem("has no certificate").help("add certificate"));
                return None;
            }
        };
        let unverified = self.verify.as_ref().filter(|at| !at.value);
        if let (Some(verify), Some(_)) =
            (unverified, self.authority.as_ref().map(drop).or(self.server_name.as_ref().map(drop)))
        {
            check.problems.add(verify.problem("is false, so that authority and server_name say nothing"));
            return None;
        }
        if pair.is_none() && self.authority.is_none() && self.server_name.is_none() {
            return Some(if unverified.is_some() { BackendProof::Nothing } else { BackendProof::Public });
        }
        match self.told(pair, unverified.is_some()) {
            Ok(tls) => Some(BackendProof::Told(tls)),
            Err(error) => {
                let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
                check.problems.add(self.place_of(&error).problem(format!("{error}{cause}")));
                None
            }
        }
    }

    /// What is demanded and shown, as it is told.
    fn told(&self, pair: Option<(&At<PathBuf>, &At<PathBuf>)>, unverified: bool) -> Result<ClientTls, TlsError> {
        let mut tls = match (&self.authority, unverified) {
            (_, true) => ClientTls::unverified(),
            (Some(authority), false) => ClientTls::verified_by(&authority.value)?,
            (None, false) => ClientTls::verified()?,
        };
        if let Some((certificate, key)) = pair {
            tls = tls.with_certificate(&certificate.value, &key.value)?;
        }
        match &self.server_name {
            Some(name) => tls.with_server_name(&name.value),
            None => Ok(tls),
        }
    }

    /// Where the mistake stands.
    fn place_of(&self, error: &TlsError) -> At<()> {
        if let (TlsError::ServerName(_), Some(name)) = (error, &self.server_name) {
            return name.with(());
        }
        let files = [&self.authority, &self.certificate, &self.key].into_iter().flatten();
        let file = files.into_iter().find(|file| error.path() == Some(&file.value));
        file.map_or_else(|| self.whole.clone(), |file| file.with(()))
    }
}

/// What `introduce` may say; the first where it is not said.
const INTRODUCE: [(&str, Introduce); 5] = [
    ("none", (ports::Introduction::Nobody, Introducing::Nobody)),
    ("proxy-v1", (ports::Introduction::ProxyV1, Introducing::Nobody)),
    ("proxy-v2", (ports::Introduction::ProxyV2, Introducing::Nobody)),
    ("id", (ports::Introduction::Nobody, Introducing::ById)),
    ("xclient", (ports::Introduction::Nobody, Introducing::ByXclient)),
];

/// What `introduce_submission` and `introduce_deliveries` may say: those protocols have no words of their own for it.
const HEADERS: [(&str, ports::Introduction); 3] = [
    ("none", ports::Introduction::Nobody),
    ("proxy-v1", ports::Introduction::ProxyV1),
    ("proxy-v2", ports::Introduction::ProxyV2),
];

fn password(file: &Path) -> Result<Password, String> {
    Password::new(first_line(file)?).map_err(|error| format!("{}: {error}", file.display()))
}

/// The first line of a file, which is a secret.
pub(super) fn first_line(file: &Path) -> Result<Vec<u8>, String> {
    let octets = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(octets.split(|octet| matches!(octet, b'\n' | b'\r')).next().unwrap_or_default().to_vec())
}

fn name(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.chars().any(char::is_control) { Err("is no name") } else { Ok(text.to_owned()) }
}

fn separator(text: &str) -> Result<char, &'static str> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(separator), None) if separator.is_ascii_punctuation() => Ok(separator),
        _ => Err("is not one mark such as \"*\""),
    }
}
