//! OfflineIMAP, Mutt and getmail: each reads, flags, moves or deletes, and the result is looked at on our side.

use crate::world::{Lease, World, trial};
use anyhow::{Context, Result, bail, ensure};
use e2e::imap;
use e2e::letter::{Letter, id_of};
use e2e::programs::{Program, output};
use libtest_mimic::Trial;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        trial(world, "offlineimap_both_ways", &[Program::OfflineImap], offlineimap_both_ways),
        trial(world, "mutt_in_a_terminal", &[Program::Mutt, Program::Python], mutt_in_a_terminal),
        trial(world, "getmail_takes_away", &[Program::Getmail], getmail_takes_away),
    ]
}

/// Message-ID → flags.
type State = BTreeMap<String, BTreeSet<String>>;

fn offlineimap_both_ways(world: &World) -> Result<()> {
    for lease in world.borrow_from_each()? {
        let folder = world.scratch()?;
        let (port, user, password) = (world.address("imap")?.port(), lease.address(), lease.password());
        let here = folder.display();
        private_file(
            &folder.join("rc"),
            &format!(
                "[general]\naccounts = one\nmetadata = {here}/meta\nui = basic\nsocktimeout = 60\n\
                 [Account one]\nlocalrepository = near\nremoterepository = far\n\
                 [Repository near]\ntype = Maildir\nlocalfolders = {here}/mail\nsep = /\n\
                 [Repository far]\ntype = IMAP\nremotehost = 127.0.0.1\nremoteport = {port}\nremoteuser = {user}\n\
                 remotepass = {password}\nssl = no\nstarttls = no\n"
            ),
        )?;
        let sync =
            || output(Program::OfflineImap.command().env("HOME", &folder).arg("-c").arg(folder.join("rc")).arg("-o"));
        let mut client = filled(&lease)?;
        sync().context("the first run")?;
        let inbox = folder.join("mail/INBOX");
        ensure!(files(&inbox)?.len() == 3, "not all came: {:?}", files(&inbox)?);

        client.select("INBOX")?;
        client.must("STORE 3 +FLAGS (\\Flagged)")?;
        let of = |id: &str| find(&inbox, id);
        let read = of("alpha@clients")?;
        let name = read.file_name().context("a file without a name")?.to_string_lossy().into_owned();
        let base = name.split(":2,").next().unwrap_or_default();
        std::fs::rename(&read, inbox.join("cur").join(format!("{base}:2,FS")))?;
        std::fs::remove_file(of("beta@clients")?)?;
        sync().context("the run after changes on both sides")?;

        let flagged = of("gamma@clients")?;
        ensure!(flagged.to_string_lossy().ends_with('F'), "a flag did not come: {}", flagged.display());
        let expected = state(&[("alpha@clients", &["\\Flagged", "\\Seen"]), ("gamma@clients", &["\\Flagged"])]);
        ensure!(of_mailbox(&mut client, "INBOX")? == expected, "INBOX: {:?}", of_mailbox(&mut client, "INBOX")?);
    }
    Ok(())
}

/// Its keys are pushed, so that nobody has to type.
fn mutt_in_a_terminal(world: &World) -> Result<()> {
    let in_terminal = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/in_terminal.py");
    for lease in world.borrow_from_each()? {
        let folder = world.scratch()?;
        let (port, user, password) = (world.address("imap")?.port(), lease.address(), lease.password());
        private_file(
            &folder.join("rc"),
            &format!(
                "set hostname=\"here.test\" imap_user=\"{user}\" imap_pass=\"{password}\"\n\
                 set folder=\"imap://127.0.0.1:{port}/\" spoolfile=\"+INBOX\" ssl_starttls=no ssl_force_tls=no\n\
                 set header_cache=\"\" certificate_file=\"\" record=\"\" postponed=\"\" mbox=\"\"\n\
                 set quit=yes delete=yes move=no confirmappend=no confirmcreate=no mark_old=no wait_key=no\n"
            ),
        )?;
        let mut client = filled(&lease)?;
        let keys = "<limit>~s alpha<enter><display-message><exit><flag-message><limit>all<enter><delete-pattern>~s \
                    beta<enter><limit>~s gamma<enter><save-message>=Work<enter><limit>all<enter><sync-mailbox><quit>";
        let mut mutt = Program::Python.command();
        mutt.env("HOME", &folder).env("TERM", "xterm").arg("-B").arg(&in_terminal);
        output(mutt.args(["mutt", "-n", "-F"]).arg(folder.join("rc")).arg("-e").arg(format!("push '{keys}'")))?;

        let inbox = of_mailbox(&mut client, "INBOX")?;
        ensure!(inbox == state(&[("alpha@clients", &["\\Flagged", "\\Seen"])]), "INBOX: {inbox:?}");
        let work = of_mailbox(&mut client, "Work")?;
        ensure!(work.keys().eq(["gamma@clients"]), "Work: {work:?}");
    }
    Ok(())
}

