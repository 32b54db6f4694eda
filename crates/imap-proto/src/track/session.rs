//! What lines mean for the state of a session.

use super::lines::Line;
use super::{IN_FLIGHT_MAX, PART_OCTETS_MAX, State};
use crate::command::{Command, CommandBody, Dialect, Tag};
use crate::parse::{self, Announced, Request};
use mail_types::MailboxName;
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) state: State,
    pub(super) enabled: Enabled,
    pub(super) in_flight: VecDeque<InFlight>,
    pub(super) client_at: ClientAt,
    pub(super) backend_at: BackendAt,
    /// Whether the client's command that is coming in, or came in last, is the last one in flight.
    is_last_known: bool,
}

/// What the server said it enabled (RFC 5161).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    /// MODSEQs are told (RFC 7162 §3.1).
    pub condstore: bool,
    /// VANISHED is told instead of EXPUNGE (RFC 7162 §3.2).
    pub qresync: bool,
    /// Names and quoted strings are UTF-8 (RFC 6855, RFC 9051).
    pub utf8: bool,
}

/// A command without its tagged answer.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) tag: Tag,
    kind: Kind,
}

/// What the answer to a command will change.
#[derive(Debug)]
enum Kind {
    /// SELECT or EXAMINE, of a mailbox if it could be read.
    Select {
        mailbox: Option<MailboxName>,
        read_only: bool,
    },
    /// CLOSE or UNSELECT.
    Leave,
    /// IDLE, whether the server has said `+`, and whether the client has ended it.
    Idle {
        granted: bool,
        ended: bool,
    },
    Logout,
    Compress,
    Other,
}

/// What the client's next octets are.
#[derive(Debug)]
pub(super) enum ClientAt {
    /// A command.
    Line,
    /// The rest of one, behind a literal.
    Command,
    /// The rest of one whose text is wanted: the last in flight.
    Collecting { text: Vec<u8> },
    /// A literal.
    Literal { left: u64 },
    /// A literal of such a command.
    CollectedLiteral { left: usize, text: Vec<u8> },
    /// Nothing, until the server says whether it wants so many octets of the last command in flight.
    AsksToSend { octets: u32, text: Option<Vec<u8>> },
    /// The end of IDLE.
    Idle,
}

