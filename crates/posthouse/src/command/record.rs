//! What all kinds of records have in common on the command line.

use super::client::{Client, Target};
use super::failure::Failure;
use super::screen::Screen;
use super::size;
use super::table::{Column, Table, plain, sheet, text};
use admin::{ListJson, PinsJson};
use mail_types::UnixTime;
use serde_json::{Map, Value};
use std::io::Write;

/// A kind of records.
pub(super) struct Kind {
    /// One of them.
    pub(super) one: &'static str,
    /// All of them; also their path.
    pub(super) many: &'static str,
    /// What a listing shows.
    pub(super) columns: &'static [Column],
}

/// `list`, of records that are addresses.
#[derive(Debug, clap::Args)]
pub struct AddressList {
    /// Only addresses of this domain.
    #[arg(long)]
    domain: Option<String>,
    /// Only what is at this store.
    #[arg(long)]
    store: Option<String>,
    #[command(flatten)]
    form: Form,
}

/// In which form a result is wanted.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Form {
    /// As JSON: an array with one record a line.
    #[arg(long)]
    pub(super) json: bool,
}

/// `show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Which.
    name: String,
    /// As JSON, one object.
    #[arg(long)]
    json: bool,
}

/// `remove`.
#[derive(Debug, clap::Args)]
pub struct Remove {
    /// Which.
    #[arg(required = true)]
    pub(super) names: Vec<String>,
}

/// For changes that decide for many accounts.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct DryRun {
    /// Writes nothing; says which accounts would be pinned where they are.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// A word that means "none" where a value is taken back.
pub(super) const NONE: &str = "none";

impl AddressList {
    pub(super) async fn run(self, kind: &Kind, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        let at_store = |record: &Value| {
            self.store.as_ref().is_none_or(|store| record.get("store").and_then(Value::as_str) == Some(store.as_str()))
        };
        list(kind, self.domain.as_deref(), self.form, at_store, node, screen).await
    }
}

/// Lists all records of a kind, page by page.
pub(super) async fn list(
    kind: &Kind,
    domain: Option<&str>,
    form: Form,
    wanted: impl Fn(&Value) -> bool,
    node: &Client,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let mut listing = Listing::new(kind, form);
    let mut after = None::<String>;
    loop {
        let page = Target::of(kind.many).with("limit", Some(PAGE)).with("domain", domain);
        let mut page: ListJson = node.get(page.with("after", after.as_deref())).await?;
        page.items.retain(&wanted);
        listing.print(&page.items, screen)?;
        for flaw in &page.unreadable {
            screen.remark(format_args!("posthouse: {} cannot be read: {}", plain(&flaw.key), plain(&flaw.error)))?;
            listing.flawed = true;
        }
        after = page.next;
        if after.is_none() {
            return listing.end(screen);
        }
    }
}

/// Prints records as they come.
pub(super) struct Listing<'k> {
    kind: &'k Kind,
    form: Form,
    table: Table,
    count: usize,
    flawed: bool,
}

impl<'k> Listing<'k> {
    pub(super) fn new(kind: &'k Kind, form: Form) -> Self {
        Self { kind, form, table: Table::new(kind.columns), count: 0, flawed: false }
    }

    pub(super) fn print(&mut self, items: &[Value], screen: &mut Screen<'_>) -> Result<(), Failure> {
        if self.form.json {
            for item in items {
                let before = if self.count == 0 { "[\n" } else { ",\n" };
                write!(screen.out, "{before}{item}")?;
                self.count += 1;
            }
            return Ok(());
        }
        self.count += items.len();
        match items {
            [] => Ok(()),
            items => self.table.lines(items).iter().try_for_each(|line| screen.say(line)),
        }
    }

    /// Ends the listing; a record that could not be read is a failure.
    pub(super) fn end(self, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match (self.form.json, self.count) {
            (true, 0) => screen.say("[]")?,
            (true, _) => screen.say("\n]")?,
            (false, 0) => screen.remark(format_args!("no {}", self.kind.many))?,
            (false, _) => {}
        }
        Ok(u8::from(self.flawed))
    }
}

impl Show {
    pub(super) async fn run(self, kind: &Kind, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        let record: Value = node.get(Target::named(kind.many, &self.name)).await?;
        print_record(&record, self.json, screen)
    }
}

/// A record, field by field.
pub(super) fn print_record(record: &Value, json: bool, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    if json {
        screen.say(record)?;
        return Ok(0);
    }
    let fields = record.as_object().cloned().unwrap_or_default();
    let lines: Vec<(String, String)> =
        fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| readable(name, value)).collect();
    sheet(&lines).iter().try_for_each(|line| screen.say(line))?;
    Ok(0)
}

/// A field and its value as people write it.
fn readable(name: &str, value: &Value) -> (String, String) {
    let shown = match (name, value.as_u64(), value.as_i64()) {
        ("quota_bytes", Some(octets), _) => size::show(octets),
        ("created", _, Some(seconds)) => UnixTime::from_secs(seconds).to_string(),
        _ => text(value),
    };
    (name.to_owned(), shown)
}

impl Remove {
    /// Removes all of them, or stops at the first that is refused.
    pub(super) async fn run(self, kind: &Kind, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        for name in &self.names {
            let _: Value = node.delete(Target::named(kind.many, name)).await?;
            screen.say(format_args!("removed {} {name}", kind.one))?;
        }
        Ok(0)
    }
}

/// Says what a change kept where it is.
pub(super) fn print_pins(done: &str, pins: &PinsJson, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    match pins.dry_run {
        true => screen.say(format_args!("would have {done}; {} accounts would be pinned", pins.pinned))?,
        false if pins.pinned == 0 => screen.say(done)?,
        false => screen.say(format_args!("{done}; {} accounts pinned where they are", pins.pinned))?,
    }
    pins.first.iter().try_for_each(|pin| screen.say(format_args!("  {}", plain(pin))))?;
    match pins.pinned.saturating_sub(pins.first.len()) {
        0 => {}
        more => screen.say(format_args!("  and {more} more"))?,
    }
    pins.warnings.iter().try_for_each(|warning| remark_warning(warning, screen))?;
    Ok(0)
}

/// Says what the node found worth a word about a record that it has written.
pub(super) fn remark_warnings(written: &Value, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let warnings = written.get("warnings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    warnings.iter().filter_map(Value::as_str).try_for_each(|warning| remark_warning(warning, screen))
}

fn remark_warning(warning: &str, screen: &mut Screen<'_>) -> Result<(), Failure> {
    screen.remark(format_args!("posthouse: warning: {}", plain(warning)))
}

/// The fields of a request, of which only those that were given are sent.
#[derive(Default)]
pub(super) struct Given(Map<String, Value>);

impl Given {
    /// A field, if it was given.
    pub(super) fn put(&mut self, field: &str, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.0.insert(field.to_owned(), value.into());
        }
        self
    }

    /// A field that `none` takes back.
    pub(super) fn put_or_none(&mut self, field: &str, value: Option<String>) -> &mut Self {
        let value = value.map(|text| if text == NONE { Value::Null } else { text.into() });
        self.put(field, value)
    }

    /// The request; one that says nothing is a mistake.
    pub(super) fn body(self) -> Result<Value, Failure> {
        match self.0.is_empty() {
            true => Err(Failure::usage("nothing to change: see --help for what can be")),
            false => Ok(Value::Object(self.0)),
        }
    }
}

/// Records in a page.
const PAGE: &str = "1000";
