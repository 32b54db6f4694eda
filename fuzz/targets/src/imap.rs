//! IMAP: commands, and the server's end of a connection.

use crate::converse::{Split, assert_lines, converse};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use imap_proto::parse::{Rejected, Request, request};
use imap_proto::server::{Event, Server};
use imap_proto::{Command, CommandBody, Dialect, Limits, MessageSet, Reply, SequenceSet};
use machine::Machine as _;
use mail_types::MailboxName;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One command with its literals. The tag is what stood first; sets and names are read again as they are written.
pub fn imap_request(data: &[u8]) {
    for dialect in [Dialect::Rev1, Dialect::Utf8] {
        match request(data, dialect) {
            Ok(Request::Command(command)) => check_command(&command, data),
            Ok(Request::StartTls(tag) | Request::Idle(tag)) => assert!(data.starts_with(tag.as_str().as_bytes())),
            Ok(Request::Authenticate { tag, mechanism, .. }) => {
                assert!(data.starts_with(tag.as_str().as_bytes()));
                assert!(!mechanism.bytes().any(|octet| octet.is_ascii_lowercase()), "in upper case");
            }
            Err(Rejected { tag, .. }) => {
                assert!(tag.is_none_or(|tag| data.starts_with(tag.as_str().as_bytes())), "a tag that nobody said");
            }
        }
    }
}

fn check_command(command: &Command, data: &[u8]) {
    assert!(data.starts_with(command.tag.as_str().as_bytes()));
    match &command.body {
        CommandBody::Fetch(fetch) => check_set(&fetch.set),
        CommandBody::Store(store) => check_set(&store.set),
        CommandBody::Select(select) | CommandBody::Examine(select) => check_name(&select.mailbox),
        CommandBody::Create { mailbox: name, .. }
        | CommandBody::Delete(name)
        | CommandBody::Subscribe(name)
        | CommandBody::Unsubscribe(name)
        | CommandBody::Status { mailbox: name, .. }
        | CommandBody::GetQuotaRoot(name) => check_name(name),
        CommandBody::Rename { from, to } => [from, to].into_iter().for_each(check_name),
        CommandBody::Login { .. }
        | CommandBody::Capability
        | CommandBody::Noop
        | CommandBody::Logout
        | CommandBody::Id(_)
        | CommandBody::Enable(_)
        | CommandBody::Compress(_)
        | CommandBody::List(_)
        | CommandBody::Lsub { .. }
        | CommandBody::Namespace
        | CommandBody::GetQuota(_)
        | CommandBody::SetQuota { .. }
        | CommandBody::Check
        | CommandBody::Close
        | CommandBody::Unselect
        | CommandBody::Expunge
        | CommandBody::UidExpunge(_)
        | CommandBody::Search(_)
        | CommandBody::Copy(_)
        | CommandBody::Move(_) => {}
    }
}

fn check_set(set: &MessageSet) {
    if let MessageSet::Set(set) = set {
        assert_eq!(SequenceSet::parse(set.to_string().as_bytes()).as_ref(), Some(set));
    }
}

fn check_name(name: &MailboxName) {
    assert_eq!(MailboxName::parse(name.as_str()).as_ref(), Ok(name));
    assert_eq!(MailboxName::parse_utf7(&name.to_utf7()).as_ref(), Ok(name));
}

/// What clients say. Any split gives the same events, the same content of messages and the same responses, whether the
/// session says yes or no; a message that ends has as many octets as were announced.
pub fn imap_server(data: &[u8]) {
    for answers in [Answers::Yes, Answers::No] {
        let whole = session(answers, data, Split::Whole);
        assert_lines(&whole.output);
        for split in Split::OTHERS {
            let other = session(answers, data, split);
            assert_eq!(other.events, whole.events, "{answers:?}, {split:?}");
            let (said, expected) = (other.output.escape_ascii(), whole.output.escape_ascii());
            assert_eq!(said.to_string(), expected.to_string(), "{answers:?}, {split:?}");
        }
    }
}

/// What clients say once they compress (RFC 4978). Deflated, it is what it is in plain; as a stream that may be broken, it
/// is bounded, and ends where it is no DEFLATE.
pub fn imap_deflate(data: &[u8]) {
    for answers in [Answers::Yes, Answers::No] {
        let plain = session(answers, data, Split::Whole);
        let text = deflate(data);
        for split in [Split::Whole, Split::Octets] {
            let other = compressed(answers, &split.cut(&text));
            assert_eq!(other.events, plain.events, "{answers:?}, {split:?}");
            let (said, expected) = (other.output.escape_ascii(), plain.output.escape_ascii());
            assert_eq!(said.to_string(), expected.to_string(), "{answers:?}, {split:?}");
        }
        compressed(answers, &[data]);
    }
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut deflated = Vec::with_capacity(2 * text.len() + 64);
    let done = Compress::new(Compression::fast(), false).compress_vec(text, &mut deflated, FlushCompress::Sync);
    assert!(done.is_ok());
    deflated
}

