//! Which octets a section names, on the tree of RFC 3501 §6.4.5 and on messages of one part.

use message::{Content, Message, Section, partial};

const TREE: &[u8] = include_bytes!("messages/rfc3501.eml");

fn section(raw: &[u8], path: &[u32], section: Section<'_>) -> Option<String> {
    let found = Message::parse(raw).section(path, &section)?;
    Some(String::from_utf8_lossy(&found).replace("\r\n", "\n"))
}

#[test]
fn every_number_of_the_tree() {
    let message = Message::parse(TREE);
    for (path, kind) in [
        (&[][..], "multipart/mixed"),
        (&[1], "TEXT/PLAIN"),
        (&[2], "APPLICATION/OCTET-STREAM"),
        (&[3], "MESSAGE/RFC822"),
        (&[3, 1], "TEXT/PLAIN"),
        (&[3, 2], "APPLICATION/OCTET-STREAM"),
        (&[4], "MULTIPART/MIXED"),
        (&[4, 1], "IMAGE/GIF"),
        (&[4, 2], "MESSAGE/RFC822"),
        (&[4, 2, 1], "TEXT/PLAIN"),
        (&[4, 2, 2], "MULTIPART/ALTERNATIVE"),
        (&[4, 2, 2, 1], "TEXT/PLAIN"),
        (&[4, 2, 2, 2], "TEXT/RICHTEXT"),
    ] {
        let mime = message.part(path).unwrap_or_else(|| panic!("{path:?}")).mime();
        let shown = [mime.content_type.kind(), b"/", mime.content_type.subtype()].concat();
        assert_eq!(String::from_utf8_lossy(&shown), kind, "{path:?}");
    }
    for path in [&[0][..], &[5], &[1, 1], &[3, 3], &[3, 0], &[4, 3], &[4, 1, 1], &[4, 2, 3], &[4, 2, 2, 3], &[u32::MAX]]
    {
        assert!(message.part(path).is_none(), "{path:?}");
    }
}

#[test]
fn bodies_have_no_line_end_of_their_boundary() {
    for (path, body) in [
        (&[1][..], "one"),
        (&[3, 1], "three.one"),
        (&[3, 2], "three.two"),
        (&[4, 1], "four.one"),
        (&[4, 2, 1], "four.two.one"),
        (&[4, 2, 2, 1], "four.two.two.one"),
        (&[4, 2, 2, 2], "four.two.two.two"),
    ] {
        assert_eq!(section(TREE, path, Section::Whole).as_deref(), Some(body), "{path:?}");
    }
    let three = section(TREE, &[3], Section::Whole).expect("3");
    assert!(three.starts_with("Subject: three\n") && three.ends_with("\n--three--"), "{three}");
    let alternative = section(TREE, &[4, 2, 2], Section::Whole).expect("4.2.2");
    assert!(alternative.starts_with("--fourtwotwo\n") && alternative.ends_with("\n--fourtwotwo--"), "{alternative}");
}

#[test]
fn headers_and_texts_are_of_messages_only() {
    let header = "Subject: three\nContent-Type: multipart/mixed; boundary=three\n\n";
    assert_eq!(section(TREE, &[3], Section::Header).as_deref(), Some(header));
    let text = section(TREE, &[3], Section::Text).expect("3.TEXT");
    assert!(text.starts_with("--three\n") && text.ends_with("\n--three--"));
    let mime = "Content-Type: IMAGE/GIF\nContent-ID: <4.1@x.test>\n\n";
    assert_eq!(section(TREE, &[4, 1], Section::Mime).as_deref(), Some(mime));
    assert_eq!(section(TREE, &[4, 2], Section::Mime).as_deref(), Some("Content-Type: MESSAGE/RFC822\n\n"));
    for path in [&[1][..], &[4], &[4, 1], &[4, 2, 2], &[9]] {
        for none in [Section::Header, Section::Text, Section::Fields(&[]), Section::FieldsNot(&[])] {
            assert_eq!(section(TREE, path, none), None, "{path:?} {none:?}");
        }
    }
    assert_eq!(section(TREE, &[], Section::Mime), None);
    let message = Message::parse(TREE);
    let both = [Section::Header, Section::Text].map(|section| message.section(&[], &section).expect("a root has both"));
    assert_eq!(both.concat(), TREE);
    assert_eq!(message.section(&[], &Section::Whole).as_deref(), Some(TREE));
}

#[test]
fn fields_are_picked_with_their_folds_and_an_empty_line() {
    let names: &[&[u8]] = &[b"x-other", b"SUBJECT", b"absent"];
    let picked = section(TREE, &[4, 2], Section::Fields(names));
    assert_eq!(picked.as_deref(), Some("Subject: four.two\nX-Other:\n folded\n\n"));
    let others = section(TREE, &[4, 2], Section::FieldsNot(names));
    assert_eq!(others.as_deref(), Some("To: a@x.test\nContent-Type: multipart/mixed; boundary=fourtwo\n\n"));
    assert_eq!(section(TREE, &[], Section::Fields(&[b"x"])).as_deref(), Some("\n"));
    // RFC 3501 §6.4.5: there is no empty line only where the message has neither it nor a body.
    assert_eq!(section(b"A: b\r\n", &[], Section::Fields(&[b"a"])).as_deref(), Some("A: b\n"));
    assert_eq!(section(b"A: b\r\nbody", &[], Section::Fields(&[b"a"])).as_deref(), Some("A: b\n\n"));
    assert_eq!(section(b"A: b\n\nbody", &[], Section::Fields(&[])).as_deref(), Some("\n"));
    assert_eq!(section(b"\r\nbody", &[], Section::FieldsNot(&[])).as_deref(), Some("\n"));
}

#[test]
fn a_message_of_one_part_has_part_1() {
    let raw = b"Subject: x\r\n\r\nbody\r\n";
    assert_eq!(section(raw, &[1], Section::Whole).as_deref(), Some("body\n"));
    assert_eq!(section(raw, &[1], Section::Mime).as_deref(), Some("Subject: x\n\n"));
    for none in [Section::Header, Section::Text] {
        assert_eq!(section(raw, &[1], none), None);
    }
    assert_eq!(section(raw, &[1, 1], Section::Whole), None);
    assert_eq!(section(raw, &[2], Section::Whole), None);
    assert_eq!(section(b"", &[1], Section::Whole).as_deref(), Some(""));
}

#[test]
fn messages_in_messages_are_numbered_once_each() {
    let raw =
        b"Content-Type: message/rfc822\r\n\r\nSubject: a\r\nContent-Type: message/global\r\n\r\nSubject: b\r\n\r\nend";
    assert_eq!(section(raw, &[1], Section::Header).as_deref(), Some("Subject: a\nContent-Type: message/global\n\n"));
    assert_eq!(section(raw, &[1, 1], Section::Header).as_deref(), Some("Subject: b\n\n"));
    assert_eq!(section(raw, &[1, 1], Section::Text).as_deref(), Some("end"));
    assert_eq!(section(raw, &[1, 1, 1], Section::Whole).as_deref(), Some("end"));
    assert_eq!(section(raw, &[1, 1, 1, 1], Section::Whole), None);
    let message = Message::parse(raw);
    assert_eq!(message.part(&[1]).map(|part| part.content()), Some(Content::Message));
}

#[test]
fn partials_are_clamped() {
    assert_eq!(partial(b"0123456789", 2, 3), b"234");
    assert_eq!(partial(b"0123456789", 8, 30), b"89");
    assert_eq!(partial(b"0123456789", 10, 1), b"");
    assert_eq!(partial(b"0123456789", u64::MAX, u64::MAX), b"");
}
