//! What is sent in plain text behind STARTTLS is never obeyed (RFC 3207 §4.2, RFC 9051 §6.2.1, RFC 2595 §4).

use crate::world::{World, trial};
use anyhow::{Result, ensure};
use e2e::imap;
use e2e::pop3;
use e2e::smtp;
use e2e::wire::Wire;
use libtest_mimic::Trial;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        trial(world, "starttls_injection_smtp", &[], inject_smtp),
        trial(world, "starttls_injection_imap", &[], inject_imap),
        trial(world, "stls_injection_pop3", &[], inject_pop3),
        trial(world, "starttls_forgets_smtp", &[], forgets_smtp),
    ]
}

/// After the go-ahead the server may close; it may not say anything in plain text.
enum Then {
    Closed,
    Handshake,
}

fn after_go_ahead(wire: &mut Wire) -> Result<Then> {
    if !wire.is_readable_within(SILENCE)? {
        return Ok(Then::Handshake);
    }
    ensure!(wire.is_closed()?, "a command from before the handshake was answered: {}", wire.text()?);
    Ok(Then::Closed)
}

fn inject_smtp(world: &World) -> Result<()> {
    let mut client = smtp::Client::connect(world.address("smtp")?, smtp::Kind::Smtp)?;
    client.wire().send(b"STARTTLS\r\nMAIL FROM:<evil@far.example>\r\n")?;
    let answer = client.reply()?;
    if answer.code != 220 {
        // Refused as a whole, which is good as well: then nothing was begun either.
        ensure!(answer.code >= 500, "STARTTLS with more behind it was answered {answer:?}");
        return Ok(());
    }
    if let Then::Closed = after_go_ahead(client.wire())? {
        return Ok(());
    }
    let mut client = client.resume_tls()?;
    let to = world.accounts()?.iter().map(|account| account.address.as_str()).next().unwrap_or_default();
    let reply = client.command(&format!("RCPT TO:<{to}>"))?;
    ensure!(reply.code == 503, "MAIL from before the handshake counts: {reply:?}");
    Ok(())
}

/// RFC 3207 §4.2: what was learnt before is forgotten, even if it came in good order.
fn forgets_smtp(world: &World) -> Result<()> {
    let mut client = smtp::Client::connect(world.address("smtp")?, smtp::Kind::Smtp)?;
    ensure!(client.command("MAIL FROM:<early@far.example>")?.is_good(), "MAIL");
    let answer = client.command("STARTTLS")?;
    if answer.code != 220 {
        ensure!(answer.code == 503, "STARTTLS inside a transaction was answered {answer:?}");
        client.command("RSET")?;
        ensure!(client.command("STARTTLS")?.code == 220, "STARTTLS after RSET");
    }
    let mut client = client.resume_tls()?;
    let to = world.accounts()?.iter().map(|account| account.address.as_str()).next().unwrap_or_default();
    let reply = client.command(&format!("RCPT TO:<{to}>"))?;
    ensure!(reply.code == 503, "MAIL from before the handshake counts: {reply:?}");
    ensure!(!client.extensions.iter().any(|line| line == "STARTTLS"), "STARTTLS is offered again");
    Ok(())
}

fn inject_imap(world: &World) -> Result<()> {
    let lease = world.borrow("fritz")?;
    let mut client = imap::Client::connect(world.address("imap")?)?;
    let login = format!("x LOGIN {} {}\r\n", imap::quoted(lease.address()), imap::quoted(lease.password()));
    client.wire().send(format!("s STARTTLS\r\n{login}").as_bytes())?;
    let answer = client.read()?;
    if !answer.text.starts_with("s OK") {
        ensure!(answer.text.starts_with("s BAD") || answer.text.starts_with("* BYE"), "answered {}", answer.text);
        return Ok(());
    }
    if let Then::Closed = after_go_ahead(client.wire())? {
        return Ok(());
    }
    let mut client = client.resume_tls()?;
    // command() fails on any line that is not about its own tag, such as `x OK`.
    let response = client.command("SELECT INBOX")?;
    ensure!(!response.is_ok(), "the LOGIN from before the handshake counts");
    client.login(lease.address(), lease.password())?;
    Ok(())
}

fn inject_pop3(world: &World) -> Result<()> {
    let lease = world.borrow("fritz")?;
    let mut client = pop3::Client::connect(world.address("pop3")?)?;
    let login = format!("USER {}\r\nPASS {}\r\n", lease.address(), lease.password());
    client.wire().send(format!("STLS\r\n{login}").as_bytes())?;
    let answer = client.wire().text()?;
    if !answer.starts_with("+OK") {
        ensure!(answer.starts_with("-ERR"), "answered {answer}");
        return Ok(());
    }
    if let Then::Closed = after_go_ahead(client.wire())? {
        return Ok(());
    }
    let mut client = client.resume_tls()?;
    let answer = client.command("STAT")?;
    ensure!(answer.starts_with("-ERR"), "the login from before the handshake counts: {answer}");
    Ok(())
}

/// An answer in plain text would come at once; this is how long its absence is watched.
const SILENCE: Duration = Duration::from_millis(300);
