//! What the machine does on its own with what the peer sent.

use super::deflate::Inflated;
use super::input::Line;
use super::{Append, AppendBegin, CONTINUE, Event, Phase, Server};
use crate::command::Tag;
use crate::parse::{self, Announced, AppendHead, AppendMessage, Rejected, Request, Tail};
use crate::response::{Reply, ReplyKind, Response, ResponseCode};

impl Server {
    /// Goes on until the session is asked something or the input is used up.
    pub(super) fn advance(&mut self) {
        while self.event.is_none() && (self.step() || self.inflate()) {}
        self.release();
    }

    /// An idle connection holds no buffer.
    pub(super) fn release(&mut self) {
        self.input.release();
        if self.frame.is_empty() && self.frame.capacity() > 0 {
            self.frame = Vec::new();
        }
    }

    /// One step; false when more input, or an answer, is needed.
    fn step(&mut self) -> bool {
        let moved = match &self.phase {
            Phase::Line => self.step_line(),
            Phase::Literal { left } => self.step_literal(*left),
            Phase::Drain { left, budget } => self.step_drain(*left, *budget),
            Phase::DrainLine { budget } => self.step_drain_line(*budget),
            Phase::AuthLine { .. } => self.step_auth(),
            Phase::Idle { .. } => self.step_idle(),
            Phase::AppendBody { .. } => self.step_append_body(),
            Phase::AppendTail { .. } => self.step_append_tail(),
            Phase::Busy { .. }
            | Phase::StartTlsAsked { .. }
            | Phase::Handshake
            | Phase::IdleAsked { .. }
            | Phase::AppendAsked { .. }
            | Phase::Passed
            | Phase::Closed => return false,
        };
        if !moved && self.eof && !self.holds_input() {
            self.close();
        }
        moved
    }

    /// Inflates a piece of what came, when everything before it is read; false when there is none, or it must wait.
    fn inflate(&mut self) -> bool {
        if !self.may_read() {
            return false;
        }
        let Some(deflate) = self.deflate.as_mut().filter(|deflate| deflate.has_input()) else { return false };
        match deflate.inflate(&mut self.input) {
            Inflated::Piece => {}
            Inflated::End => {
                deflate.close();
                self.eof = true;
            }
            Inflated::Broken => self.bye(Reply::bad("this is not DEFLATE")),
        }
        true
    }

    /// How much of the command may still come.
    fn room(&self) -> usize {
        let max = if self.logged_in { self.limits.command_octets_max } else { self.limits.login_octets_max };
        max.saturating_sub(self.frame.len())
    }

    fn step_line(&mut self) -> bool {
        let max = self.room().min(self.limits.line_octets_max);
        match self.input.line(max, self.limits.skip_octets_max) {
            Line::Part => false,
            Line::Endless => self.leave_line(),
            Line::Whole(line) => {
                self.on_line(&line);
                true
            }
            Line::TooLong(start) => {
                let tag = parse::leading_tag(if self.frame.is_empty() { &start } else { &self.frame });
                self.frame.clear();
                self.reject(tag, Reply::bad("the line is too long").with(ResponseCode::TooBig));
                true
            }
            Line::TooLongEnd(end) => {
                let budget = self.drain_budget();
                self.after_refused_line(&end, budget);
                true
            }
        }
    }

    fn leave_line(&mut self) -> bool {
        self.bye_too_much("the line is too long");
        false
    }

    fn on_line(&mut self, line: &[u8]) {
        let announced = parse::announced_literal(line);
        if self.frame.is_empty() {
            return self.on_text(line, announced);
        }
        let mut text = std::mem::take(&mut self.frame);
        text.extend_from_slice(line);
        self.on_text(&text, announced);
    }

    fn on_text(&mut self, text: &[u8], announced: Option<Announced>) {
        match announced {
            Some(announced) => self.on_announced(text, announced),
            None => self.on_request(parse::request(text, self.dialect())),
        }
    }

