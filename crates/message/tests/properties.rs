//! What holds for any octets, and a comparison with another reader on messages without mistakes.

use mail_parser::{MessageParser, MimeHeaders, PartType};
use message::{Content, Message, Part, Section, decode_words, parse_date, split_header, top};
use proptest::prelude::*;

/// Octets in which headers, boundaries and their mistakes are likely.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"Content-Type: multipart/mixed; boundary=a\r\n".to_vec()),
        Just(b"Content-Type: multipart/digest; boundary=\"a--\"\n".to_vec()),
        Just(b"Content-Type: message/rfc822\r\n".to_vec()),
        Just(b"Content-Transfer-Encoding: base64\r\n".to_vec()),
        Just(b"From: a (b) <@c:d@e>, f: \"g\" h@i;\r\n".to_vec()),
        Just(b"Subject: =?utf-8?q?=C3=B6?=\r\n".to_vec()),
        Just(b"Date: 1 Jan 2000 00:00\r\n".to_vec()),
        Just(b"--a\r\n".to_vec()),
        Just(b"--a--\n".to_vec()),
        Just(b"--a----\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b" ".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Invariants 2 and 3 of the crate, for all that is inside a part.
fn check(message: &Message<'_>, part: &Part<'_>) {
    let (range, header, body) = (part.range(), part.header_range(), part.body_range());
    assert!(range.start <= range.end && range.end <= message.raw().len());
    assert_eq!((header.start, header.end, body.end), (range.start, body.start, range.end));
    assert!(body.start <= body.end);
    assert_eq!(part.lines(), part.body().iter().filter(|octet| **octet == b'\n').count());
    let children: Vec<_> = message.children(part).collect();
    match part.content() {
        Content::Leaf => assert!(children.is_empty() && !part.mime().content_type.is_message()),
        Content::Multipart => assert!(!children.is_empty() && part.mime().content_type.is_kind("multipart")),
        Content::Message => {
            assert!(part.mime().content_type.is_message());
            assert!(matches!(&children[..], [root] if root.range() == body));
        }
    }
    let mut floor = body.start;
    for child in children {
        assert!(floor <= child.range().start && child.range().end <= body.end);
        floor = child.range().end;
        check(message, child);
    }
}

/// The numbers of all parts, as the store walks them for BODYSTRUCTURE.
fn paths(message: &Message<'_>, part: &Part<'_>, path: &[u32], found: &mut Vec<(Vec<u32>, usize)>) {
    match part.content() {
        Content::Multipart => {
            for (child, number) in message.children(part).zip(1..) {
                let path = [path, &[number]].concat();
                found.push((path.clone(), child.body_range().start));
                match message.embedded(child) {
                    Some(root) => paths(message, root, &path, found),
                    None if child.content() == Content::Multipart => paths(message, child, &path, found),
                    None => {}
                }
            }
        }
        Content::Leaf | Content::Message => {
            let path = [path, &[1]].concat();
            found.push((path.clone(), part.body_range().start));
            if let Some(root) = message.embedded(part) {
                paths(message, root, &path, found);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_octets_are_a_message(raw in messages()) {
        let message = Message::parse(&raw);
        prop_assert_eq!(message.root().range(), 0..raw.len());
        prop_assert_eq!(split_header(&raw), (message.root().header(), message.root().body()));
        check(&message, message.root());
        let mut found = Vec::new();
        paths(&message, message.root(), &[], &mut found);
        for (path, body_start) in found {
            prop_assert_eq!(message.part(&path).map(|part| part.body_range().start), Some(body_start), "{:?}", path);
        }
        for part in message.parts() {
            let _ = (part.envelope(), part.text(50), part.mime().content_type.params.text("boundary"));
            prop_assert!(part.decode(5).is_none_or(|decoded| decoded.octets.len() <= 5));
        }
    }

    #[test]
    fn any_section_is_none_or_some(raw in messages(), path in proptest::collection::vec(0u32..4, 0..5)) {
        let message = Message::parse(&raw);
        for section in [Section::Whole, Section::Header, Section::Text, Section::Mime] {
            let range = message.section_range(&path, &section);
            let octets = message.section(&path, &section);
            prop_assert_eq!(range.map(|range| &raw[range]), octets.as_deref());
        }
        let names: &[&[u8]] = &[b"subject"];
        let picked = message.section(&path, &Section::Fields(names)).map_or(0, |octets| octets.len());
        prop_assert!(picked <= raw.len() + 2);
    }

    #[test]
    fn no_octets_panic(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
        let message = Message::parse(&raw);
        check(&message, message.root());
        let _ = (message.envelope(), parse_date(&raw), decode_words(&raw), top(&raw, 3));
        let mut entries = Vec::new();
        message::parse_address_list(&raw, &mut entries);
        let _ = message::ContentType::parse(&raw);
    }

    #[test]
    fn what_was_put_together_comes_apart(tree in trees()) {
        let raw = tree.encode(&mut 0);
        prop_assert_eq!(found(&Message::parse(raw.as_bytes())), tree.leaves(), "{}", raw);
    }
}

proptest! {
    #[test]
    fn another_reader_finds_the_same_parts(tree in trees()) {
        // There, a message that is the whole of a message in a multipart fails a debug assertion (0.11.9).
        prop_assume!(!tree.has_message_in_message());
        let raw = tree.encode(&mut 0);
        let other = MessageParser::new().parse(raw.as_bytes()).expect("a message");
        let mut expected = Vec::new();
        flatten(&other, &mut expected);
        prop_assert_eq!(found(&Message::parse(raw.as_bytes())), expected, "{}", raw);
    }
}

/// Type and body of a leaf.
type Found = (String, String);

fn found(message: &Message<'_>) -> Vec<Found> {
    let leaves = message.parts().filter(|part| part.content() == Content::Leaf);
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    leaves.map(|part| (text(part.mime().content_type.kind()), text(part.body()))).collect()
}

/// A well-formed message.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(String),
    Multipart(Vec<Tree>),
    Message(Box<Tree>),
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = "[a-z -]{0,9}(\r\n[a-z -]{1,9}){0,2}".prop_map(Tree::Leaf);
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Tree::Multipart),
            inner.prop_map(|tree| Tree::Message(Box::new(tree))),
        ]
    })
}

