//! Dovecot's passwd-file: `user:password:uid:gid:gecos:home:shell:extra fields`.

use super::pieces::Form;
use super::reading::{Grammar, Keyed, Said};
use super::{LineError, Parsed, StoreMap, addresses};
use crate::record::{AccountState, PasswordHash, PlacementRecord, Record};
use mail_types::{Address, Domain, StoreName};

/// A user of a passwd-file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswdUser {
    /// His address.
    pub address: Address,
    /// His password hash; `None` where the field is empty, which lets nobody in.
    pub password: Option<PasswordHash>,
    /// `no-login` where the line says `nologin`.
    pub state: AccountState,
    /// From `userdb_quota_rule`.
    pub quota_bytes: Option<u64>,
    /// From `userdb_quota_rule`.
    pub quota_messages: Option<u64>,
    /// Where Dovecot's proxy sends him: the store of `host` and `port`, and what it calls him.
    pub placement: Option<PlacementRecord>,
    /// Names of extra fields that have no meaning here.
    pub ignored: Vec<String>,
}

/// Reads a passwd-file. A user without a domain becomes one in each of `own`; a `host` that users are handed on to is one
/// of `stores`.
pub fn passwd_file(bytes: &[u8], own: &[Domain], stores: &StoreMap) -> Parsed<PasswdUser> {
    passwd_lines(own, stores).parse(bytes)
}

pub(crate) fn passwd_lines<'n>(
    own: &'n [Domain],
    stores: &'n StoreMap,
) -> Grammar<impl Fn(&str) -> Result<Said<PasswdUser>, LineError> + Sync> {
    let said = |line: &str| {
        let mut fields = line.splitn(8, ':');
        let key = fields.next().unwrap_or_default().trim();
        if key.is_empty() {
            return Err(LineError::NoKey);
        }
        // A login `user%domain` means `user@domain`, so nobody would reach an account that is called so.
        if !key.contains('@') && key.contains('%') {
            let why = "a login of that name means another account, so nobody could log in to it";
            return Err(LineError::Refused { value: key.to_owned(), why });
        }
        // Only the password follows; uid, gid, gecos, home and shell belong to the machine that is left behind.
        let password = password(key, fields.next().ok_or(LineError::NoSeparator)?)?;
        let extra = Extra::parse(fields.nth(5).unwrap_or_default())?;
        let place = extra.place(key, stores)?;
        let user = |address: Address| {
            let placed = |place: &Place| PlacementRecord {
                address: address.clone(),
                store: place.store.clone(),
                user: place.user.clone(),
            };
            let user = PasswdUser {
                address: address.clone(),
                password: password.clone(),
                state: extra.state,
                quota_bytes: extra.quota_bytes,
                quota_messages: extra.quota_messages,
                placement: place.as_ref().map(placed),
                ignored: extra.ignored.clone(),
            };
            match user.placement.as_ref().is_some_and(|placed| placed.check().is_err()) {
                true => Err(LineError::BadField { field: "destuser".to_owned() }),
                false => Ok(Keyed::address(&address, Some(user))),
            }
        };
        Ok(addresses(key, own)?.into_iter().map(user).collect::<Result<Vec<_>, _>>()?.into())
    };
    Grammar { form: Form::Lines, said }
}

/// Where a user is handed on to.
struct Place {
    store: StoreName,
    user: Option<String>,
}

/// `{SCHEME}hash`; without a scheme it is crypt's, as Dovecot takes it.
fn password(key: &str, field: &str) -> Result<Option<PasswordHash>, LineError> {
    if field.is_empty() {
        return Ok(None);
    }
    let text = match field.starts_with('{') {
        true => field.to_owned(),
        false => format!("{{CRYPT}}{field}"),
    };
    PasswordHash::parse(&text).map(Some).map_err(|_| LineError::BadPassword { key: key.to_owned() })
}

