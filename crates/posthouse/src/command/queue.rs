//! `posthouse queue`

use super::Run;
use super::client::{Client, Target};
use super::failure::Failure;
use super::record::{Form, Kind, Listing};
use super::screen::Screen;
use super::size;
use super::table::{Column, field, plain, sheet};
use admin::{ListJson, QueuedJson, QueuedRecipientJson};
use mail_types::UnixTime;
use serde_json::{Value, json};

/// Mail that waits for a store.
#[derive(Debug, clap::Subcommand)]
pub enum Queue {
    /// Lists messages, oldest first.
    List(List),
    /// Shows a message, and everybody who waits for it.
    Show(Show),
    /// Tries messages now, whenever their time would come.
    Retry(Which),
    /// Keeps messages from being tried, until they are released.
    Hold(Which),
    /// Lets messages be tried again, at once.
    Release(Which),
    /// Takes messages out of the queue: nobody who waits for them gets them.
    Remove(Remove),
}

/// `queue list`
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only messages with somebody who waits for this store.
    #[arg(long)]
    store: Option<String>,
    #[command(flatten)]
    form: Form,
}

/// `queue show`
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The delivery id.
    id: String,
    /// As JSON, one object.
    #[arg(long)]
    json: bool,
}

/// Of which messages.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Their delivery ids.
    #[arg(required_unless_present_any = ["all", "store"], conflicts_with_all = ["all", "store"])]
    ids: Vec<String>,
    /// Of all; those that are held are not tried, and only those are released.
    #[arg(long, conflicts_with = "store")]
    all: bool,
    /// Of all with somebody who waits for this store.
    #[arg(long)]
    store: Option<String>,
}

/// `queue remove`
#[derive(Debug, clap::Args)]
pub struct Remove {
    /// Their delivery ids.
    #[arg(required = true)]
    ids: Vec<String>,
    /// Removes them; without it you are told who would lose what.
    #[arg(long)]
    yes: bool,
}

const KIND: Kind = Kind {
    one: "message",
    many: "messages",
    columns: &[
        Column { head: "ID", cell: |message| field(message, "id") },
        Column { head: "QUEUED", cell: |message| time(message, "queued") },
        Column { head: "SIZE", cell: |message| size::show(number(message, "octets")) },
        Column { head: "FROM", cell: |message| field(message, "from") },
        Column { head: "TO", cell: to },
        Column { head: "STORE", cell: stores },
        Column { head: "NEXT", cell: next },
    ],
};

impl Run for Queue {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            Self::List(List { store, form }) => {
                let mut listing = Listing::new(&KIND, form);
                let mut page = Page::default();
                while let Some(items) = page.turn(store.as_deref(), node).await? {
                    listing.print(&items, screen)?;
                }
                listing.end(screen)
            }
            Self::Show(Show { id, json }) => show(&id, json, node, screen).await,
            Self::Retry(which) => order(which, "retry", "will be tried now", |held| !held, node, screen).await,
            Self::Hold(which) => order(which, "hold", "is held", |held| !held, node, screen).await,
            Self::Release(which) => order(which, "release", "is released", |held| held, node, screen).await,
            Self::Remove(Remove { ids, yes }) => remove(&ids, yes, node, screen).await,
        }
    }
}

/// A walk through the queue.
#[derive(Default)]
struct Page {
    after: Option<String>,
    ended: bool,
}

impl Page {
    /// The next entries; of a store, if one is named.
    async fn turn(&mut self, store: Option<&str>, node: &Client) -> Result<Option<Vec<Value>>, Failure> {
        if self.ended {
            return Ok(None);
        }
        let target = Target::of("queue").with("limit", Some(PAGE)).with("after", self.after.as_deref());
        let mut page: ListJson = node.get(target).await?;
        self.after = page.next;
        self.ended = self.after.is_none();
        page.items.retain(|message| {
            store.is_none_or(|store| recipients(message).iter().any(|recipient| field(recipient, "store") == store))
        });
        Ok(Some(page.items))
    }
}

