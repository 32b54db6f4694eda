//! IDLE (RFC 2177): what happens meanwhile must be told without being asked for.

use super::facts::{Facts, Heard};
use super::peer::Peer;
use anyhow::Result;

/// A client that is idle.
#[derive(Debug)]
pub(super) struct Idling {
    tag: String,
    facts: Facts,
    /// The server did not go on.
    refused: Option<String>,
}

impl Peer {
    /// Sends IDLE and waits for the go-ahead.
    pub(super) fn begin_idle(&mut self) -> Result<Idling> {
        let mut facts = Facts::of(b"IDLE");
        self.heard_exists = false;
        let tag = self.send_tagged(b"IDLE");
        while let Some(response) = self.response()? {
            if response.starts_with(b"+") {
                return Ok(Idling { tag, facts, refused: None });
            }
            if let Some(status) = self.take(&tag, &response, &mut facts) {
                return Ok(Idling { tag, facts, refused: Some(status) });
            }
        }
        self.closed = true;
        Ok(Idling { tag, facts, refused: Some("closed".to_owned()) })
    }

    /// Waits for news of a message that is new in its mailbox, if there is one, and sends DONE.
    pub(super) fn end_idle(&mut self, idling: Idling, is_new: bool) -> Result<Heard> {
        let Idling { tag, mut facts, refused } = idling;
        if let Some(status) = refused {
            return Ok(facts.heard(status));
        }
        while is_new && !self.heard_exists {
            // None at the end of the connection, or when nothing came in time.
            let Some(response) = self.response()? else {
                facts.violation("a new message is not told of during IDLE".to_owned());
                self.closed = true;
                return Ok(facts.heard("closed".to_owned()));
            };
            if let Some(status) = self.take(&tag, &response, &mut facts) {
                facts.violation("IDLE ended before DONE".to_owned());
                return Ok(facts.heard(status));
            }
        }
        let status = if self.send_line(b"DONE") { self.until_tagged(&tag, &mut facts)? } else { "closed".to_owned() };
        Ok(facts.heard(status))
    }
}