impl Tree {
    fn leaves(&self) -> Vec<Found> {
        match self {
            Self::Leaf(text) => vec![("text".into(), text.clone())],
            Self::Multipart(parts) => parts.iter().flat_map(Self::leaves).collect(),
            Self::Message(inner) => inner.leaves(),
        }
    }

    fn has_message_in_message(&self) -> bool {
        match self {
            Self::Leaf(_) => false,
            Self::Multipart(parts) => parts.iter().any(Self::has_message_in_message),
            Self::Message(inner) => matches!(**inner, Self::Message(_)) || inner.has_message_in_message(),
        }
    }

    fn encode(&self, boundary_count: &mut u32) -> String {
        match self {
            Self::Leaf(text) => format!("Content-Type: text/plain\r\n\r\n{text}"),
            Self::Message(inner) => {
                format!("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n{}", inner.encode(boundary_count))
            }
            Self::Multipart(parts) => {
                *boundary_count += 1;
                let boundary = format!("=_{boundary_count}_");
                let parts: String =
                    parts.iter().map(|part| format!("--{boundary}\r\n{}\r\n", part.encode(boundary_count))).collect();
                format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n{parts}--{boundary}--\r\n")
            }
        }
    }
}

fn flatten(message: &mail_parser::Message<'_>, found: &mut Vec<Found>) {
    for part in &message.parts {
        match &part.body {
            PartType::Multipart(_) => {}
            PartType::Message(inner) => flatten(inner, found),
            PartType::Text(text) | PartType::Html(text) => {
                let kind = part.content_type().map_or("text", |content_type| content_type.ctype());
                found.push((kind.to_owned(), text.clone().into_owned()));
            }
            PartType::Binary(octets) | PartType::InlineBinary(octets) => {
                found.push(("binary".into(), String::from_utf8_lossy(octets).into_owned()));
            }
        }
    }
}
