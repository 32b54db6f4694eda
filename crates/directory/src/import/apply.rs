//! From parsed lines to records: first the whole plan, then, if it may be, the writes.

mod aliases;
mod entries;

use super::{Line, LineError, Parsed, PasswdUser};
use crate::edit::{Behind, EditError, Editor, MailBehind, Seen, Shown};
use crate::engine::{Revision, TRANSACTION_OCTETS_MAX, TRANSACTION_OPERATIONS_MAX, Transaction};
use crate::explain::Silent;
use crate::key::AddressKey;
use crate::record::{AccountRecord, AliasRecord, PlacementRecord, Record, SecretRecord, address_key};
use crate::routing::{AccountView, Origin, Pin, Routing};
use mail_types::{AccountId, Domain, StoreName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How to import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// Whether to write.
    pub mode: Mode,
    /// What to do about lines that cannot be taken.
    pub bad_lines: BadLines,
}

/// Whether an import writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It only reports what it would do.
    DryRun,
    /// It writes.
    Write,
}

/// What bad lines and collisions do to an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLines {
    /// One of them, and nothing is written.
    Refuse,
    /// They are listed, all others are taken.
    Skip,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Whether the records were written.
    pub written: bool,
    /// New records.
    pub added: usize,
    /// Records that are already so.
    pub unchanged: usize,
    /// Records that become different, and how.
    pub changed: Vec<ReportLine>,
    /// Lines that contradict the directory, or an earlier line.
    pub collisions: Vec<ReportLine>,
    /// Lines that cannot be read.
    pub bad: Vec<ReportLine>,
    /// What lines say that has no meaning here.
    pub ignored: Vec<ReportLine>,
    /// What there is to know about lines that are taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<ReportLine>,
    /// Accounts that are pinned where they are, because the new rules would look for them elsewhere.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pinned: usize,
}

/// A line of the file, and something about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportLine {
    /// Its number, from 1.
    pub line: usize,
    /// What there is to say.
    pub text: String,
}

/// What one line becomes: `None` writes nothing.
type Planned = Option<Transaction>;

impl Editor<'_> {
    /// Imports the users of a passwd-file. `fresh_id` draws ids, `now` is in seconds since 1970.
    ///
    /// New accounts are placed by their lines, their placements, else by the rules. Of accounts that exist, password, state
    /// and quota become what the file says. Those that only a map has which is read live become the directory's own.
    pub async fn import_accounts(
        &self,
        parsed: &Parsed<PasswdUser>,
        options: ImportOptions,
        now: i64,
        fresh_id: &mut (dyn FnMut() -> AccountId + Send),
    ) -> Result<ImportReport, EditError> {
        let mut import = Import::new(*self, parsed).await?;
        for line in &parsed.items {
            let planned = import.account(line, now, fresh_id).await?;
            import.plan.extend(planned);
            if !line.item.ignored.is_empty() {
                import.report.ignored.push(ReportLine { line: line.number, text: line.item.ignored.join(" ") });
            }
        }
        import.finish(options).await
    }

    /// Imports a per-user map. Nobody with mail elsewhere is re-homed: such lines are collisions.
    pub async fn import_placements(
        &self,
        parsed: &Parsed<PlacementRecord>,
        options: ImportOptions,
        mail: &dyn MailBehind,
    ) -> Result<ImportReport, EditError> {
        let mut import = Import::new(*self, parsed).await?;
        for line in &parsed.items {
            let planned = import.placement(line.number, &line.item, mail).await?;
            import.plan.extend(planned);
        }
        import.finish(options).await
    }
}

struct Import<'e> {
    editor: Editor<'e>,
    routing: Routing,
    report: ImportReport,
    /// Written first: whoever has no placement stays where he is.
    pins: Vec<Pin>,
    plan: Vec<Transaction>,
    /// Domains and stores that were looked at: their revisions, or why nothing may refer to them.
    referred: BTreeMap<String, Referred>,
}

/// Key and revision, or why nothing may refer to it.
type Referred = Result<(String, Revision), String>;

/// What a new record names.
#[derive(Clone, Copy)]
enum Reference<'a> {
    Domain(&'a Domain),
    Store(&'a StoreName),
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => write!(f, "domain {domain}"),
            Self::Store(store) => write!(f, "store {store}"),
        }
    }
}

