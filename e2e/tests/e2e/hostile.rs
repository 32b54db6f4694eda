//! Bad input over sockets: every byte of it bounded, and the site goes on.

use crate::world::{World, trial};
use anyhow::{Context, Result, bail, ensure};
use e2e::imap;
use e2e::letter::{Letter, id_of};
use e2e::site::Site;
use e2e::smtp::{Client, Kind};
use e2e::wire::Wire;
use libtest_mimic::Trial;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        trial(world, "literal_of_4_gigabytes", &[], literal_of_4_gigabytes),
        trial(world, "literal_of_4_gigabytes_unasked", &[], unasked_literal),
        trial(world, "line_without_end_smtp", &[], |world| line_without_end(world, "smtp", "")),
        trial(world, "line_without_end_imap", &[], |world| line_without_end(world, "imap", "a ")),
        trial(world, "line_without_end_pop3", &[], |world| line_without_end(world, "pop3", "")),
        trial(world, "line_without_end_lmtp", &[], |world| line_without_end(world, "lmtp", "")),
        trial(world, "ten_thousand_recipients", &[], ten_thousand_recipients),
        trial(world, "deep_multiparts", &[], |world| structure_is_told(world, &nested_multiparts())),
        trial(world, "deep_messages", &[], |world| structure_is_told(world, &nested_messages())),
        trial(world, "endless_header", &[], |world| structure_is_told(world, &long_header())),
        trial(world, "raw_octets", &[], raw_octets),
        trial(world, "smuggling", &[], smuggling),
        trial(world, "connections_dropped_halfway", &[], dropped_halfway),
    ]
}

/// A synchronising literal that nobody may be asked to send.
fn literal_of_4_gigabytes(world: &World) -> Result<()> {
    let lease = world.borrow("ingrid")?;
    let watch = Watch::new(world)?;
    let mut client = lease.log_in()?;
    for octets in ["4294967295", "4294967296", "99999999999999999999999"] {
        for command in ["APPEND INBOX {", "APPEND INBOX (\\Seen) {", "CREATE {", "SEARCH SUBJECT {"] {
            let tag = client.send(&format!("{command}{octets}}}"))?;
            let answer = client.read()?;
            let is_refusal = answer.text.starts_with(&format!("{tag} NO"))
                || answer.text.starts_with(&format!("{tag} BAD"))
                || answer.text.starts_with("* BYE");
            ensure!(is_refusal, "{command}{octets}}} was answered {}", answer.text);
            if answer.text.starts_with("* BYE") {
                client = lease.log_in()?;
            }
        }
    }
    watch.has_not_grown()
}

/// A non-synchronising literal (RFC 7888): before login the server must not read 4 GB, and may not keep them.
fn unasked_literal(world: &World) -> Result<()> {
    let watch = Watch::new(world)?;
    for command in ["a LOGIN {4294967295+}", "a LOGIN {99999999999+}", "a AUTHENTICATE PLAIN {4294967295+}"] {
        let mut wire = Wire::connect(world.address("imap")?)?;
        wire.text()?;
        wire.send(format!("{command}\r\n").as_bytes())?;
        answers_or_closes(&mut wire, FLOOD_OCTETS).with_context(|| command.to_owned())?;
    }
    watch.has_not_grown()
}

fn line_without_end(world: &World, listener: &str, begin: &str) -> Result<()> {
    let site = world.site()?;
    let address = match listener {
        "lmtp" => site.store_address("lmtp", "ingrid")?,
        front => site.address(front)?,
    };
    let watch = Watch::new(world)?;
    let mut wire = Wire::connect(address)?;
    wire.text()?;
    wire.send(begin.as_bytes())?;
    answers_or_closes(&mut wire, FLOOD_OCTETS)?;
    watch.has_not_grown()
}

/// Sends without a line end until the server says something or closes. A server that throws the line away until it
/// ends may stay silent that long; at its end it must answer.
fn answers_or_closes(wire: &mut Wire, octets_max: usize) -> Result<()> {
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..octets_max / chunk.len() {
        if wire.is_readable_within(Duration::from_micros(1))? || wire.send(&chunk).is_err() {
            return Ok(());
        }
    }
    if wire.send(b"\r\n").is_ok() {
        ensure!(wire.is_readable_within(Duration::from_secs(10))?, "no answer to {octets_max} octets");
    }
    Ok(())
}