async fn show(id: &str, as_json: bool, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let message: QueuedJson = node.get(Target::named("queue", id)).await?;
    if as_json {
        screen.say(json!(message))?;
        return Ok(0);
    }
    let time = |secs: Option<i64>| secs.map_or_else(String::new, |secs| UnixTime::from_secs(secs).to_string());
    let mut lines = vec![
        ("id".to_owned(), message.id),
        ("from".to_owned(), message.from),
        ("size".to_owned(), size::show(message.octets)),
        ("queued".to_owned(), time(message.queued)),
        ("next".to_owned(), if message.held { "held".to_owned() } else { time(message.next) }),
    ];
    for recipient in &message.recipients {
        let QueuedRecipientJson { attempts, next, refused, .. } = recipient;
        let next = if message.held { "held".to_owned() } else { format!("next {}", time(Some(*next))) };
        let mut text = format!("{}; {attempts} attempts, {next}", named(recipient));
        if let Some(refused) = refused {
            text = format!("{text}; refused: {refused}");
        }
        lines.push(("waits".to_owned(), text));
    }
    lines.retain(|(_, text)| !text.is_empty());
    sheet(&lines).iter().try_for_each(|line| screen.say(line))?;
    Ok(0)
}

/// Orders something for messages that are named, or for all for which it means something.
async fn order(
    which: Which,
    order: &str,
    done: &str,
    meant: fn(bool) -> bool,
    node: &Client,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let Which { ids, all, store } = which;
    let named = !all && store.is_none();
    let mut wanted = ids;
    if !named {
        let mut page = Page::default();
        while let Some(items) = page.turn(store.as_deref(), node).await? {
            let meant = items.iter().filter(|message| meant(message.get("held") == Some(&Value::Bool(true))));
            wanted.extend(meant.map(|message| field(message, "id")));
        }
        // A message of very many recipients has several entries.
        wanted.dedup();
    }
    for id in &wanted {
        let ordered = node.post::<QueuedJson>(Target::named("queue", id).then(order), &json!({})).await;
        match ordered {
            Ok(_) if named => screen.say(format_args!("message {id} {done}"))?,
            Ok(_) => {}
            // It may have been delivered meanwhile, which is as good.
            Err(Failure::Refused(why)) if !named => screen.remark(format_args!("posthouse: {}", plain(&why)))?,
            Err(failure) => return Err(failure),
        }
    }
    if !named {
        let count = wanted.len();
        screen.say(format_args!("{order}: {count} {}", if count == 1 { "message" } else { "messages" }))?;
    }
    Ok(0)
}

async fn remove(ids: &[String], yes: bool, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    for id in ids {
        let target = Target::named("queue", id);
        let message: QueuedJson = if yes { node.delete(target).await? } else { node.get(target).await? };
        let (would, did) = if yes { ("does not get it", "removed") } else { ("would not get it", "would remove") };
        screen.say(format_args!("{did} message {id} from {}", plain(&message.from)))?;
        for recipient in &message.recipients {
            screen.say(format_args!("  {} {would}", plain(&named(recipient))))?;
        }
    }
    if yes { Ok(0) } else { Err(Failure::usage("nothing is removed yet: say --yes")) }
}

fn named(recipient: &QueuedRecipientJson) -> String {
    let QueuedRecipientJson { recipient, address, store, .. } = recipient;
    match recipient == address {
        true => format!("{address} at store {store}"),
        false => format!("{recipient} (account {address}) at store {store}"),
    }
}

fn recipients(message: &Value) -> &[Value] {
    message.get("recipients").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The first who waits, and how many others.
fn to(message: &Value) -> String {
    match recipients(message) {
        [] => String::new(),
        [only] => field(only, "recipient"),
        [first, others @ ..] => format!("{} and {} more", field(first, "recipient"), others.len()),
    }
}

fn stores(message: &Value) -> String {
    let mut stores: Vec<String> = recipients(message).iter().map(|recipient| field(recipient, "store")).collect();
    stores.sort();
    stores.dedup();
    stores.join(", ")
}

fn next(message: &Value) -> String {
    let refused = recipients(message).iter().any(|recipient| recipient.get("refused").is_some());
    match (field(message, "held").as_str(), refused) {
        ("yes", _) => "held".to_owned(),
        (_, true) => format!("{} (refused)", time(message, "next")),
        (_, false) => time(message, "next"),
    }
}

fn time(message: &Value, name: &str) -> String {
    let secs = message.get(name).and_then(Value::as_i64);
    secs.map_or_else(String::new, |secs| UnixTime::from_secs(secs).to_string())
}

fn number(message: &Value, name: &str) -> u64 {
    message.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// Entries in a page; each may have over a hundred recipients.
const PAGE: &str = "100";
