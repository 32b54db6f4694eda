//! `posthouse who` and `posthouse kick`

use super::Run;
use super::client::{Client, Target};
use super::failure::Failure;
use super::record::{Form, Kind, Listing};
use super::screen::Screen;
use super::table::{Column, text};
use admin::{KickedJson, SessionFilter, SessionsJson};
use mail_types::UnixTime;
use ports::Protocol;
use serde_json::Value;

/// `posthouse who`
#[derive(Debug, clap::Args)]
pub struct Who {
    /// Only sessions of this account, or in this protocol (smtp, lmtp, imap, pop3, submission, sieve); one of each at most.
    #[arg(value_name = "ACCOUNT|PROTOCOL", num_args = 0..=2)]
    filters: Vec<String>,
    /// Only sessions from this address, or address and port.
    #[arg(long, value_name = "ADDR")]
    client: Option<String>,
    #[command(flatten)]
    form: Form,
}

/// `posthouse kick`
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub struct Kick {
    /// The sessions that are logged in as this address.
    #[arg(value_name = "ACCOUNT")]
    account: Option<String>,
    /// The sessions from this address, or address and port.
    #[arg(long, value_name = "ADDR")]
    client: Option<String>,
    /// The session with this number (see `posthouse who`).
    #[arg(long)]
    id: Option<u64>,
}

impl Run for Who {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        let filter = filter(&self.filters, self.client)?;
        let (mut listing, mut after) = (Listing::new(&KIND, self.form), None::<String>);
        loop {
            let page = Target::of(KIND.many)
                .with("account", filter.account.as_deref())
                .with("protocol", filter.protocol.as_deref())
                .with("client", filter.client.as_deref())
                .with("limit", Some(PAGE));
            let page: SessionsJson = node.get(page.with("after", after.as_deref())).await?;
            let value = |session| serde_json::to_value(session).expect(VALID);
            let sessions: Vec<Value> = page.items.iter().map(value).collect();
            listing.print(&sessions, screen)?;
            match page.next {
                Some(next) => after = Some(next.to_string()),
                None => return listing.end(screen),
            }
        }
    }
}

impl Run for Kick {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        let filter = SessionFilter { account: self.account, client: self.client, id: self.id, protocol: None };
        let filter = serde_json::to_value(filter).expect(VALID);
        let KickedJson { kicked } = node.post(Target::of("kick"), &filter).await?;
        let plural = if kicked == 1 { "" } else { "s" };
        screen.say(format_args!("{kicked} session{plural} asked to leave"))?;
        Ok(u8::from(kicked == 0))
    }
}

/// What has an `@` is an account, what is a protocol's name is one.
fn filter(words: &[String], client: Option<String>) -> Result<SessionFilter, Failure> {
    let mut filter = SessionFilter { client, ..SessionFilter::default() };
    for word in words {
        let place = match Protocol::parse(word) {
            Some(_) => &mut filter.protocol,
            None if word.contains('@') => &mut filter.account,
            None => {
                let names = Protocol::ALL.map(Protocol::name).join(", ");
                return Err(Failure::usage(format!("{word} is neither an address nor one of {names}")));
            }
        };
        if let Some(other) = place.replace(word.clone()) {
            return Err(Failure::usage(format!("{other} and {word}: give one of them")));
        }
    }
    Ok(filter)
}

fn since(session: &Value) -> String {
    session["since"].as_i64().map_or_else(String::new, |secs| UnixTime::from_secs(secs).to_string())
}

const KIND: Kind = Kind { one: "session", many: "sessions", columns: COLUMNS };
const COLUMNS: &[Column] = &[
    Column { head: "ID", cell: |session| text(&session["id"]) },
    Column { head: "PROTOCOL", cell: |session| text(&session["protocol"]) },
    Column { head: "CLIENT", cell: |session| text(&session["client"]) },
    Column { head: "TLS", cell: |session| text(&session["tls"]) },
    Column { head: "ACCOUNT", cell: |session| text(&session["account"]) },
    Column { head: "STORE", cell: |session| text(&session["store"]) },
    Column { head: "SINCE", cell: since },
    Column { head: "STATE", cell: |session| text(&session["state"]) },
    Column { head: "MESSAGES", cell: |session| text(&session["messages"]) },
];
const VALID: &str = "texts and numbers are valid JSON";
/// Sessions in one answer.
const PAGE: &str = "1000";
