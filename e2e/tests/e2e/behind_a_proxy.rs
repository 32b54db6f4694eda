//! The programs that people use, through a proxy to the servers of others: a password that is not all ASCII, mail read, changed and
//! taken away.

use crate::other_back_ends::of;
use crate::world::{World, trial_of};
use anyhow::{Context, Result, ensure};
use e2e::back_end::{Entrance, Fronted, PASSWORD, Security, Server};
use e2e::imap::{self, quoted};
use e2e::letter::{Letter, id_of};
use e2e::programs::{Program, output};
use libtest_mimic::Trial;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (server, name) in [(Server::Dovecot, "dovecot"), (Server::Cyrus, "cyrus"), (Server::Courier, "courier")] {
        for client in CLIENTS {
            let obstacle = move || server.obstacle().or_else(|| client.1.iter().find_map(|program| program.obstacle()));
            let run = move |_: &World| of(server, Security::StartTls, Entrance::Password, client.2);
            trials.push(trial_of(world, &format!("behind_a_proxy::{name}_by_{}", client.0), obstacle, run));
        }
    }
    trials
}

type Client = (&'static str, &'static [Program], fn(&mut Fronted) -> Result<()>);

const CLIENTS: [Client; 5] = [
    ("imaplib_and_poplib", &[Program::Python], by_python),
    ("fetchmail", &[Program::Fetchmail], by_fetchmail),
    ("curl", &[Program::Curl], by_curl),
    ("mbsync", &[Program::Mbsync], by_mbsync),
    ("mutt", &[Program::Mutt, Program::Python], by_mutt),
];

/// Both log in, read, change, and find again what they changed.
fn by_python(fronted: &mut Fronted) -> Result<()> {
    let carol = Fronted::account("carol");
    let told = json!({
        "account": { "address": carol.address, "password": carol.password },
        "imap": fronted.address("imap").port(),
        "pop3": fronted.address("pop3").port(),
    });
    let mut python = Program::Python.command();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/behind_a_proxy.py");
    output(python.arg("-B").arg(script).arg(told.to_string())).map(drop)
}

/// Takes all mail away, by each protocol.
fn by_fetchmail(fronted: &mut Fronted) -> Result<()> {
    let carol = Fronted::account("carol");
    for (listener, protocol) in [("imap", "IMAP"), ("pop3", "POP3")] {
        let folder = tempfile::tempdir()?;
        let mut client = filled(fronted)?;
        let got = folder.path().join("got");
        std::fs::create_dir(&got)?;
        let port = fronted.address(listener).port();
        let told = format!(
            "set invisible\npoll 127.0.0.1 protocol {protocol} port {port} auth password\n  user \"{}\" password '{}' \
             sslproto \"\" no rewrite fetchall no keep mda \"cat > {}/$$\"\n",
            carol.address,
            PASSWORD.replace('\\', "\\\\"),
            got.display()
        );
        let file = folder.path().join("rc");
        private_file(&file, &told)?;
        let mut fetchmail = Program::Fetchmail.command();
        fetchmail.env("FETCHMAILHOME", folder.path()).env("HOME", folder.path());
        fetchmail.args(["--nodetach", "--pidfile"]).arg(folder.path().join("pid")).arg("--fetchmailrc").arg(&file);
        output(&mut fetchmail).with_context(|| format!("by {protocol}"))?;
        let mut found = BTreeSet::new();
        for entry in got.read_dir()? {
            found.extend(id_of(&std::fs::read(entry?.path())?));
        }
        ensure!(found.iter().map(String::as_str).eq(IDS), "{protocol}: fetched {found:?}");
        ensure!(client.select("INBOX")?.exists == 0, "{protocol}: what was fetched is still there");
    }
    Ok(())
}

fn by_curl(fronted: &mut Fronted) -> Result<()> {
    let carol = Fronted::account("carol");
    let mut client = filled(fronted)?;
    for (listener, path) in [("imap", "INBOX;MAILINDEX=1"), ("pop3", "1")] {
        let url = format!("{listener}://{}/{path}", fronted.address(listener));
        let ask = |password: &str| -> Result<Output> {
            let mut curl = Program::Curl.command();
            curl.args(["--silent", "--show-error", "--max-time", "60", &url]);
            Ok(curl.args(["--user", &format!("{}:{password}", carol.address)]).output()?)
        };
        let got = ask(PASSWORD)?;
        ensure!(got.status.success(), "{listener}: {}", String::from_utf8_lossy(&got.stderr));
        ensure!(Letter::fault_in(&got.stdout).is_none(), "{listener}: {:?}", Letter::fault_in(&got.stdout));
        // 67: the login was refused.
        let refused = ask("wrong")?.status;
        ensure!(refused.code() == Some(67), "{listener}: {refused}");
    }
    client.clear()
}

