//! The tree of parts: examples of RFC 2046 and RFC 2049, and messages that are wrong in one way each.

use message::{Content, DEPTH_MAX, Message, PART_COUNT_MAX, Part, split_header, top};

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).replace("\r\n", "\n")
}

/// `type/subtype octets lines`, and in brackets what is inside.
fn shown(message: &Message<'_>, part: &Part<'_>) -> String {
    let mime = part.mime();
    let kind = format!("{}/{}", text(mime.content_type.kind()), text(mime.content_type.subtype())).to_lowercase();
    let inside: Vec<String> = message.children(part).map(|child| shown(message, child)).collect();
    match part.content() {
        Content::Leaf => format!("{kind} {} {}", part.octets(), part.lines()),
        Content::Multipart => format!("{kind} [{}]", inside.join(", ")),
        Content::Message => format!("{kind} {} {} [{}]", part.octets(), part.lines(), inside.join(", ")),
    }
}

fn tree(raw: &str) -> String {
    let message = Message::parse(raw.as_bytes());
    shown(&message, message.root())
}

#[test]
fn example_of_rfc_2046() {
    let message = Message::parse(include_bytes!("messages/rfc2046.eml"));
    let bodies: Vec<String> = message.children(message.root()).map(|part| text(part.body())).collect();
    assert_eq!(
        bodies,
        [
            "This is implicitly typed plain US-ASCII text.\nIt does NOT end with a linebreak.",
            "This is explicitly typed plain US-ASCII text.\nIt DOES end with a linebreak.\n",
        ]
    );
    let lines: Vec<usize> = message.parts().skip(1).map(Part::lines).collect();
    assert_eq!(lines, [1, 2]);
    assert_eq!(message.date().expect("a date").rfc5322(), "Sun, 21 Mar 1993 23:56:48 -0800");
}

#[test]
fn example_of_rfc_2049() {
    let message = Message::parse(include_bytes!("messages/rfc2049.eml"));
    assert_eq!(
        shown(&message, message.root()),
        "multipart/mixed [text/plain 271 7, text/plain 114 3, multipart/parallel [audio/basic 30 1, image/jpeg 30 1], \
         text/enriched 145 5, message/rfc822 236 7 [text/plain 55 1]]"
    );
    let audio = message.part(&[3, 1]).expect("3.1");
    assert_eq!(audio.decode(100).expect("base64").octets, b"... base64-encoded ");
    assert_eq!(audio.text(100), None);
    let inner = message.part(&[5, 1]).expect("5.1");
    assert_eq!(inner.text(1000).as_deref(), Some("  ... Additional text in ISO-8859-1 goes here ... ä\r\n"));
    assert_eq!(inner.text(3).as_deref(), Some("  ."));
    assert_eq!(inner.envelope().subject.as_deref(), Some(&b"(subject in US-ASCII)"[..]));
}

#[test]
fn mime_fields_as_given() {
    let raw = "Content-Type: Text/HTML (yes); Charset=\"ISO-8859-1\"; format=flowed\r\n\
        content-transfer-ENCODING: Quoted-Printable (x)\r\nContent-ID:  <a@b>\r\nContent-Description: a\r\n b\r\n\
        Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\nContent-Language: de, en-GB ,\r\n\
        Content-Disposition: Attachment; filename=\"a b.html\"; filename*=utf-8''%C3%B6\r\n\
        Content-Location: http://x.test/\r\nContent-Type: text/plain\r\n\r\n";
    let message = Message::parse(raw.as_bytes());
    let mime = message.root().mime();
    assert_eq!((mime.content_type.kind(), mime.content_type.subtype()), (&b"Text"[..], &b"HTML"[..]));
    let params: Vec<String> =
        mime.content_type.params.iter().map(|param| text(param.name) + "=" + &text(&param.value)).collect();
    assert_eq!(params, ["Charset=ISO-8859-1", "format=flowed"]);
    assert_eq!(mime.encoding, b"Quoted-Printable");
    assert_eq!(mime.id.as_deref(), Some(&b"<a@b>"[..]));
    assert_eq!(mime.description.as_deref(), Some(&b"a b"[..]));
    assert_eq!(mime.md5.as_deref(), Some(&b"Q2hlY2sgSW50ZWdyaXR5IQ=="[..]));
    assert_eq!(mime.language, [&b"de"[..], b"en-GB"]);
    assert_eq!(mime.location.as_deref(), Some(&b"http://x.test/"[..]));
    let disposition = mime.disposition.expect("a disposition");
    assert_eq!(disposition.kind, b"Attachment");
    assert_eq!(disposition.params.text("filename").as_deref(), Some("ö"));
    assert_eq!(disposition.params.raw("filename").map(|name| text(name)).as_deref(), Some("a b.html"));
}