/// RFC 5321 §4.5.3.1.8: at least 100 are taken; beyond the limit it is 452 for each, and the transaction goes on.
fn ten_thousand_recipients(world: &World) -> Result<()> {
    let lease = world.borrow("ingrid")?;
    let watch = Watch::new(world)?;
    let mut client = Client::connect(world.address("smtp")?, Kind::Smtp)?;
    ensure!(client.command("MAIL FROM:<sender@far.example>")?.is_good(), "MAIL");
    let (local, domain) = lease.address().split_once('@').context("an address")?;
    let mut accepted = 0;
    for batch in 0..100 {
        let mut lines = String::new();
        for n in 0..100 {
            write!(lines, "RCPT TO:<{local}+{batch}-{n}@{domain}>\r\n")?;
        }
        client.wire().send(lines.as_bytes())?;
        for _ in 0..100 {
            let reply = client.reply()?;
            accepted += u32::from(reply.is_good());
            ensure!(reply.is_good() || reply.code == 452, "recipient {batch}-{n}: {reply:?}", n = accepted);
        }
    }
    ensure!(accepted >= 100, "only {accepted} recipients were taken");
    ensure!(accepted < 10_000, "all 10,000 recipients were taken");
    let letter = Letter::new("many@hostile", 1_000);
    ensure!(client.command("DATA")?.code == 354, "DATA");
    client.wire().send(&[letter.bytes.as_slice(), b".\r\n"].concat())?;
    ensure!(client.reply()?.is_good(), "the message to {accepted} recipients");
    // Each account once (sub-addresses of one account are one recipient's mailbox, however often it was named).
    let mut reader = lease.log_in()?;
    ensure!(reader.select("INBOX")?.exists >= 1, "nothing arrived");
    watch.has_not_grown()
}

/// BODYSTRUCTURE, ENVELOPE and SEARCH of a message made to be hard; it is stored and given back as it is.
fn structure_is_told(world: &World, message: &[u8]) -> Result<()> {
    for lease in world.borrow_from_each()? {
        let watch = Watch::new(world)?;
        Client::connect(world.address("smtp")?, Kind::Smtp)?.must_deliver(lease.address(), message)?;
        let mut client = lease.log_in()?;
        ensure!(client.select("INBOX")?.exists == 1, "it did not arrive");
        let structure = client.must("FETCH 1 (BODYSTRUCTURE)")?;
        let told: usize = structure.untagged.iter().map(|line| line.text.len()).sum();
        ensure!(told > 0 && told < 2 * message.len() + 10_000, "BODYSTRUCTURE has {told} octets");
        client.must("FETCH 1 (BODY ENVELOPE)")?;
        client.must("SEARCH BODY \"needle\"")?;
        let deep = vec!["1"; 500].join(".");
        client.command(&format!("FETCH 1 (BODY.PEEK[{deep}])"))?;
        let fetched = client.fetch_all()?;
        let body = &fetched.first().context("no message")?.body;
        ensure!(body.ends_with(message), "the message was changed: {} octets for {}", body.len(), message.len());
        watch.has_not_grown()?;
    }
    Ok(())
}

fn nested_multiparts() -> Vec<u8> {
    let mut text = String::from("From: a@far.example\r\nSubject: deep\r\nMIME-Version: 1.0\r\n");
    for depth in 0..DEPTH {
        let _ = write!(text, "Content-Type: multipart/mixed; boundary=\"b{depth}\"\r\n\r\n--b{depth}\r\n");
    }
    text.push_str("Content-Type: text/plain\r\n\r\nneedle\r\n");
    for depth in (0..DEPTH).rev() {
        let _ = write!(text, "--b{depth}--\r\n");
    }
    text.into_bytes()
}

fn nested_messages() -> Vec<u8> {
    let mut text = String::new();
    for depth in 0..DEPTH {
        let _ = write!(text, "From: a@far.example\r\nSubject: {depth}\r\nContent-Type: message/rfc822\r\n\r\n");
    }
    text.push_str("Subject: innermost\r\n\r\nneedle\r\n");
    text.into_bytes()
}

/// One header field of 1 MB in 998-octet lines, with 20,000 addresses in another.
fn long_header() -> Vec<u8> {
    let mut text = String::from("From: a@far.example\r\nSubject: long\r\nX-Long: begin\r\n");
    for _ in 0..1_000 {
        let _ = write!(text, " {}\r\n", "y".repeat(990));
    }
    text.push_str("To: first@far.example");
    for n in 0..20_000 {
        let _ = write!(text, ",\r\n u{n}@far.example");
    }
    text.push_str("\r\n\r\nneedle\r\n");
    text.into_bytes()
}

