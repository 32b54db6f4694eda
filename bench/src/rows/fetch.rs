//! Reading over IMAP.

use super::access::{Session, Unit, measure};
use super::{fill, stop_all};
use crate::args::Args;
use crate::server::{Hash, Kind};
use crate::table;
use anyhow::Result;
use std::path::Path;

pub(crate) async fn run(args: &Args, kinds: &[Kind], base: &Path) -> Result<()> {
    table::title("Reading over IMAP", "what the row says (CPU s for each 1,000 of it; for MB/s, for each GB)", kinds);
    // Account 0 alone has the large mailbox; then 16 accounts with small ones, on fresh servers.
    let servers = super::start_all(kinds, base, 1).await?;
    for server in &servers {
        fill(server, 1, 1_000, 50 << 10).await?;
    }
    let whole = Session::imap(&["SELECT INBOX", "FETCH 1:* (FLAGS BODY.PEEK[])"], 1).again();
    measure(args, kinds, &servers, "1,000 x 50 kB, 2 clients, MB/s", 2, &whole, Unit::Megabytes).await?;
    let list = Session::imap(&["SELECT INBOX", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)"], 1).again();
    measure(args, kinds, &servers, "list of 1,000, 2 clients, lists/s", 2, &list, Unit::Rounds).await?;
    stop_all(servers)?;
    let servers = super::start_all(kinds, base, 16).await?;
    for server in &servers {
        fill(server, 16, 16 * 60, 8 << 10).await?;
    }
    let session = Session::imap(&["SELECT INBOX", "FETCH 1:* (FLAGS BODY.PEEK[])"], 16);
    measure(args, kinds, &servers, "login, 60 x 8 kB, 16 clients, /s", 16, &session, Unit::Rounds).await?;
    let login = Session::imap(&["NOOP"], 16);
    measure(args, kinds, &servers, "login and logout, 16 clients, /s", 16, &login, Unit::Rounds).await?;
    stop_all(servers)?;
    let servers = super::start_hashed(kinds, base, 4, Hash::Argon2id).await?;
    let login = Session::imap(&["NOOP"], 4);
    measure(args, kinds, &servers, "the same with argon2id, 4 clients, /s", 4, &login, Unit::Rounds).await?;
    stop_all(servers)
}