    fn on_request(&mut self, request: Result<Request, Rejected>) {
        match request {
            Err(Rejected { tag, reply }) => return self.reject(tag, reply),
            Ok(Request::Command(command)) => {
                self.phase = Phase::Busy { tag: command.tag.clone(), verdict: None };
                self.event = Some(Event::Command(command));
            }
            Ok(Request::Authenticate { tag, mechanism, initial }) => {
                self.phase = Phase::Busy { tag, verdict: None };
                self.event = Some(Event::Authenticate { mechanism, initial });
            }
            Ok(Request::Idle(tag)) => {
                self.phase = Phase::IdleAsked { tag };
                self.event = Some(Event::IdleBegin);
            }
            Ok(Request::StartTls(tag)) => {
                self.phase = Phase::StartTlsAsked { tag };
                self.event = Some(Event::StartTls);
            }
        }
        self.bad_count = 0;
        self.quiet_since = self.now;
    }

    fn on_announced(&mut self, text: &[u8], announced: Announced) {
        match parse::append_head(text, announced, self.dialect()) {
            AppendHead::Ordinary => self.on_literal(text, announced),
            AppendHead::Fault(fault) => self.refuse_literal(parse::leading_tag(text), fault.reply(), announced),
            AppendHead::Message { tag, mailbox, message, wrapped } => match self.append_fault(announced) {
                Some(reply) => self.refuse_literal(Some(tag), reply, announced),
                None => {
                    let append = Append { tag, mailbox, index: 0, left: message.octets, wrapped };
                    self.ask_append(append, message, announced.waits);
                }
            },
        }
    }

    /// A literal that is an argument is collected.
    fn on_literal(&mut self, text: &[u8], announced: Announced) {
        let octets = announced.octets.and_then(|octets| usize::try_from(octets).ok()).unwrap_or(usize::MAX);
        let room = self.room().saturating_sub(text.len() + 2);
        if octets > room.min(self.limits.literal_octets_max) || self.comes_unasked(announced) {
            let reply = Reply::bad("the literal is too large").with(ResponseCode::TooBig);
            return self.refuse_literal(parse::leading_tag(text), reply, announced);
        }
        self.frame.reserve_exact(text.len() + 2 + octets);
        self.frame.extend_from_slice(text);
        self.frame.extend_from_slice(b"\r\n");
        self.phase = Phase::Literal { left: octets };
        if announced.waits {
            self.out.raw(CONTINUE);
        }
    }

    /// RFC 7888 §5: under LITERAL-, more than 4096 octets must wait.
    fn comes_unasked(&self, announced: Announced) -> bool {
        !announced.waits && announced.octets.is_none_or(|octets| octets > self.limits.literal_mode.octets_max())
    }

    fn append_fault(&self, announced: Announced) -> Option<Reply> {
        if announced.octets.is_none_or(|octets| octets > self.limits.append_octets_max) {
            return Some(Reply::no("the message is too large").with(ResponseCode::TooBig));
        }
        self.comes_unasked(announced).then(|| Reply::bad("a literal of this size must wait").with(ResponseCode::TooBig))
    }

    fn step_literal(&mut self, left: usize) -> bool {
        if left == 0 {
            self.phase = Phase::Line;
            return true;
        }
        let part = self.input.take(left);
        self.frame.extend_from_slice(&part);
        self.phase = Phase::Literal { left: left.saturating_sub(part.len()) };
        !part.is_empty()
    }

    /// Answers a command that ends with a literal which is not wanted. A peer that waits will not send it
    /// (RFC 9051 §4.3); from one that does not wait it is dropped, within limits (RFC 7888 §4).
    fn refuse_literal(&mut self, tag: Option<Tag>, reply: Reply, announced: Announced) {
        self.frame.clear();
        self.phase = Phase::Line;
        self.reject(tag, reply);
        if !announced.waits {
            let octets = announced.octets.map_or(u64::MAX, u64::from);
            let budget = self.drain_budget();
            self.drain(octets, budget);
        }
    }