/// NULs, 8-bit headers, bare line ends: refused for good, or taken and given back without breaking the dialogue.
fn raw_octets(world: &World) -> Result<()> {
    let lease = world.borrow("fritz")?;
    let texts: [(&str, &[u8]); 5] = [
        ("null", b"Subject: null\r\nMessage-ID: <null@raw>\r\n\r\na\0b\0\r\n"),
        (
            "header",
            b"Subject: \xff\xfe\xe4 \x80\r\nFrom: \xc3\xa4 <\xff@far.example>\r\nMessage-ID: <header@raw>\r\n\r\nx\r\n",
        ),
        ("null-in-header", b"Subject: a\0b\r\nMessage-ID: <null-in-header@raw>\r\n\r\nx\r\n"),
        ("no-header", b"\r\n\xff\xff\xff\r\n"),
        ("escape", b"Subject: \x1b[2J\"\\\"\\\r\nMessage-ID: <escape@raw>\r\n\r\n\x1b[2J\r\n"),
    ];
    for (name, text) in texts {
        let mut sender = Client::connect(world.address("smtp")?, Kind::Smtp)?;
        let reply = sender.deliver("sender@far.example", &[lease.address()], text)?.pop().context("no reply")?;
        if !reply.is_good() {
            ensure!(reply.code >= 500, "{name}: {reply:?}");
            continue;
        }
        let mut client = lease.log_in()?;
        let count = client.select("INBOX")?.exists;
        client.must(&format!("FETCH {count} (ENVELOPE BODYSTRUCTURE)"))?;
        client.must(&format!("FETCH {count} (BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)] BODY.PEEK[TEXT])"))?;
        client.must("SEARCH SUBJECT \"x\"")?;
        let fetched = client.fetch_all()?;
        let last = fetched.last().context("no message")?;
        ensure!(last.size == last.body.len(), "{name}: RFC822.SIZE {} for {}", last.size, last.body.len());
        // RFC 9051 §4.3.1: no NUL in a literal; what a server makes of it instead is its own matter.
        if text.contains(&0) {
            ensure!(!last.body.contains(&0), "{name}: a NUL in a literal");
        } else {
            ensure!(last.body.ends_with(text), "{name}: changed to {:?}", String::from_utf8_lossy(&last.body));
        }
    }
    Ok(())
}

/// SMTP smuggling: only CRLF.CRLF ends a message, whatever looks like it (RFC 5321 §4.1.1.4, §2.3.8).
fn smuggling(world: &World) -> Result<()> {
    let lease = world.borrow("fritz")?;
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r"] {
        let mut sender = Client::connect(world.address("smtp")?, Kind::Smtp)?;
        let to = lease.address();
        sender.command("MAIL FROM:<sender@far.example>")?;
        sender.command(&format!("RCPT TO:<{to}>"))?;
        ensure!(sender.command("DATA")?.code == 354, "DATA");
        let smuggled =
            format!("MAIL FROM:<smuggler@far.example>\r\nRCPT TO:<{to}>\r\nDATA\r\nMessage-ID: <smuggled@x>\r\n");
        let text = format!("Message-ID: <carrier@x>\r\n\r\nbody{end}{smuggled}\r\nbody\r\n.\r\n");
        sender.wire().send(text.as_bytes())?;
        let reply = sender.reply()?;
        let noop = sender.command("NOOP");
        let one_reply = match &noop {
            Ok(noop) => noop.code == 250 && !noop.lines.iter().any(|line| line.contains("2.1.")),
            // A server may hang up on such a client.
            Err(_) => reply.code >= 400,
        };
        ensure!(one_reply, "{end:?}: {reply:?}, then {noop:?}");
        let mut client = lease.log_in()?;
        client.select("INBOX")?;
        for message in client.fetch_all()? {
            ensure!(id_of(&message.body).as_deref() != Some("smuggled@x"), "{end:?} ended a message");
        }
    }
    Ok(())
}

/// Connections that end anywhere in a dialogue: nothing of them is delivered, and nothing of them stays.
fn dropped_halfway(world: &World) -> Result<()> {
    let lease = world.borrow("ingrid")?;
    let site = world.site()?;
    let letter = String::from_utf8(Letter::new("halfway@hostile", 3_000).bytes)?;
    let whole =
        format!("LHLO x\r\nMAIL FROM:<sender@far.example>\r\nRCPT TO:<{}>\r\nDATA\r\n{letter}", lease.address());
    let watch = Watch::new(world)?;
    for cut in (0..whole.len()).step_by(97) {
        let mut wire = Wire::connect(site.store_address("lmtp", "ingrid")?)?;
        wire.send(whole.as_bytes().get(..cut).unwrap_or_default())?;
        wire.finish()?;
    }
    ensure!(lease.log_in()?.select("INBOX")?.exists == 0, "half a message was delivered");
    watch.has_not_grown()
}

/// Looks at the site's memory before and after, and whether it still serves.
struct Watch<'a> {
    site: &'a Site,
    before: u64,
}

impl<'a> Watch<'a> {
    fn new(world: &'a World) -> Result<Self> {
        let site = world.site()?;
        Ok(Self { site, before: site.resident_octets()? })
    }

    fn has_not_grown(self) -> Result<()> {
        let after = self.site.resident_octets()?;
        let grown = after.saturating_sub(self.before);
        if grown > GROWTH_MAX {
            bail!("the site's memory grew by {} MB, from {} MB", grown >> 20, self.before >> 20);
        }
        Client::connect(self.site.address("smtp")?, Kind::Smtp)?;
        imap::Client::connect_tls(self.site.address("imaps")?)?.must("NOOP")?;
        Ok(())
    }
}

/// Far less than what is sent, and enough for what other trials make the site do meanwhile.
const GROWTH_MAX: u64 = 96 << 20;
const FLOOD_OCTETS: usize = 256 << 20;
const DEPTH: u32 = 5_000;