#[test]
fn boundaries() {
    let multipart =
        |boundary: &str, body: &str| tree(&format!("Content-Type: multipart/mixed; boundary={boundary}\n\n{body}"));
    for (boundary, body, expected) in [
        ("b", "--b\n\none\n--b--\n", "multipart/mixed [text/plain 3 0]"),
        // Never closed, and closed without a line end.
        ("b", "--b\n\none\n", "multipart/mixed [text/plain 4 1]"),
        ("b", "--b\n\none\n--b--", "multipart/mixed [text/plain 3 0]"),
        // White space behind, and nothing else.
        ("b", "--b \t\n\none\n--b-- \n", "multipart/mixed [text/plain 3 0]"),
        ("\"b \"", "--b\n\none\n--b-- \n", "multipart/mixed [text/plain 3 0]"),
        ("b", "--b\n\n--bc\n --b\n--B\n--b---\n--b--", "multipart/mixed [text/plain 20 3]"),
        // The epilogue has no parts.
        ("b", "--b\n\none\n--b--\n--b\n\ntwo\n--b--\n", "multipart/mixed [text/plain 3 0]"),
        ("b", "--b\n--b\n\n--b\n\n\n--b--", "multipart/mixed [text/plain 0 0, text/plain 0 0, text/plain 0 0]"),
        ("b", "--b\nA: b\n--b\n\nx\n--b--", "multipart/mixed [text/plain 0 0, text/plain 1 0]"),
        // Nothing to show: a text with all of it.
        ("b", "no boundary\n", "text/plain 12 1"),
        ("b", "--b--\n", "text/plain 6 1"),
        ("\"\"", "--\n\nx", "text/plain 5 2"),
        // One is the start of the other, and one is twice.
        (
            "b",
            "--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\nx\n--bb--\n--b\n\ny\n--b--",
            "multipart/mixed [multipart/mixed [text/plain 1 0], text/plain 1 0]",
        ),
        (
            "bb",
            "--bb\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--bb\n\ny\n--bb--",
            "multipart/mixed [multipart/mixed [text/plain 1 0], text/plain 1 0]",
        ),
        (
            "b",
            "--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n--b\n\ny\n--b--",
            "multipart/mixed [multipart/mixed [text/plain 1 0], text/plain 1 0]",
        ),
        // No empty line before the first boundary of the inner one.
        (
            "b",
            "--b\nContent-Type: multipart/mixed; boundary=c\n--c\n\nx\n--c--\n--b--",
            "multipart/mixed [multipart/mixed [text/plain 1 0]]",
        ),
        // A message that is the whole of a message.
        (
            "b",
            "--b\nContent-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nA: b\n\nx\n--b--",
            "multipart/mixed [message/rfc822 37 4 [message/rfc822 7 2 [text/plain 1 0]]]",
        ),
        // The outer boundary ends all that is inside, headers too.
        (
            "b",
            "--b\nContent-Type: message/rfc822\n\nSubject: x\n--b\n\ny\n--b--",
            "multipart/mixed [message/rfc822 11 1 [text/plain 0 0], text/plain 1 0]",
        ),
        ("b", "--b\nContent-Type: message/rfc822\n--b--", "multipart/mixed [message/rfc822 0 0 [text/plain 0 0]]"),
    ] {
        assert_eq!(multipart(boundary, body), expected, "{body}");
    }
}

#[test]
fn digests_hold_messages() {
    let raw = "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\ny\r\n--b\r\n\
        Content-Type: text/plain\r\n\r\nz\r\n--b--\r\n";
    assert_eq!(tree(raw), "multipart/digest [message/rfc822 15 2 [text/plain 1 0], text/plain 1 0]");
}

#[test]
fn what_is_no_header_is_text() {
    for (raw, expected) in [
        ("", "text/plain 0 0"),
        ("garbage\n", "text/plain 8 1"),
        ("\0\0\u{ff}", "text/plain 4 0"),
        (" a: b\n", "text/plain 6 1"),
        ("\r\n", "text/plain 0 0"),
        ("Subject: x\rContent-Type: a/b\r\n\r\nx", "text/plain 1 0"),
        ("Content-Type: image/gif", "image/gif 0 0"),
        ("From me@x.test Sun Nov 22\nContent-Type: image/gif\n\nx", "image/gif 1 0"),
        ("Content-Type : image/gif\n\nx", "image/gif 1 0"),
        ("Content-Type: text\n\nx", "text/plain 1 0"),
        ("Content-Type: /gif\n\nx", "text/plain 1 0"),
        ("Content-Type:\n image\n /gif\n\nx", "image/gif 1 0"),
        ("Content-Type: image/gif\nnot a field\nA: b\n\nx", "image/gif 19 3"),
        ("Content-Type: multipart/mixed\n\n--b\n\nx", "text/plain 6 2"),
        ("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQQ==", "application/octet-stream 4 0"),
        ("Content-Type: message/rfc822\n\ngarbage\n", "message/rfc822 8 1 [text/plain 8 1]"),
        ("Content-Type: message/partial; number=1\n\nA: b\n", "message/partial 5 1"),
    ] {
        assert_eq!(tree(raw), expected, "{raw:?}");
    }
}

