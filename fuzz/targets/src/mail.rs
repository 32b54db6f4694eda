//! Messages: all that IMAP's FETCH, POP3's TOP and Sieve may ask.

use message::{
    Content, Message, Part, Section, decode_words, parse_address_list, parse_date, partial, split_header, top,
};

/// Any octets are a message. Parts lie in each other, sections in the message; what is decoded keeps its limit; TOP is
/// a beginning of the message.
pub fn message(data: &[u8]) {
    let message = Message::parse(data);
    assert_eq!(message.raw(), data);
    assert_eq!(message.root().range(), 0..data.len());
    assert_eq!(split_header(data), (message.root().header(), message.root().body()));
    check_part(&message, message.root());
    for (path, body_start) in numbered(&message) {
        let part = message.part(&path).expect("a part that BODYSTRUCTURE would show");
        assert_eq!(part.body_range().start, body_start, "{path:?}");
        check_sections(&message, &path);
    }
    check_sections(&message, &[]);
    check_sections(&message, &[0]);
    message.parts().for_each(|part| check_values(part, data));
    let _ = (message.date().map(|date| date.to_unix()), parse_date(data), decode_words(data));
    for line_count in [0, 1, 3, usize::MAX] {
        assert!(data.starts_with(top(data, line_count)) && top(data, line_count).starts_with(message.root().header()));
    }
    assert_eq!(top(data, usize::MAX), data);
}

/// Invariants 2 and 3 of the crate, for all that is inside a part.
fn check_part(message: &Message<'_>, part: &Part<'_>) {
    let (range, header, body) = (part.range(), part.header_range(), part.body_range());
    assert!(range.start <= range.end && range.end <= message.raw().len());
    assert_eq!((header.start, header.end, body.end), (range.start, body.start, range.end));
    assert!(body.start <= body.end);
    assert_eq!(part.octets(), body.len());
    assert_eq!(part.lines(), part.body().iter().filter(|octet| **octet == b'\n').count());
    let children: Vec<&Part<'_>> = message.children(part).collect();
    match part.content() {
        Content::Leaf => assert!(children.is_empty() && !part.mime().content_type.is_message()),
        Content::Multipart => assert!(!children.is_empty() && part.mime().content_type.is_kind("multipart")),
        Content::Message => {
            assert!(part.mime().content_type.is_message());
            assert!(matches!(children.as_slice(), [root] if root.range() == body));
        }
    }
    let mut floor = body.start;
    for child in children {
        assert!(floor <= child.range().start && child.range().end <= body.end, "parts beside each other");
        floor = child.range().end;
        check_part(message, child);
    }
}

/// The numbers of all parts and where their bodies begin, as a walk for BODYSTRUCTURE meets them.
fn numbered(message: &Message<'_>) -> Vec<(Vec<u32>, usize)> {
    let mut found = Vec::new();
    // A container and the number of it; parts are bounded by the crate.
    let mut waiting: Vec<(&Part<'_>, Vec<u32>)> = vec![(message.root(), Vec::new())];
    while let Some((container, path)) = waiting.pop() {
        let children: Vec<&Part<'_>> = match container.content() {
            Content::Multipart => message.children(container).collect(),
            // A message that is no multipart has one part, its own body (RFC 9051 §6.4.5.1).
            Content::Leaf | Content::Message => vec![container],
        };
        for (child, number) in children.into_iter().zip(1..) {
            let path = [path.as_slice(), &[number]].concat();
            found.push((path.clone(), child.body_range().start));
            match child.content() {
                Content::Leaf => {}
                Content::Multipart => waiting.push((child, path)),
                Content::Message => waiting.extend(message.embedded(child).map(|root| (root, path))),
            }
        }
    }
    found
}

fn check_sections(message: &Message<'_>, path: &[u32]) {
    let raw = message.raw();
    for section in [Section::Whole, Section::Header, Section::Text, Section::Mime] {
        let range = message.section_range(path, &section);
        let octets = message.section(path, &section);
        assert_eq!(range.map(|range| raw.get(range).expect("a range of the message")), octets.as_deref());
        let Some(octets) = octets else { continue };
        assert_eq!(partial(&octets, 0, u64::MAX), &*octets);
        assert!(partial(&octets, u64::MAX, u64::MAX).is_empty());
        let (first, second) = (partial(&octets, 0, 7), partial(&octets, 7, u64::MAX));
        assert_eq!([first, second].concat(), &*octets, "two halves are the whole");
    }
    let names: &[&[u8]] = &[b"subject", b"content-type"];
    let header = message.section(path, &Section::Header).map(|octets| octets.len());
    for section in [Section::Fields(names), Section::FieldsNot(names)] {
        let picked = message.section(path, &section).map(|octets| octets.len());
        assert_eq!(picked.is_some(), header.is_some());
        assert!(picked <= header.map(|octets| octets + 2), "more was picked than there is");
    }
}

fn check_values(part: &Part<'_>, data: &[u8]) {
    let (mime, envelope) = (part.mime(), part.envelope());
    let _ = (mime.content_type.params.text("boundary"), mime.transfer_encoding(), mime.disposition);
    for entries in [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc] {
        assert!(entries.len() <= message::ADDRESS_COUNT_MAX);
    }
    for octets_max in [0, 5, data.len()] {
        assert!(part.decode(octets_max).is_none_or(|decoded| decoded.octets.len() <= octets_max));
    }
    // A charset may make three octets of UTF-8 of one.
    assert!(part.text(50).is_none_or(|text| text.len() <= 3 * 50));
    let mut octets = 0;
    for field in part.fields() {
        octets += field.raw().len();
        assert!(field.is(field.name()) && field.raw().len() > field.name().len());
        let mut entries = Vec::new();
        parse_address_list(field.raw_value(), &mut entries);
        assert!(entries.len() <= message::ADDRESS_COUNT_MAX);
    }
    assert!(octets <= part.header().len(), "fields do not overlap");
}