/// A session that compresses from the first octet on. Its output is as the client reads it.
fn compressed(answers: Answers, pieces: &[&[u8]]) -> Session {
    let now = Instant::now();
    let mut server = server(answers, now);
    server.handle_input(now, b"x COMPRESS DEFLATE\r\n");
    assert!(server.poll_event().is_some(), "COMPRESS");
    server.accept_compress();
    assert!(server.poll_output().is_some() && server.poll_output().is_none(), "in plain, and no more");
    let (mut session, mut client) = (Session::default(), Decompress::new(false));
    for at in 0..=pieces.len() {
        match pieces.get(at) {
            Some(piece) => server.handle_input(now, piece),
            None => server.handle_eof(now),
        }
        for _ in 0..EVENTS_MAX {
            let Some(event) = server.poll_event() else { break };
            session.note(&event);
            answer(&mut server, &event, answers);
            read(&mut server, &mut client, &mut session.output);
        }
        read(&mut server, &mut client, &mut session.output);
    }
    session
}

/// Everything that the server has to say can be inflated at once.
fn read(server: &mut Server, client: &mut Decompress, output: &mut Vec<u8>) {
    while let Some(piece) = server.poll_output() {
        let (before, mut room) = (client.total_in(), output.len() + 64);
        while client.total_in() - before < piece.len() as u64 || output.len() == output.capacity() {
            room *= 2;
            output.reserve(room);
            let taken = usize::try_from(client.total_in() - before).unwrap_or(usize::MAX);
            let rest = piece.get(taken..).unwrap_or_default();
            assert!(client.decompress_vec(rest, output, FlushDecompress::None).is_ok(), "DEFLATE");
        }
    }
}

/// A stream of a few octets may hold more commands than a run has time for.
const EVENTS_MAX: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    Yes,
    No,
}

#[derive(Default)]
struct Session {
    events: Vec<String>,
    /// What came of a message since the last other event: its pieces may differ, the whole may not.
    content: Vec<u8>,
    announced: u64,
    output: Vec<u8>,
}

fn server(answers: Answers, now: Instant) -> Server {
    let mut server = Server::new(Arc::new(limits()), now);
    if answers == Answers::Yes {
        server.logged_in();
    }
    server
}

fn session(answers: Answers, data: &[u8], split: Split) -> Session {
    let now = Instant::now();
    let mut server = server(answers, now);
    let mut session = Session::default();
    session.output = converse(&mut server, now, &split.cut(data), |server, event| {
        session.note(&event);
        answer(server, &event, answers);
    });
    session
}

impl Session {
    fn note(&mut self, event: &Event) {
        match event {
            Event::AppendChunk(chunk) => {
                assert!(!chunk.is_empty() && chunk.len() <= Server::CHUNK_OCTETS_MAX);
                self.content.extend_from_slice(chunk);
                return;
            }
            Event::AppendBegin(begin) => self.announced = u64::from(begin.message.octets),
            Event::AppendEnd => assert_eq!(self.content.len() as u64, self.announced, "as long as announced"),
            Event::Command(_)
            | Event::StartTls
            | Event::Authenticate { .. }
            | Event::AuthResponse(_)
            | Event::AuthCancelled
            | Event::IdleBegin
            | Event::IdleDone
            | Event::AppendFinish
            | Event::AppendAbort => {}
        }
        let content = std::mem::take(&mut self.content);
        self.events.push(format!("{} {event:?}", content.escape_ascii()));
    }
}

fn answer(server: &mut Server, event: &Event, answers: Answers) {
    let yes = answers == Answers::Yes;
    match event {
        Event::Authenticate { initial: None, .. } if yes => server.challenge(b"who"),
        Event::IdleBegin if yes => server.accept_idle(),
        Event::AppendBegin(_) if yes => server.accept_append(),
        Event::AppendChunk(_) | Event::AppendEnd => {}
        Event::Command(command) if yes && command.body == CommandBody::Logout => server.logout(),
        Event::Command(_)
        | Event::StartTls
        | Event::Authenticate { .. }
        | Event::AuthResponse(_)
        | Event::AuthCancelled
        | Event::IdleBegin
        | Event::IdleDone
        | Event::AppendBegin(_)
        | Event::AppendFinish
        | Event::AppendAbort => server.complete(Reply::no("no")),
    }
}

/// So low that small inputs reach them.
fn limits() -> Limits {
    Limits {
        line_octets_max: 120,
        literal_octets_max: 50,
        command_octets_max: 200,
        login_octets_max: 150,
        append_octets_max: 150,
        drain_octets_max: 150,
        skip_octets_max: 200,
        bad_count_max: 10,
        idle_max: Duration::from_secs(60),
        ..Limits::default()
    }
}

/// Streams that clients have deflated, for the corpus.
pub(crate) fn seeds() -> Vec<crate::seeds::Seed> {
    let named = [
        ("deflated", deflate(b"a NOOP\r\nb IDLE\r\nDONE\r\nc APPEND x {3+}\r\nabc\r\nd LOGOUT\r\n")),
        ("bomb", deflate(&[b"a APPEND x {150+}\r\n".as_slice(), &[b'x'; 40_000]].concat())),
        ("cut", deflate(b"a NOOP\r\nb NOOP\r\n").into_iter().take(9).collect()),
        // A stored block that is the last one, and octets behind it.
        ("end", b"\x01\x08\x00\xf7\xffa NOOP\r\nbehind".to_vec()),
        ("not-deflate", b"\xff\xff\xff\xff".to_vec()),
    ];
    named.map(|(name, octets)| ("imap_deflate", name.to_owned(), octets)).into()
}
