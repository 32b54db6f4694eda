//! mbsync keeps a Maildir and an account alike; fetchmail takes mail away.

use crate::world::{Lease, World, trial};
use anyhow::{Context, Result, ensure};
use e2e::imap;
use e2e::letter::{Letter, id_of};
use e2e::programs::{Program, output};
use e2e::smtp::{Client, Kind};
use libtest_mimic::Trial;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    const FETCHMAIL: &[Program] = &[Program::Fetchmail];
    vec![
        trial(world, "mbsync_both_ways", &[Program::Mbsync, Program::Openssl], mbsync_both_ways),
        trial(world, "fetchmail_imaps", FETCHMAIL, |world| fetchmail(world, "imaps", "IMAP", "ssl")),
        trial(world, "fetchmail_imap_starttls", FETCHMAIL, |world| {
            fetchmail(world, "imap", "IMAP", "sslproto TLS1.2+")
        }),
        trial(world, "fetchmail_pop3s", FETCHMAIL, |world| fetchmail(world, "pop3s", "POP3", "ssl")),
        trial(world, "fetchmail_pop3_stls", FETCHMAIL, |world| fetchmail(world, "pop3", "POP3", "sslproto TLS1.2+")),
    ]
}

fn mbsync_both_ways(world: &World) -> Result<()> {
    for lease in world.borrow_from_each()? {
        let folder = world.scratch()?;
        configure_mbsync(world, &lease, &folder)?;
        let sync = || output(Program::Mbsync.command().args(["-c", "mbsyncrc", "-a"]).current_dir(&folder)).map(drop);
        let mut client = lease.log_in()?;
        for mailbox in ["Work", "Work/2026", "Empty"] {
            client.must(&format!("CREATE {mailbox}"))?;
        }
        for (mailbox, flags, id) in [
            ("INBOX", "", "a@sync"),
            ("INBOX", "\\Seen", "b@sync"),
            ("INBOX", "\\Flagged", "c@sync"),
            ("Work", "\\Answered", "d@sync"),
            ("Work/2026", "", "e@sync"),
        ] {
            ensure!(client.append(mailbox, flags, &Letter::new(id, 2_000).bytes)?.is_ok(), "APPEND to {mailbox}");
        }

        sync().context("the first run")?;
        alike(&mut client, &folder)?;
        ensure!(folder.join("mail/Empty/cur").is_dir(), "an empty mailbox did not come");

        let (server, local) = (of_server(&mut client)?, files(&folder)?);
        sync().context("the second run")?;
        ensure!(of_server(&mut client)? == server && files(&folder)? == local, "a second run had something to do");

        change_server(world, &lease, &mut client)?;
        change_maildir(&folder)?;
        sync().context("the run after changes on both sides")?;
        alike(&mut client, &folder)?;
        let expected = [
            ("INBOX", "a@sync", "S"),
            ("INBOX", "c@sync", "F"),
            ("INBOX", "f@sync", ""),
            ("Work", "d@sync", "FR"),
            ("Work", "g@sync", ""),
        ];
        let expected: State =
            expected.map(|(mailbox, id, flags)| ((mailbox.to_owned(), id.to_owned()), flags.to_owned())).into();
        let now = of_server(&mut client)?;
        ensure!(now == expected, "after changes on both sides: {now:?}");
    }
    Ok(())
}

/// (mailbox, Message-ID) → Maildir's letters for its flags.
type State = BTreeMap<(String, String), String>;

/// New mail, a flag, an expunge.
fn change_server(world: &World, lease: &Lease<'_>, client: &mut imap::Client) -> Result<()> {
    let mut sender = Client::connect(world.address("smtp")?, Kind::Smtp)?;
    sender.must_deliver(lease.address(), &Letter::new("f@sync", 2_000).bytes)?;
    client.select("INBOX")?;
    for message in client.fetch_all()? {
        match id_of(&message.body).as_deref() {
            Some("a@sync") => client.must(&format!("UID STORE {} +FLAGS (\\Seen)", message.uid)).map(drop)?,
            Some("b@sync") => {
                client.must(&format!("UID STORE {} +FLAGS (\\Deleted)", message.uid))?;
                client.must("EXPUNGE")?;
            }
            _others => {}
        }
    }
    Ok(())
}

/// A new message, a flag, a message that is gone.
fn change_maildir(folder: &Path) -> Result<()> {
    let fresh = Letter::new("g@sync", 2_000).bytes;
    let fresh: Vec<u8> = fresh.into_iter().filter(|&octet| octet != b'\r').collect();
    std::fs::write(folder.join("mail/Work/new/1770000000.1.e2e"), fresh)?;
    for file in files(folder)? {
        let text = std::fs::read(&file)?;
        match id_of(&text).as_deref() {
            Some("d@sync") => {
                let name = file.to_string_lossy().replace(":2,R", ":2,FR");
                ensure!(name != file.to_string_lossy(), "{name} is not answered");
                std::fs::rename(&file, name)?;
            }
            Some("e@sync") => std::fs::remove_file(&file)?,
            _others => {}
        }
    }
    Ok(())
}