/// getmail waits for its own child in a way that misses the end of one that was quicker: then it gives up after its time-out, and
/// fetches the message again the next time.
fn run_getmail(folder: &Path) -> Result<()> {
    for _ in 0..GETMAIL_RUNS_MAX {
        let mut getmail = Program::Getmail.command();
        match output(getmail.env("HOME", folder).arg("--getmaildir").arg(folder).args(["--rcfile", "rc"])) {
            Ok(_) => return Ok(()),
            Err(error) if format!("{error:#}").contains("waiting child pid") => {}
            Err(error) => return Err(error),
        }
    }
    bail!("getmail has missed the end of its child {GETMAIL_RUNS_MAX} times")
}

const GETMAIL_RUNS_MAX: usize = 3;

fn getmail_takes_away(world: &World) -> Result<()> {
    for lease in world.borrow_from_each()? {
        // Not in the folder of the logs, which nobody else may enter.
        let scratch = tempfile::tempdir()?;
        let folder = scratch.path();
        std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        for part in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(folder.join("mail").join(part))?;
        }
        // getmail delivers for nobody as root.
        let is_root = rustix::process::geteuid().is_root();
        let user_line = if is_root { "user = nobody\n" } else { "" };
        if is_root {
            output(Command::new("chown").args(["-R", "nobody"]).arg(folder.join("mail")))?;
        }
        let (port, user, password) = (world.address("imap")?.port(), lease.address(), lease.password());
        private_file(
            &folder.join("rc"),
            &format!(
                "[retriever]\ntype = SimpleIMAPRetriever\nserver = 127.0.0.1\nport = {port}\nusername = {user}\n\
                 password = {password}\nmailboxes = (\"INBOX\",)\n\
                 [destination]\ntype = Maildir\npath = {}/mail/\n{user_line}[options]\nread_all = true\ndelete = true\n",
                folder.display()
            ),
        )?;
        let mut client = filled(&lease)?;
        run_getmail(folder)?;
        let mut found = BTreeSet::new();
        for file in files(&folder.join("mail"))? {
            found.extend(id_of(&std::fs::read(file)?));
        }
        ensure!(
            found.iter().map(String::as_str).eq(["alpha@clients", "beta@clients", "gamma@clients"]),
            "got {found:?}"
        );
        ensure!(client.select("INBOX")?.exists == 0, "what was taken is still there");
    }
    Ok(())
}

/// An account with three messages in INBOX, and Work without any.
fn filled(lease: &Lease<'_>) -> Result<imap::Client> {
    let mut client = lease.log_in()?;
    client.must("CREATE Work")?;
    for id in ["alpha@clients", "beta@clients", "gamma@clients"] {
        ensure!(client.append("INBOX", "", &Letter::new(id, 2_000).bytes)?.is_ok(), "APPEND");
    }
    Ok(client)
}

fn state(messages: &[(&str, &[&str])]) -> State {
    let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect();
    messages.iter().map(|(id, of)| ((*id).to_owned(), flags(of))).collect()
}

fn of_mailbox(client: &mut imap::Client, mailbox: &str) -> Result<State> {
    client.select(mailbox)?;
    let mut state = State::new();
    for message in client.fetch_all()? {
        if let Some(fault) = Letter::fault_in(&message.body) {
            anyhow::bail!("{mailbox}: {fault}");
        }
        state.insert(id_of(&message.body).context("no Message-ID")?, message.flags);
    }
    Ok(state)
}

/// The messages of a Maildir.
fn files(maildir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for part in ["new", "cur"] {
        for entry in maildir.join(part).read_dir()? {
            files.push(entry?.path());
        }
    }
    Ok(files)
}

fn find(maildir: &Path, id: &str) -> Result<PathBuf> {
    for file in files(maildir)? {
        if id_of(&std::fs::read(&file)?).as_deref() == Some(id) {
            return Ok(file);
        }
    }
    anyhow::bail!("{id} is not in {}", maildir.display())
}

/// A file with a password in it.
fn private_file(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text)?;
    Ok(std::fs::set_permissions(file, Permissions::from_mode(0o600))?)
}
