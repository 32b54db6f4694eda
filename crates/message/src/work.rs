//! Counts octets looked at, in tests only, so that "linear time" is a number and not a stopwatch.

#[cfg(test)]
thread_local! {
    static OCTETS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Says that so many octets were looked at.
#[inline]
pub(crate) fn spend(octets: usize) {
    #[cfg(test)]
    OCTETS.with(|sum| sum.set(sum.get() + octets));
    #[cfg(not(test))]
    let _ = octets;
}

/// How many octets `action` looked at.
#[cfg(test)]
pub(crate) fn measure(action: impl FnOnce()) -> usize {
    OCTETS.with(|sum| sum.set(0));
    action();
    OCTETS.with(std::cell::Cell::get)
}

/// Twice the size costs twice the work, whatever the octets are.
#[cfg(test)]
mod tests {
    use super::measure;
    use crate::{Message, Section, decode_words};

    /// All that the store may ask of a message.
    fn read_all(raw: &[u8]) {
        let message = Message::parse(raw);
        for part in message.parts() {
            let _ = (part.mime(), part.text(1000));
        }
        let _ = (message.envelope(), message.date(), message.section(&[], &Section::Fields(&[b"subject"])));
        for subject in message.root().field_texts("subject") {
            assert!(subject.len() <= 3 * raw.len());
        }
    }

    fn assert_linear(name: &str, hostile: impl Fn(usize) -> Vec<u8>) {
        let (small, large) = (hostile(1_000), hostile(8_000));
        let (few, many) = (measure(|| read_all(&small)), measure(|| read_all(&large)));
        // Per octet, the large one may not cost more, but for what is the same for both.
        let allowed = few as f64 / small.len() as f64 * 1.5 + 8.0;
        let needed = many as f64 / large.len() as f64;
        assert!(needed <= allowed, "{name}: {needed} steps for an octet, {allowed} allowed");
        assert!(few >= small.len(), "{name}: not measured");
    }

    #[test]
    fn hostile_messages_are_read_in_linear_time() {
        let nested = |depth: usize| -> String {
            (0..depth).map(|n| format!("Content-Type: multipart/mixed; boundary={n}\n\n--{n}\n")).collect()
        };
        let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
        assert_linear("deep multiparts", |n| nested(n).into_bytes());
        assert_linear("deep messages", |n| "Content-Type: message/rfc822\n\n".repeat(n).into_bytes());
        assert_linear("boundaries", |n| (multipart.to_owned() + &"--b\r\n".repeat(n)).into_bytes());
        assert_linear("deep, then lines like boundaries", |n| (nested(60) + &"--0--x\n".repeat(8 * n)).into_bytes());
        assert_linear("one long field", |n| format!("Subject: {}\r\n\r\n", "a".repeat(n)).into_bytes());
        assert_linear("one long name", |n| "a".repeat(n).into_bytes());
        assert_linear("folds", |n| format!("Subject: a\r\n{}\r\n", " b\r\n".repeat(n)).into_bytes());
        assert_linear("fields", |n| "Subject: a\r\n".repeat(n).into_bytes());
        assert_linear("words that do not end", |n| format!("Subject: {}", "=?a?q?".repeat(n)).into_bytes());
        assert_linear("words that do not begin", |n| format!("Subject: {}", "=?=".repeat(n)).into_bytes());
        assert_linear("comments", |n| format!("From: {}", "(".repeat(n)).into_bytes());
        assert_linear("routes", |n| format!("From: <@{}", "a,".repeat(n)).into_bytes());
        assert_linear("angles", |n| format!("From: {}", "<".repeat(n)).into_bytes());
        assert_linear("quotes", |n| format!("From: {}", "\"a\" ".repeat(n)).into_bytes());
        assert_linear("signs", |n| format!("From: a{}", "@:".repeat(n)).into_bytes());
        assert_linear("groups", |n| format!("From: {}", "a:;".repeat(n)).into_bytes());
        assert_linear("parameters", |n| format!("Content-Type: a/b{}\n\n", "; a=b".repeat(n)).into_bytes());
        assert_linear("semicolons", |n| format!("Content-Type: a/b{}\n\n", ";".repeat(n)).into_bytes());
    }

    #[test]
    fn encoded_words_are_looked_at_a_few_times() {
        let value = "=?utf-8?q?a".repeat(50_000);
        assert!(measure(|| drop(decode_words(value.as_bytes()))) < 8 * value.len());
    }
}
