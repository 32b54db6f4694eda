//! Follows a session that passes by, as far as is needed to know where it may be told something: octets from the server are
//! replies (RFC 5321 §4.2), whoever asked for them.

/// Where a session is that passes through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// The first octets of the reply line that is coming in.
    begun: [u8; 4],
    begun_octets: usize,
    /// The last whole line announces another (`250-`).
    goes_on: bool,
    /// The client has spoken since the server did.
    waits: bool,
}

impl Track {
    /// The client sent this.
    pub fn client_said(&mut self, octets: &[u8]) {
        self.waits |= !octets.is_empty();
    }

    /// The server said this.
    pub fn server_said(&mut self, octets: &[u8]) {
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            for octet in line.iter().take(self.begun.len().saturating_sub(self.begun_octets)) {
                if let Some(place) = self.begun.get_mut(self.begun_octets) {
                    *place = *octet;
                    self.begun_octets += 1;
                }
            }
            if line.ends_with(b"\n") {
                self.goes_on = self.begun_octets == 4 && self.begun[3] == b'-';
                self.begun_octets = 0;
            }
        }
        self.waits &= octets.is_empty();
    }

    /// Whether nothing is half said and, as far as can be told, nothing asked for.
    pub fn may_speak(&self) -> bool {
        !self.waits && self.is_between_replies()
    }

    /// What the client is told where the server goes without a word: 421 may answer any command (RFC 5321 §3.8). Nothing
    /// where it would be taken for a part of a reply.
    pub fn farewell(&self) -> &'static [u8] {
        if self.is_between_replies() { b"421 4.4.2 The mail server is gone, try again later\r\n" } else { b"" }
    }

    fn is_between_replies(&self) -> bool {
        self.begun_octets == 0 && !self.goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_spoken_to_between_a_reply_and_the_next_command() {
        let mut track = Track::default();
        assert!(track.may_speak());
        track.client_said(b"EHLO a\r\n");
        assert!(!track.may_speak() && !track.farewell().is_empty(), "421 answers the command");
        for half in [&b"250-"[..], b"mail.example\r", b"\n", b"250-SIZE\r\n25", b"0 DSN"] {
            track.server_said(half);
            assert!(!track.may_speak() && track.farewell().is_empty(), "{half:?}");
        }
        track.server_said(b"\r\n");
        assert!(track.may_speak() && track.farewell().starts_with(b"421 4.4.2 "));
    }

    #[test]
    fn any_split_gives_the_same() {
        let said = b"250-a\r\n250 b\r\n354 go\r\n2\r\n550-no\r\n550";
        for split in 0..said.len() {
            let (mut whole, mut parts) = (Track::default(), Track::default());
            let (head, tail) = said.split_at(split);
            parts.server_said(head);
            parts.server_said(tail);
            whole.server_said(said);
            assert_eq!((whole.may_speak(), whole.farewell()), (parts.may_speak(), parts.farewell()), "{split}");
            assert!(!parts.may_speak());
        }
    }
}