/// Brings all mail, and takes a flag back.
fn by_mbsync(fronted: &mut Fronted) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut client = filled(fronted)?;
    std::fs::create_dir(folder.path().join("mail"))?;
    private_file(&folder.path().join("password"), PASSWORD)?;
    let (port, user) = (fronted.address("imap").port(), Fronted::account("carol").address);
    let told = format!(
        "IMAPAccount back\nHost 127.0.0.1\nPort {port}\nUser \"{user}\"\nPassCmd \"cat password\"\nSSLType None\n\
         AuthMechs LOGIN\n\nIMAPStore far\nAccount back\n\nMaildirStore near\nPath ./mail/\nInbox ./mail/INBOX\n\
         SubFolders Verbatim\n\nChannel all\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nExpunge Both\n\
         SyncState ./state-\n"
    );
    private_file(&folder.path().join("rc"), &told)?;
    let sync =
        || output(Program::Mbsync.command().args(["-c", "rc", "-a"]).env("HOME", folder.path()).current_dir(&folder));
    sync().context("the first run")?;
    let inbox = folder.path().join("mail/INBOX");
    let mut found = BTreeSet::new();
    for entry in inbox.join("new").read_dir()?.chain(inbox.join("cur").read_dir()?) {
        let file = entry?.path();
        let id = id_of(&std::fs::read(&file)?).context("a file without Message-ID")?;
        if id == IDS[0] {
            let name = file.file_name().context("a file without a name")?.to_string_lossy().into_owned();
            let base = name.split(":2,").next().unwrap_or_default();
            std::fs::rename(&file, inbox.join("cur").join(format!("{base}:2,F")))?;
        }
        found.insert(id);
    }
    ensure!(found.iter().map(String::as_str).eq(IDS), "brought {found:?}");
    sync().context("the run after a change")?;
    ensure!(flagged(&mut client)? == [IDS[0]], "the flag did not arrive: {:?}", flagged(&mut client)?);
    Ok(())
}

/// Its keys are pushed, so that nobody has to type.
fn by_mutt(fronted: &mut Fronted) -> Result<()> {
    let in_terminal = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/in_terminal.py");
    let folder = tempfile::tempdir()?;
    let mut client = filled(fronted)?;
    let (port, user) = (fronted.address("imap").port(), Fronted::account("carol").address);
    let told = format!(
        "set hostname=\"here.test\" imap_user=\"{user}\" imap_pass={}\n\
         set folder=\"imap://127.0.0.1:{port}/\" spoolfile=\"+INBOX\" ssl_starttls=no ssl_force_tls=no\n\
         set header_cache=\"\" certificate_file=\"\" record=\"\" postponed=\"\" mbox=\"\"\n\
         set quit=yes delete=yes move=no confirmappend=no confirmcreate=no mark_old=no wait_key=no\n",
        quoted(PASSWORD)
    );
    let file = folder.path().join("rc");
    private_file(&file, &told)?;
    let keys = "<limit>~s one<enter><display-message><exit><flag-message><limit>all<enter><delete-pattern>~s \
                two<enter><sync-mailbox><quit>";
    let mut mutt = Program::Python.command();
    mutt.env("HOME", folder.path()).env("TERM", "xterm").env("LC_ALL", "C.UTF-8").arg("-B").arg(&in_terminal);
    output(mutt.args(["mutt", "-n", "-F"]).arg(&file).arg("-e").arg(format!("push '{keys}'")))?;
    ensure!(flagged(&mut client)? == [IDS[0]], "flagged: {:?}", flagged(&mut client)?);
    ensure!(client.select("INBOX")?.exists == 1, "what was deleted is still there");
    Ok(())
}

/// Of carol's INBOX, by their Message-ID.
fn flagged(client: &mut imap::Client) -> Result<Vec<String>> {
    client.select("INBOX")?;
    let messages = client.fetch_all()?.into_iter().filter(|message| message.flags.contains("\\Flagged"));
    Ok(messages.filter_map(|message| id_of(&message.body)).collect())
}

/// Mail in carol's INBOX.
fn filled(fronted: &Fronted) -> Result<imap::Client> {
    let carol = Fronted::account("carol");
    let mut client = imap::Client::connect(fronted.address("imap"))?;
    client.login(&carol.address, &carol.password)?;
    for id in IDS {
        ensure!(client.append("INBOX", "", &Letter::new(id, 30_000).bytes)?.is_ok(), "APPEND");
    }
    Ok(client)
}

/// A file with a password in it.
fn private_file(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text)?;
    Ok(std::fs::set_permissions(file, Permissions::from_mode(0o600))?)
}

/// In the order of the alphabet.
const IDS: [&str; 2] = ["one@back", "two@back"];