#[test]
fn eight_bit_and_nul_stay() {
    let message = Message::parse(b"Subject: j\xf6rg \0\r\nX-\xf6: y\r\n\r\nbody");
    assert_eq!(message.envelope().subject.as_deref(), Some(&b"j\xf6rg \0"[..]));
    assert_eq!(message.root().field_texts("SUBJECT").collect::<Vec<_>>(), ["jörg \0"]);
    assert_eq!(message.root().body(), b"X-\xf6: y\r\n\r\nbody");
}

#[test]
fn fields_in_their_order() {
    let message = Message::parse(b"Received: a\r\n\tb\r\nSubject: x\r\nRECEIVED: c\r\nEmpty:\r\n\r\n");
    let root = message.root();
    assert_eq!(root.field_texts("received").collect::<Vec<_>>(), ["a\tb", "c"]);
    assert_eq!(root.field("received").map(|field| field.raw()), Some(&b"Received: a\r\n\tb\r\n"[..]));
    assert_eq!(root.field("empty").map(|field| field.value().into_owned()), Some(Vec::new()));
    assert!(root.field("none").is_none());
}

#[test]
fn depth_and_count_are_bounded() {
    let nested: String = (0..1000).map(|n| format!("Content-Type: multipart/mixed; boundary={n}\n\n--{n}\n")).collect();
    let message = Message::parse(nested.as_bytes());
    assert_eq!(message.parts().count(), DEPTH_MAX);
    let last = message.parts().last().expect("the deepest");
    assert!(last.mime().content_type.is("application", "octet-stream") && last.content() == Content::Leaf);

    let messages = "Content-Type: message/rfc822\n\n".repeat(1000);
    assert_eq!(Message::parse(messages.as_bytes()).parts().count(), DEPTH_MAX);

    let wide = "Content-Type: multipart/mixed; boundary=b\n\n".to_owned() + &"--b\n\nx\n".repeat(PART_COUNT_MAX + 10);
    let message = Message::parse(wide.as_bytes());
    assert_eq!(message.parts().count(), PART_COUNT_MAX);
    assert!(message.parts().last().expect("the last").body().ends_with(b"--b\n\nx\n"));
}

#[test]
fn top_gives_header_and_lines() {
    let raw = b"A: b\r\n\r\none\r\ntwo\r\nthree";
    assert_eq!(split_header(raw), (&b"A: b\r\n\r\n"[..], &b"one\r\ntwo\r\nthree"[..]));
    assert_eq!(top(raw, 0), b"A: b\r\n\r\n");
    assert_eq!(top(raw, 2), b"A: b\r\n\r\none\r\ntwo\r\n");
    assert_eq!(top(raw, usize::MAX), raw);
}

#[test]
fn envelopes() {
    let raw = b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.washington.edu>\r\n\
        Subject: IMAP4rev1 WG mtg summary\r\n and minutes\r\nTo: imap@cac.washington.edu\r\nReply-To: \r\n\
        cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\nSubject: second\r\nIn-Reply-To:\r\n\
        To: g: a@x.test;\r\nSender: s@x.test\r\nMessage-Id: <B27397-0100000@cac.washington.edu>\r\n\r\n";
    let envelope = Message::parse(raw).envelope();
    assert_eq!(envelope.date.as_deref(), Some(&b"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)"[..]));
    assert_eq!(envelope.subject.as_deref(), Some(&b"IMAP4rev1 WG mtg summary and minutes"[..]));
    assert_eq!(envelope.in_reply_to.as_deref(), Some(&b""[..]));
    assert_eq!(envelope.message_id.as_deref(), Some(&b"<B27397-0100000@cac.washington.edu>"[..]));
    assert_eq!(envelope.from.len(), 1);
    assert_eq!(envelope.reply_to, envelope.from);
    assert_ne!(envelope.sender, envelope.from);
    assert_eq!((envelope.to.len(), envelope.cc.len(), envelope.bcc.len()), (4, 2, 0));
    assert_eq!(Message::parse(b"").envelope(), message::ImapEnvelope::default());
}