impl<'e> Import<'e> {
    async fn new<T>(editor: Editor<'e>, parsed: &Parsed<T>) -> Result<Self, EditError> {
        let mut report = ImportReport::default();
        for bad in &parsed.bad {
            let line = ReportLine { line: bad.number, text: bad.error.to_string() };
            match matches!(bad.error, LineError::Collision { .. }) {
                true => report.collisions.push(line),
                false => report.bad.push(line),
            }
        }
        let ignored = |line: &Line<String>| ReportLine { line: line.number, text: line.item.clone() };
        report.ignored.extend(parsed.ignored.iter().map(ignored));
        let routing = editor.routing().await?;
        Ok(Self { editor, routing, report, pins: Vec::new(), plan: Vec::new(), referred: BTreeMap::new() })
    }

    async fn finish(mut self, options: ImportOptions) -> Result<ImportReport, EditError> {
        let clean = self.report.bad.is_empty() && self.report.collisions.is_empty();
        let may_write = match options.bad_lines {
            BadLines::Refuse => clean,
            BadLines::Skip => true,
        };
        if options.mode == Mode::Write && may_write {
            // A line that says something else than a map that is read live is refused before anything is written. What
            // says the same becomes the directory's own.
            for one in &mut self.plan {
                one.takes_over = true;
                self.editor.may_commit(one).await?;
            }
            self.editor.pin_all(&self.pins).await?;
            let mut batch = Transaction::default();
            for one in self.plan {
                if !fits(&batch, &one) {
                    self.editor.commit(std::mem::take(&mut batch)).await?;
                }
                merge(&mut batch, one);
            }
            if !batch.writes.is_empty() {
                self.editor.commit(batch).await?;
            }
            self.report.written = true;
        }
        Ok(self.report)
    }

    async fn account(
        &mut self,
        line: &Line<PasswdUser>,
        now: i64,
        fresh_id: &mut (dyn FnMut() -> AccountId + Send),
    ) -> Result<Planned, EditError> {
        let address = &line.item.address;
        let account = self.routing.account(address);
        if self.routing.has_alias(&AddressKey::of(address)) {
            // An account that is there already has one beside it where a map that is read live says so.
            let is_ours = self.editor.own::<AliasRecord>(&address.to_string()).await?.is_some();
            if is_ours || !matches!(account, Origin::Found(_)) {
                return Ok(self.collides(line.number, format!("there is already alias {address}")));
            }
        }
        match account {
            Origin::Found(view) => self.known_account(line, &view).await,
            Origin::NotFound => self.new_account(line, now, fresh_id()).await,
            Origin::Unavailable => Ok(self.collides(line.number, format!("the record of {address} cannot be read"))),
        }
    }

    async fn new_account(&mut self, line: &Line<PasswdUser>, now: i64, id: AccountId) -> Result<Planned, EditError> {
        let PasswdUser { address, password, state, quota_bytes, quota_messages, .. } = line.item.clone();
        let domain = Reference::Domain(address.domain());
        let Some(commit) = self.hold(line.number, Transaction::default(), domain).await? else { return Ok(None) };
        let Some(commit) = self.place(line, commit).await? else { return Ok(None) };
        let commit = commit.expect(address_key(AliasRecord::PREFIX, &address), Revision::ZERO);
        let secret = SecretRecord { address: address.clone(), passwords: password.into_iter().collect() };
        let account =
            AccountRecord { address, id, state, quota_bytes, quota_messages, forward: Vec::new(), created: now };
        self.report.added += 1;
        Ok(Some(add(add(commit, &secret), &account)))
    }

    /// Places an account that the directory gets: where its line says, else where it would be.
    async fn place(&mut self, line: &Line<PasswdUser>, commit: Transaction) -> Result<Planned, EditError> {
        let PasswdUser { address, placement, .. } = &line.item;
        let seen = match self.routing.has_placement(&AddressKey::of(address)) {
            true => self.editor.placement_of(address).await?,
            false => Seen::Nothing,
        };
        let home = |import: &Self| import.routing.place_new_account(address, &mut Silent);
        let store = match (&seen, placement) {
            (Seen::Kept(held), Some(wanted)) if held.record.store != wanted.store => {
                let (held, wanted) = (&held.record.store, &wanted.store);
                return Ok(self.collides(line.number, format!("{address} is placed at {held}, and not at {wanted}")));
            }
            (Seen::Live(live), Some(wanted)) if live.record.store != wanted.store => {
                let text = elsewhere_live(&live.record);
                return Ok(self.collides(line.number, text));
            }
            (_, Some(wanted)) => wanted.store.clone(),
            (_, None) => match home(self) {
                Ok(store) => store,
                Err(_) => {
                    let text = format!("no placement, rule or default gives {address} a store");
                    return Ok(self.collides(line.number, text));
                }
            },
        };
        let Some(commit) = self.hold(line.number, commit, Reference::Store(&store)).await? else { return Ok(None) };
        Ok(Some(match seen {
            Seen::Kept(_) => commit,
            Seen::Live(Shown { record, revision }) => {
                let record = placement.clone().unwrap_or(record);
                commit.expect(record.key(), revision).put(record.key(), record.encode())
            }
            Seen::Nothing => {
                let by_rules = PlacementRecord { address: address.clone(), store, user: None };
                add(commit, &placement.clone().unwrap_or(by_rules))
            }
        }))
    }

