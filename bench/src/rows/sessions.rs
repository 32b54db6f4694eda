//! What mail programs and web mail do: short sessions, APPEND, POP3.

use super::access::{Session, Unit, measure};
use super::{fill, stop_all};
use crate::args::Args;
use crate::message;
use crate::server::Kind;
use crate::table;
use anyhow::Result;
use std::path::Path;

pub(crate) async fn run(args: &Args, kinds: &[Kind], base: &Path) -> Result<()> {
    table::title("Sessions", "what the row says (CPU s for each 1,000 of it)", kinds);
    let servers = super::start_all(kinds, base, ACCOUNTS).await?;
    for server in &servers {
        fill(server, ACCOUNTS, ACCOUNTS * 60, 8 << 10).await?;
    }
    let webmail = Session::imap(WEBMAIL, ACCOUNTS);
    measure(args, kinds, &servers, "web mail of 7 commands, 16 clients, /s", 16, &webmail, Unit::Rounds).await?;
    let pop3 = Session::pop3(10, ACCOUNTS);
    measure(args, kinds, &servers, "POP3, 10 of 60 x 8 kB, 16 clients, /s", 16, &pop3, Unit::Rounds).await?;
    let append = Session::append(message::text(4 << 10).into(), ACCOUNTS);
    measure(args, kinds, &servers, "APPEND of 4 kB, 16 clients, /s", 16, &append, Unit::Rounds).await?;
    stop_all(servers)
}

const ACCOUNTS: usize = 16;

/// With the login and LOGOUT, what a web mailer does to show a list and one message.
const WEBMAIL: &[&str] = &[
    "LIST \"\" *",
    "STATUS INBOX (MESSAGES UNSEEN UIDNEXT)",
    "SELECT INBOX",
    "UID FETCH 1:20 (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)])",
    "UID SEARCH UNSEEN",
    "UID FETCH 7 (FLAGS BODY.PEEK[])",
    "UID STORE 7 +FLAGS (\\Seen)",
];