/// What the back-end's next octets are.
#[derive(Debug)]
pub(super) enum BackendAt {
    /// A response.
    Line,
    /// The rest of one, behind a literal.
    Response,
    /// A literal.
    Literal { left: u64 },
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            state: State::Authenticated,
            enabled: Enabled::default(),
            in_flight: VecDeque::new(),
            client_at: ClientAt::Line,
            backend_at: BackendAt::Line,
            is_last_known: false,
        }
    }

    pub(super) fn is_followed(&self) -> bool {
        match self.state {
            State::Authenticated | State::Selected { .. } | State::LoggedOut => true,
            State::Opaque | State::Unknown => false,
        }
    }

    /// Whether nothing is under way but a granted IDLE.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.iter().all(|command| matches!(command.kind, Kind::Idle { granted: true, ended: false }))
    }

    pub(super) fn lose(&mut self) {
        self.give_up(State::Unknown);
    }

    fn give_up(&mut self, state: State) {
        *self = Self { state, enabled: self.enabled, ..Self::new() };
    }

    pub(super) fn on_client_line(&mut self, line: &Line<'_>) {
        match std::mem::replace(&mut self.client_at, ClientAt::Line) {
            ClientAt::Idle => self.end_idle(),
            ClientAt::Line => {
                let text = self.begin(line.head);
                self.on_command_line(line, text);
            }
            ClientAt::Collecting { text } => self.on_command_line(line, Some(text)),
            ClientAt::Command
            | ClientAt::Literal { .. }
            | ClientAt::CollectedLiteral { .. }
            | ClientAt::AsksToSend { .. } => self.on_command_line(line, None),
        }
    }

    /// A command so long that the server may answer it before its line ends.
    pub(super) fn on_long_line(&mut self, head: &[u8]) {
        match self.client_at {
            ClientAt::Line => {
                self.begin(head);
                if self.is_followed() {
                    self.client_at = ClientAt::Command;
                }
            }
            ClientAt::Collecting { .. } => self.client_at = ClientAt::Command,
            ClientAt::Command
            | ClientAt::Literal { .. }
            | ClientAt::CollectedLiteral { .. }
            | ClientAt::AsksToSend { .. }
            | ClientAt::Idle => {}
        }
    }

    pub(super) fn literal_collected(&mut self) {
        if let ClientAt::CollectedLiteral { left: 0, text } = &mut self.client_at {
            let text = std::mem::take(text);
            self.client_at = ClientAt::Collecting { text };
        }
    }

    /// A command is under way. Gives room for its text, where that is wanted.
    fn begin(&mut self, head: &[u8]) -> Option<Vec<u8>> {
        self.is_last_known = false;
        // What has no tag gets no tagged answer.
        let tag = parse::leading_tag(head)?;
        let verb = head.split(|octet| *octet == b' ').nth(1).unwrap_or_default();
        let is = |name: &[u8]| verb.eq_ignore_ascii_case(name);
        let kind = match () {
            () if is(b"SELECT") || is(b"EXAMINE") => Kind::Select { mailbox: None, read_only: is(b"EXAMINE") },
            () if is(b"CLOSE") || is(b"UNSELECT") => Kind::Leave,
            () if is(b"IDLE") => Kind::Idle { granted: false, ended: false },
            () if is(b"LOGOUT") => Kind::Logout,
            () if is(b"COMPRESS") => Kind::Compress,
            () => Kind::Other,
        };
        let text = matches!(kind, Kind::Select { .. }).then(Vec::new);
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            self.lose();
            return None;
        }
        self.in_flight.push_back(InFlight { tag, kind });
        self.is_last_known = true;
        text
    }

    /// A line of a command has ended: a literal follows it, or the command is whole.
    fn on_command_line(&mut self, line: &Line<'_>, text: Option<Vec<u8>>) {
        if !self.is_followed() {
            return;
        }
        let text = text.filter(|text| line.whole && text.len() + line.head.len() < PART_OCTETS_MAX).map(|mut text| {
            text.extend_from_slice(line.head);
            text
        });
        match parse::announced_literal(line.tail) {
            None => self.on_whole_command(text),
            // Of an unbelievable size: it is refused, and what then comes is anybody's guess.
            Some(Announced { octets: None, .. }) => self.lose(),
            // Refused without a tag.
            Some(Announced { waits: true, .. }) if !self.is_last_known => self.lose(),
            Some(Announced { octets: Some(octets), waits: true }) => {
                self.client_at = ClientAt::AsksToSend { octets, text };
            }
            Some(Announced { octets: Some(octets), waits: false }) => self.begin_literal(octets, text),
        }
    }

    fn begin_literal(&mut self, octets: u32, text: Option<Vec<u8>>) {
        let size = usize::try_from(octets).unwrap_or(usize::MAX);
        let text = text.filter(|text| size < PART_OCTETS_MAX.saturating_sub(text.len()));
        self.client_at = match (text, octets) {
            (Some(mut text), _) => {
                text.extend_from_slice(b"\r\n");
                if size == 0 { ClientAt::Collecting { text } } else { ClientAt::CollectedLiteral { left: size, text } }
            }
            (None, 0) => ClientAt::Command,
            (None, _) => ClientAt::Literal { left: u64::from(octets) },
        };
    }

    fn on_whole_command(&mut self, text: Option<Vec<u8>>) {
        let dialect = if self.enabled.utf8 { Dialect::Utf8 } else { Dialect::Rev1 };
        let command = self.in_flight.back_mut().filter(|_| self.is_last_known);
        match command.map(|command| &mut command.kind) {
            Some(Kind::Select { mailbox, .. }) => *mailbox = text.and_then(|text| selected(&text, dialect)),
            Some(Kind::Idle { .. }) => self.client_at = ClientAt::Idle,
            Some(Kind::Leave | Kind::Logout | Kind::Compress | Kind::Other) | None => {}
        }
    }

    /// Whatever the line says (RFC 9051 §6.3.13: DONE), the server ends it.
    fn end_idle(&mut self) {
        if let Some(Kind::Idle { ended, .. }) = self.in_flight.back_mut().map(|command| &mut command.kind) {
            *ended = true;
        }
    }

    pub(super) fn on_backend_line(&mut self, line: &Line<'_>) {
        let is_first = matches!(self.backend_at, BackendAt::Line);
        self.backend_at = BackendAt::Line;
        if is_first && self.on_response(line.head) == Holds::Text {
            return;
        }
        match parse::announced_literal(line.tail) {
            Some(Announced { octets: None, .. }) => self.lose(),
            Some(Announced { octets: Some(0), .. }) => self.backend_at = BackendAt::Response,
            Some(Announced { octets: Some(octets), .. }) => {
                self.backend_at = BackendAt::Literal { left: u64::from(octets) };
            }
            None => {}
        }
    }

    fn on_response(&mut self, head: &[u8]) -> Holds {
        let (word, rest) = cut(head);
        match word {
            b"*" => return self.on_untagged(rest),
            b"+" => self.go_ahead(),
            tag => {
                let (condition, text) = cut(rest);
                match Answer::parse(condition) {
                    Some(answer) => self.on_answer(tag, answer, text),
                    None => self.lose(),
                }
            }
        }
        Holds::Text
    }

    fn on_untagged(&mut self, rest: &[u8]) -> Holds {
        let (word, names) = cut(rest);
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if is(b"BYE") {
            self.state = State::LoggedOut;
        } else if is(b"ENABLED") {
            names.split(|octet| *octet == b' ').for_each(|name| self.enabled.add(name));
        } else if !(is(b"OK") || is(b"NO") || is(b"BAD")) {
            return Holds::Data;
        }
        Holds::Text
    }

    /// IDLE is granted, or a literal: whichever was asked for first.
    fn go_ahead(&mut self) {
        let idle = self.in_flight.iter_mut().find_map(|command| match &mut command.kind {
            Kind::Idle { granted, .. } if !*granted => Some(granted),
            Kind::Idle { .. } | Kind::Select { .. } | Kind::Leave | Kind::Logout | Kind::Compress | Kind::Other => None,
        });
        if let Some(granted) = idle {
            *granted = true;
            return;
        }
        if let ClientAt::AsksToSend { octets, text } = &mut self.client_at {
            let (octets, text) = (*octets, text.take());
            self.begin_literal(octets, text);
        }
    }

    fn on_answer(&mut self, tag: &[u8], answer: Answer, text: &[u8]) {
        // A tag that we do not know is that of a line which we did not take for a command.
        let at = self.in_flight.iter().position(|command| command.tag.as_str().as_bytes() == tag);
        let Some(command) = at.and_then(|at| self.in_flight.remove(at)) else { return };
        let was_last = self.is_last_known && at == Some(self.in_flight.len());
        self.is_last_known &= !was_last;
        match (&self.client_at, &command.kind) {
            // The literal is not wanted, and does not come.
            (ClientAt::AsksToSend { .. }, _) | (ClientAt::Idle, Kind::Idle { .. }) if was_last => {
                self.client_at = ClientAt::Line;
            }
            _ => {}
        }
        match (command.kind, answer) {
            (Kind::Select { mailbox: Some(mailbox), read_only }, Answer::Ok) => {
                let read_only = read_only || has_code(text, b"READ-ONLY");
                self.enter(State::Selected { mailbox, read_only });
            }
            (Kind::Select { mailbox: None, .. }, Answer::Ok) => self.lose(),
            // RFC 9051 §6.3.2: where SELECT fails, no mailbox is selected.
            (Kind::Select { .. }, Answer::No) | (Kind::Leave, Answer::Ok) => self.enter(State::Authenticated),
            (Kind::Logout, Answer::Ok) => self.state = State::LoggedOut,
            // RFC 4978 §3: from the next octet on, both ways.
            (Kind::Compress, Answer::Ok) => self.give_up(State::Opaque),
            (
                Kind::Select { .. } | Kind::Leave | Kind::Idle { .. } | Kind::Logout | Kind::Compress | Kind::Other,
                Answer::Ok | Answer::No | Answer::Bad,
            ) => {}
        }
    }

    fn enter(&mut self, state: State) {
        if self.state != State::LoggedOut {
            self.state = state;
        }
    }
}