    /// What the file says of an account that exists.
    async fn known_account(&mut self, line: &Line<PasswdUser>, view: &AccountView) -> Result<Planned, EditError> {
        let (user, name) = (&line.item, view.address.to_string());
        let shown = self.editor.show::<AccountRecord>(&name).await?;
        let secret = self.editor.find::<SecretRecord>(&name).await?;
        let mut commit = Transaction::default().expect(shown.record.key(), shown.revision);
        let mut differs = Vec::new();
        if self.editor.is_live(&shown.record.key(), shown.revision)? {
            let secret = secret.map_or(Revision::ZERO, |secret| secret.revision);
            return self.take_over(line, shown, secret).await;
        }
        self.note_elsewhere(line);
        let passwords: Vec<_> = user.password.iter().cloned().collect();
        if secret.as_ref().map_or(&[][..], |secret| &secret.record.passwords) != passwords {
            let seen = secret.map_or(Revision::ZERO, |secret| secret.revision);
            let record = SecretRecord { address: view.address.clone(), passwords };
            commit = commit.expect(record.key(), seen).put(record.key(), record.encode());
            differs.push("password");
        }
        let mut account = shown.record.clone();
        (account.state, account.quota_bytes, account.quota_messages) =
            (user.state, user.quota_bytes, user.quota_messages);
        if account.state != shown.record.state {
            differs.push("state");
        }
        if (account.quota_bytes, account.quota_messages) != (shown.record.quota_bytes, shown.record.quota_messages) {
            differs.push("quota");
        }
        if account != shown.record {
            commit = commit.put(account.key(), account.encode());
        }
        if differs.is_empty() {
            self.report.unchanged += 1;
            return Ok(None);
        }
        self.changes(line.number, format!("{name}: {}", differs.join(", ")));
        Ok(Some(commit))
    }

    /// An account that only a map has which is read live becomes the directory's, with the id that it has.
    async fn take_over(
        &mut self,
        line: &Line<PasswdUser>,
        shown: Shown<AccountRecord>,
        secret: Revision,
    ) -> Result<Planned, EditError> {
        let PasswdUser { password, state, quota_bytes, quota_messages, .. } = line.item.clone();
        let domain = Reference::Domain(shown.record.address.domain());
        let Some(commit) = self.hold(line.number, Transaction::default(), domain).await? else { return Ok(None) };
        let Some(commit) = self.place(line, commit).await? else { return Ok(None) };
        let account = AccountRecord { state, quota_bytes, quota_messages, ..shown.record };
        let passwords = SecretRecord { address: account.address.clone(), passwords: password.into_iter().collect() };
        self.takes_over(line.number, &account.address);
        let commit = commit.expect(account.key(), shown.revision).put(account.key(), account.encode());
        Ok(Some(commit.expect(passwords.key(), secret).put(passwords.key(), passwords.encode())))
    }

    /// An account that exists stays where it is.
    fn note_elsewhere(&mut self, line: &Line<PasswdUser>) {
        let PasswdUser { address, placement, .. } = &line.item;
        let Some(wanted) = placement.as_ref().map(|placed| &placed.store) else { return };
        match self.routing.place_new_account(address, &mut Silent) {
            Ok(store) if store != *wanted => {
                let text = format!("{address} stays at store {store}; the line says {wanted}");
                self.report.notes.push(ReportLine { line: line.number, text });
            }
            Ok(_) | Err(_) => {}
        }
    }