    pub(super) fn drain_budget(&self) -> u64 {
        let before_login = u64::try_from(self.limits.login_octets_max).unwrap_or(u64::MAX);
        if self.logged_in { self.limits.drain_octets_max } else { before_login }
    }

    pub(super) fn drain(&mut self, octets: u64, budget: u64) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        match budget.checked_sub(octets) {
            Some(budget) => self.phase = Phase::Drain { left: octets, budget },
            None => self.bye_too_much("the literal is too large"),
        }
    }

    fn step_drain(&mut self, left: u64, budget: u64) -> bool {
        if left == 0 {
            self.phase = Phase::DrainLine { budget };
            return true;
        }
        let part = self.input.take(usize::try_from(left).unwrap_or(usize::MAX));
        let taken = u64::try_from(part.len()).unwrap_or(u64::MAX);
        self.phase = Phase::Drain { left: left.saturating_sub(taken), budget };
        !part.is_empty()
    }

    fn step_drain_line(&mut self, budget: u64) -> bool {
        match self.input.line(self.limits.line_octets_max, self.limits.skip_octets_max) {
            Line::Part => false,
            Line::Endless => self.leave_line(),
            Line::TooLong(_) => true,
            Line::Whole(line) | Line::TooLongEnd(line) => {
                self.after_refused_line(&line, budget);
                true
            }
        }
    }

    /// The command was answered; a literal that its next line announces is dropped too, unless the peer waits for us,
    /// who takes our tagged answer as a refusal.
    pub(super) fn after_refused_line(&mut self, line: &[u8], budget: u64) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.phase = Phase::Line;
        if let Some(Announced { octets, waits: false }) = parse::announced_literal(line) {
            self.drain(octets.map_or(u64::MAX, u64::from), budget);
        }
    }

    fn step_auth(&mut self) -> bool {
        let line = match self.input.line(self.limits.login_octets_max, self.limits.skip_octets_max) {
            Line::Part => return false,
            Line::Endless => return self.leave_line(),
            Line::TooLong(_) => return true,
            Line::Whole(line) => Some(line),
            Line::TooLongEnd(_) => None,
        };
        let Phase::AuthLine { tag } = std::mem::replace(&mut self.phase, Phase::Line) else { return false };
        self.quiet_since = self.now;
        let response = line.as_ref().filter(|line| line.as_ref() != b"*").and_then(|line| parse::base64_response(line));
        self.event = Some(match response {
            Some(response) => {
                self.phase = Phase::Busy { tag, verdict: None };
                Event::AuthResponse(response)
            }
            None => {
                // RFC 9051 §6.2.2: cancelled, or not base64, is BAD.
                self.phase = Phase::Busy { tag, verdict: Some(Reply::bad("authentication cancelled")) };
                Event::AuthCancelled
            }
        });
        true
    }

    fn step_idle(&mut self) -> bool {
        let done = match self.input.line(IDLE_LINE_OCTETS_MAX, self.limits.skip_octets_max) {
            Line::Part => return false,
            Line::Endless => return self.leave_line(),
            Line::TooLong(_) => return true,
            Line::Whole(line) => line.trim_ascii_end().eq_ignore_ascii_case(b"DONE"),
            Line::TooLongEnd(_) => false,
        };
        let Phase::Idle { tag, .. } = std::mem::replace(&mut self.phase, Phase::Line) else { return false };
        // RFC 9051 §6.3.13: nothing but DONE may come.
        let verdict = (!done).then(|| Reply::bad("IDLE ends with DONE"));
        self.phase = Phase::Busy { tag, verdict };
        self.event = Some(Event::IdleDone);
        true
    }

    fn ask_append(&mut self, append: Append, message: AppendMessage, waits: bool) {
        self.event = Some(Event::AppendBegin(Box::new(AppendBegin {
            tag: append.tag.clone(),
            mailbox: append.mailbox.clone(),
            index: append.index,
            message,
        })));
        self.phase = Phase::AppendAsked { append: Box::new(append), waits };
        self.bad_count = 0;
        self.quiet_since = self.now;
    }

    fn step_append_body(&mut self) -> bool {
        let Phase::AppendBody { append } = &mut self.phase else { return false };
        if append.left > 0 {
            let left = usize::try_from(append.left).unwrap_or(usize::MAX);
            let chunk = self.input.take(left.min(Self::CHUNK_OCTETS_MAX));
            if chunk.is_empty() {
                return false;
            }
            append.left = append.left.saturating_sub(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
            self.event = Some(Event::AppendChunk(chunk));
            return true;
        }
        if let Phase::AppendBody { append } = std::mem::replace(&mut self.phase, Phase::Line) {
            self.phase = Phase::AppendTail { append };
        }
        self.event = Some(Event::AppendEnd);
        true
    }

    fn step_append_tail(&mut self) -> bool {
        let line = match self.input.line(self.limits.line_octets_max, self.limits.skip_octets_max) {
            Line::Part => return false,
            Line::Endless => return self.leave_line(),
            Line::TooLong(_) => return true,
            Line::Whole(line) => Some(line),
            Line::TooLongEnd(_) => None,
        };
        let Phase::AppendTail { append } = std::mem::replace(&mut self.phase, Phase::Line) else { return false };
        let Some(line) = line else {
            self.abort_append(append.tag, Reply::bad("the line is too long"));
            return true;
        };
        match parse::append_tail(&line, append.wrapped, self.dialect()) {
            Tail::End => {
                self.phase = Phase::Busy { tag: append.tag, verdict: None };
                self.event = Some(Event::AppendFinish);
            }
            Tail::Fault(fault) => self.broken_tail(append.tag, fault.reply(), &line),
            Tail::Message { message, wrapped } => match parse::announced_literal(&line) {
                Some(announced) => match self.append_fault(announced) {
                    Some(reply) => self.broken_tail(append.tag, reply, &line),
                    None => {
                        let next = Append { left: message.octets, wrapped, index: append.index + 1, ..*append };
                        self.ask_append(next, message, announced.waits);
                    }
                },
                None => self.abort_append(append.tag, Reply::bad("a message is missing")),
            },
        }
        true
    }

    /// The verdict goes out when the session has dropped its messages. A literal that comes all the same is dropped then,
    /// within limits (RFC 7888 §4).
    fn broken_tail(&mut self, tag: Tag, reply: Reply, line: &[u8]) {
        let unasked = parse::announced_literal(line).filter(|announced| !announced.waits);
        self.unwanted_octets = unasked.map(|announced| announced.octets.map_or(u64::MAX, u64::from));
        self.abort_append(tag, reply);
    }

    fn abort_append(&mut self, tag: Tag, verdict: Reply) {
        self.phase = Phase::Busy { tag, verdict: Some(verdict) };
        self.event = Some(Event::AppendAbort);
    }

    /// Answers what was not understood, or cannot be meant.
    pub(super) fn reject(&mut self, tag: Option<Tag>, reply: Reply) {
        match &tag {
            Some(tag) => reply.encode_tagged(tag, &mut self.out),
            None => Response::Untagged(reply.clone()).encode(&mut self.out),
        }
        if reply.kind == ReplyKind::Bad {
            self.count_bad();
        }
    }

    fn count_bad(&mut self) {
        self.bad_count = self.bad_count.saturating_add(1);
        if self.bad_count >= self.limits.bad_count_max {
            self.bye(Reply::no("too many bad commands"));
        }
    }
}

/// `DONE` with room for spaces.
const IDLE_LINE_OCTETS_MAX: usize = 64;