#[derive(Default)]
struct Extra {
    state: AccountState,
    /// `proxy` or `proxy_maybe`: he is handed on to a host.
    is_proxied: bool,
    host: Option<String>,
    port: Option<String>,
    destuser: Option<String>,
    quota_bytes: Option<u64>,
    quota_messages: Option<u64>,
    ignored: Vec<String>,
}

impl Extra {
    /// Fields separated by blanks: `name=value` or `name`.
    fn parse(text: &str) -> Result<Self, LineError> {
        let mut extra = Self::default();
        for field in text.split_whitespace() {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            match name {
                "nologin" => extra.state = AccountState::NoLogin,
                "proxy" | "proxy_maybe" => extra.is_proxied = !is_no(value),
                "host" => extra.host = Some(value.to_owned()),
                "port" => extra.port = Some(value.to_owned()),
                "destuser" => extra.destuser = Some(value.to_owned()).filter(|user| !user.is_empty()),
                // `userdb_quota_rule2` and so on are rules of single mailboxes.
                "userdb_quota_rule" if value.starts_with("*:") => {
                    let bad = || LineError::BadField { field: name.to_owned() };
                    extra.quota(value.trim_start_matches("*:")).ok_or_else(bad)?;
                }
                other => extra.ignored.push(other.to_owned()),
            }
        }
        extra.sort_out();
        Ok(extra)
    }

    /// Names what has no meaning where the fields that it goes with are not there.
    fn sort_out(&mut self) {
        if self.is_proxied && self.host.is_some() {
            // With an empty password the back-end judges; one that stands beside it is checked all the same.
            self.ignored.retain(|field| field != "nopassword");
            // Dovecot hands on whom it proxies: `nologin` is for the referral that a client gets where there is no `proxy`.
            if self.state == AccountState::NoLogin {
                self.state = AccountState::Active;
                self.ignored.push("nologin".to_owned());
            }
            return;
        }
        let alone = [
            ("proxy", self.is_proxied),
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("destuser", self.destuser.is_some()),
        ];
        self.ignored.extend(alone.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name.to_owned()));
    }

    /// The store that he is handed on to. Without `destuser`, Dovecot hands on the name as it was typed; so for a key
    /// without a domain the back-end's name of the user is that key, or his address.
    fn place(&self, key: &str, stores: &StoreMap) -> Result<Option<Place>, LineError> {
        let Some(host) = self.host.as_deref().filter(|_| self.is_proxied) else { return Ok(None) };
        let shown = match (&self.port, host.contains(':')) {
            (Some(port), true) => format!("[{host}]:{port}"),
            (None, true) => format!("[{host}]"),
            (Some(port), false) => format!("{host}:{port}"),
            (None, false) => host.to_owned(),
        };
        let store = stores.find(&shown)?;
        let user = self.destuser.clone().or_else(|| stores.name_of(key).map(str::to_owned));
        Ok(Some(Place { store, user }))
    }

    /// `storage=1G:messages=1000`, or `bytes=` (Dovecot: storage counts kilobytes where no unit stands).
    fn quota(&mut self, rule: &str) -> Option<()> {
        for limit in rule.split(':') {
            match limit.split_once('=')? {
                ("storage", size) => self.quota_bytes = some_limit(octets(size, 1024)?),
                ("bytes", size) => self.quota_bytes = some_limit(octets(size, 1)?),
                ("messages", count) => self.quota_messages = some_limit(count.parse().ok()?),
                _ => return None,
            }
        }
        Some(())
    }
}

/// `proxy=n` and `proxy=no` say that he is not handed on; a field without a value is meant.
fn is_no(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "n" | "no" | "f" | "false" | "0")
}

/// Zero means no limit.
fn some_limit(limit: u64) -> Option<u64> {
    (limit > 0).then_some(limit)
}

fn octets(size: &str, bare_unit: u64) -> Option<u64> {
    let digits = size.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match size.strip_prefix(digits)?.to_ascii_uppercase().as_str() {
        "" => bare_unit,
        "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}