    async fn placement(
        &mut self,
        line: usize,
        placement: &PlacementRecord,
        mail: &dyn MailBehind,
    ) -> Result<Planned, EditError> {
        let PlacementRecord { address, store, .. } = placement;
        let held = self.editor.placement_of(address).await?;
        let is_so = |held: &Shown<PlacementRecord>| (&held.record.store, &held.record.user) == (store, &placement.user);
        match &held {
            Seen::Kept(kept) if is_so(kept) => {
                self.report.unchanged += 1;
                return Ok(None);
            }
            // The directory's own would hold from now on, over what another map says.
            Seen::Live(live) if !is_so(live) => return Ok(self.collides(line, elsewhere_live(&live.record))),
            Seen::Kept(_) | Seen::Live(_) | Seen::Nothing => {}
        }
        let now = self.routing.place_new_account(address, &mut Silent);
        if let Ok(now) = now
            && now != *store
        {
            match mail.mail_behind(address, &now).await {
                Behind::Nothing => {}
                Behind::Mail => {
                    return Ok(self
                        .collides(line, format!("{address} has mail at store {now} and cannot be placed elsewhere")));
                }
                Behind::Unknown => {
                    let text = format!("store {now} does not answer whether {address} has mail there");
                    return Ok(self.collides(line, text));
                }
            }
        }
        let domain = Reference::Domain(address.domain());
        let Some(commit) = self.hold(line, Transaction::default(), domain).await? else { return Ok(None) };
        let Some(commit) = self.hold(line, commit, Reference::Store(store)).await? else { return Ok(None) };
        let seen = match held {
            Seen::Live(live) => {
                self.takes_over(line, address);
                live.revision
            }
            Seen::Kept(held) => {
                self.changes(line, moved(&held.record, placement));
                held.revision
            }
            Seen::Nothing => {
                self.report.added += 1;
                Revision::ZERO
            }
        };
        Ok(Some(commit.expect(placement.key(), seen).put(placement.key(), placement.encode())))
    }

    /// Expects what a new record names to stay; `None`, and a collision, if nothing may refer to it.
    async fn hold(&mut self, line: usize, commit: Transaction, reference: Reference<'_>) -> Result<Planned, EditError> {
        Ok(match self.revision_of(reference).await? {
            Ok((key, revision)) => Some(commit.expect(key, revision)),
            Err(text) => self.collides(line, text),
        })
    }

    /// The key and revision of a domain or store that takes new records, or why it does not; asked once for each.
    async fn revision_of(&mut self, reference: Reference<'_>) -> Result<Referred, EditError> {
        let name = reference.to_string();
        if let Some(known) = self.referred.get(&name) {
            return Ok(known.clone());
        }
        let found = match reference {
            Reference::Domain(domain) => self.editor.open_domain(domain).await,
            Reference::Store(store) => self.editor.open_store(store).await,
        };
        let referred = match found {
            Ok(found) => Ok(found),
            Err(refusal @ (EditError::NotFound { .. } | EditError::Closing { .. })) => Err(refusal.to_string()),
            Err(error) => return Err(error),
        };
        self.referred.insert(name, referred.clone());
        Ok(referred)
    }

    fn collides(&mut self, line: usize, text: String) -> Planned {
        self.report.collisions.push(ReportLine { line, text });
        None
    }

    /// The directory gets what only a map has that is read live.
    fn takes_over(&mut self, line: usize, what: impl fmt::Display) {
        self.changes(line, format!("{what}: from the map that is read live to the directory"));
    }

    fn changes(&mut self, line: usize, text: String) {
        self.report.changed.push(ReportLine { line, text });
    }
}

/// What a changed entry of the map changes: the store, or the name by which it knows its user.
fn moved(from: &PlacementRecord, to: &PlacementRecord) -> String {
    let user = |record: &PlacementRecord| record.user.clone().unwrap_or_else(|| "none".to_owned());
    let mut changes = Vec::new();
    if from.store != to.store {
        changes.push(format!("from store {} to store {}", from.store, to.store));
    }
    if from.user != to.user {
        changes.push(format!("from user {} to user {}", user(from), user(to)));
    }
    format!("{}: {}", to.address, changes.join(", "))
}

/// Why a line does not place somebody.
fn elsewhere_live(live: &PlacementRecord) -> String {
    let PlacementRecord { address, store, user } = live;
    let user = user.as_ref().map_or_else(String::new, |user| format!(" as {user}"));
    format!("a map that is read live has {address} at {store}{user}: change it there")
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn add<R: Record>(commit: Transaction, record: &R) -> Transaction {
    commit.expect(record.key(), Revision::ZERO).put(record.key(), record.encode())
}

/// Whether a batch has room for another line's records.
fn fits(batch: &Transaction, one: &Transaction) -> bool {
    batch.expected.len() + one.expected.len() <= TRANSACTION_OPERATIONS_MAX
        && batch.writes.len() + one.writes.len() <= TRANSACTION_OPERATIONS_MAX
        && batch.octets() + one.octets() <= TRANSACTION_OCTETS_MAX
}

/// Adds to a batch; what both expect (a domain, a store) stands once.
fn merge(batch: &mut Transaction, one: Transaction) {
    for expected in one.expected {
        if !batch.expected.contains(&expected) {
            batch.expected.push(expected);
        }
    }
    batch.writes.extend(one.writes);
    batch.takes_over |= one.takes_over;
}
