//! Dialogues as text.
//!
//! ```text
//! quota 3 4096                     the account may have so many messages and octets: the first line, if there
//! # says what it is about
//! put INBOX Subject: one||text     a message arrives by another way; | is CRLF
//! C: a NOOP                        the client sends a line
//! S: a OK …                        and hears this: … stands for anything within the line
//! C2: b NOOP                       another client of the same account
//! hear2                            what comes unasked is heard
//! ```

use super::{Client, Site};
use crate::engine::Quota;
use std::collections::BTreeMap;

/// Plays a dialogue, and fails with what was really said.
pub(super) fn run(text: &str) {
    let quota = text.lines().find_map(|line| line.strip_prefix("quota ")?.split_once(' '));
    let quota = quota.map_or(Quota::default(), |(messages, octets)| Quota {
        messages: messages.parse().ok(),
        octets: octets.parse().ok(),
    });
    let site = Site::with_quota(quota);
    let mut clients: BTreeMap<&str, Client> = BTreeMap::new();
    let mut played = String::new();
    let mut same = true;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        played.push_str(line);
        played.push('\n');
        if line.is_empty() || line.starts_with('#') || line.starts_with("quota ") {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (who, answer) = if word == "put" {
            let (mailbox, message) = rest.split_once(' ').expect("put MAILBOX TEXT");
            site.put(site.mailbox(mailbox), message.replace('|', "\r\n").as_bytes());
            continue;
        } else if let Some(who) = word.strip_prefix("hear") {
            (who, clients.get_mut(who).expect("a client that was there before").hear(&site))
        } else {
            let who = word.strip_prefix('C').and_then(|word| word.strip_suffix(':')).expect("C, hear or put");
            let client = clients.entry(who).or_insert_with(|| site.client());
            (who, client.send(&site, format!("{rest}\r\n").as_bytes()))
        };
        let answer = String::from_utf8_lossy(&answer).replace("\r\n", "\n");
        let prefix = format!("S{who}: ");
        let mut said: Vec<String> = answer.split_terminator('\n').map(|line| format!("{prefix}{line}")).collect();
        let mut expected = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('S')) {
            expected.push(line);
        }
        let as_expected =
            said.len() == expected.len() && said.iter().zip(&expected).all(|(said, line)| matches(line, said));
        if as_expected {
            said = expected.into_iter().map(str::to_owned).collect();
        }
        same &= as_expected;
        for line in said {
            played.push_str(line.trim_end());
            played.push('\n');
        }
    }
    assert!(same, "what was really said:\n{played}");
}

fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| text.trim_end().strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    match last {
        Some(last) => last.is_empty() || rest.is_empty(),
        None => rest.is_empty(),
    }
}