/// Both sides have the same messages with the same flags, whole.
fn alike(client: &mut imap::Client, folder: &Path) -> Result<()> {
    let mut local = State::new();
    for file in files(folder)? {
        let text = std::fs::read(&file)?;
        whole(&text)?;
        let name = file.file_name().context("a file without a name")?.to_string_lossy().into_owned();
        let flags = name.split_once(":2,").map(|(_, flags)| flags.to_owned()).unwrap_or_default();
        let mailbox = file.parent().and_then(Path::parent).context("a file outside a Maildir")?;
        let mailbox = mailbox.strip_prefix(folder.join("mail"))?.to_string_lossy().into_owned();
        local.insert((mailbox, id_of(&text).context("a file without Message-ID")?), flags);
    }
    let server = of_server(client)?;
    ensure!(server == local, "the server has {server:?}, the Maildir {local:?}");
    Ok(())
}

fn of_server(client: &mut imap::Client) -> Result<State> {
    let mut state = State::new();
    for mailbox in client.mailboxes()? {
        let selected = client.select(&mailbox)?;
        let messages = if selected.exists == 0 { Vec::new() } else { client.fetch_all()? };
        for message in messages {
            let letters = [("\\Flagged", 'F'), ("\\Answered", 'R'), ("\\Seen", 'S'), ("\\Deleted", 'T')];
            let flags = letters.iter().filter(|(flag, _)| message.flags.contains(*flag)).map(|(_, letter)| *letter);
            let id = id_of(&message.body).context("a message without Message-ID")?;
            state.insert((mailbox.clone(), id), flags.collect());
        }
    }
    Ok(state)
}

/// The messages of all Maildirs.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.join("mail")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let is_message = folder.ends_with("cur") || folder.ends_with("new");
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if is_message && !entry.file_name().to_string_lossy().starts_with('.') {
                found.insert(entry.path());
            }
        }
    }
    Ok(found)
}

fn configure_mbsync(world: &World, lease: &Lease<'_>, folder: &Path) -> Result<()> {
    let imaps = world.address("imaps")?;
    let mut shown = Program::Openssl.command();
    let shown = output(shown.args(["s_client", "-showcerts", "-connect", &imaps.to_string()]))?;
    let shown = String::from_utf8_lossy(&shown);
    let end = "-----END CERTIFICATE-----";
    let from = shown.find("-----BEGIN CERTIFICATE-----").context("openssl shows no certificate")?;
    let to = shown.find(end).context("openssl shows no certificate")? + end.len();
    std::fs::write(folder.join("cert.pem"), shown.get(from..to).unwrap_or_default())?;
    std::fs::create_dir(folder.join("mail"))?;
    let (port, user, password) = (imaps.port(), lease.address(), lease.password());
    let text = format!(
        "IMAPAccount site\nHost 127.0.0.1\nPort {port}\nUser \"{user}\"\nPass \"{password}\"\nSSLType IMAPS\n\
         CertificateFile cert.pem\nAuthMechs LOGIN\n\nIMAPStore far\nAccount site\n\n\
         MaildirStore near\nPath ./mail/\nInbox ./mail/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState ./state-\n"
    );
    private_file(&folder.join("mbsyncrc"), &text)
}

/// Takes all mail of an account away and hands each message to a script.
fn fetchmail(world: &World, listener: &str, protocol: &str, security: &str) -> Result<()> {
    let port = world.address(listener)?.port();
    for lease in world.borrow_from_each()? {
        let folder = world.scratch()?;
        let ids = ["one@fetch", "two@fetch", "three@fetch"];
        let mut client = lease.log_in()?;
        for id in ids {
            ensure!(client.append("INBOX", "", &Letter::new(id, 30_000).bytes)?.is_ok(), "APPEND");
        }
        let got = folder.join("got");
        std::fs::create_dir(&got)?;
        let script = folder.join("take");
        std::fs::write(&script, format!("#!/bin/sh\nexec cat > \"{}/$$\"\n", got.display()))?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        let (user, password) = (lease.address(), lease.password());
        let text = format!(
            "set invisible\npoll 127.0.0.1 protocol {protocol} port {port} auth password\n  user \"{user}\" password \
             \"{password}\" {security} no sslcertck no rewrite fetchall no keep mda \"{}\"\n",
            script.display()
        );
        private_file(&folder.join("rc"), &text)?;
        let mut command = Program::Fetchmail.command();
        command.env("FETCHMAILHOME", &folder).env("HOME", &folder).args(["--nodetach", "--pidfile"]);
        output(command.arg(folder.join("pid")).arg("--fetchmailrc").arg(folder.join("rc")))?;
        let mut found = BTreeSet::new();
        for entry in got.read_dir()? {
            let text = std::fs::read(entry?.path())?;
            whole(&text)?;
            found.extend(id_of(&text));
        }
        ensure!(found.iter().map(String::as_str).collect::<BTreeSet<_>>() == ids.into(), "fetched {found:?}");
        ensure!(client.select("INBOX")?.exists == 0, "what was fetched is still there");
    }
    Ok(())
}

/// A message that a program has stored with line ends of its own.
fn whole(text: &[u8]) -> Result<()> {
    let mut wired = Vec::with_capacity(text.len() + text.len() / 30);
    for line in text.split_inclusive(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // mbsync remembers by a header of its own what it has brought.
        if !line.starts_with(b"X-TUID: ") {
            wired.extend_from_slice(line);
            wired.extend_from_slice(b"\r\n");
        }
    }
    match Letter::fault_in(&wired) {
        None => Ok(()),
        Some(fault) => anyhow::bail!("{fault}"),
    }
}

/// A file with a password in it: both programs insist on its mode.
fn private_file(file: &Path, text: &str) -> Result<()> {
    let mut opened = std::fs::File::options().write(true).create_new(true).mode(0o600).open(file)?;
    Ok(std::io::Write::write_all(&mut opened, text.as_bytes())?)
}