impl Enabled {
    fn add(&mut self, name: &[u8]) {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        self.qresync |= is(b"QRESYNC");
        // RFC 7162 §3.2.3: QRESYNC has it in it.
        self.condstore |= is(b"CONDSTORE") || is(b"QRESYNC");
        self.utf8 |= is(b"UTF8=ACCEPT") || is(b"IMAP4rev2");
    }
}

/// What a response holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// A text for people to its end: nothing in it announces a literal.
    Text,
    /// Strings.
    Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Ok,
    No,
    Bad,
}

impl Answer {
    fn parse(word: &[u8]) -> Option<Self> {
        let known = [(Self::Ok, &b"OK"[..]), (Self::No, b"NO"), (Self::Bad, b"BAD")];
        known.into_iter().find_map(|(answer, name)| word.eq_ignore_ascii_case(name).then_some(answer))
    }
}

/// The mailbox of a SELECT or EXAMINE.
fn selected(text: &[u8], dialect: Dialect) -> Option<MailboxName> {
    let Ok(Request::Command(command)) = parse::request(text, dialect) else { return None };
    let Command { body: CommandBody::Select(select) | CommandBody::Examine(select), .. } = *command else {
        return None;
    };
    Some(select.mailbox)
}

/// The first word, and what stands behind it.
fn cut(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, b""),
    }
}

fn has_code(text: &[u8], name: &[u8]) -> bool {
    let code = text.strip_prefix(b"[").and_then(|inner| inner.split(|octet| matches!(octet, b']' | b' ')).next());
    code.is_some_and(|code| code.eq_ignore_ascii_case(name))
}
