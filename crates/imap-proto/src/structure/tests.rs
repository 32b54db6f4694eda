//! The examples of RFC 9051 §7.5.2 and RFC 3501 §8, and what mail on the road looks like.

use super::*;

fn text(encoded: &Encoded) -> String {
    String::from_utf8_lossy(encoded.bytes()).into_owned()
}

fn some(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

fn address(name: &str, mailbox: &str, host: &str) -> ImapAddress {
    let name = (!name.is_empty()).then(|| name.as_bytes().to_vec());
    ImapAddress { name, adl: None, mailbox: some(mailbox), host: some(host) }
}

fn envelope() -> ImapEnvelope {
    let gray = address("Terry Gray", "gray", "cac.washington.edu");
    ImapEnvelope {
        date: some("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)"),
        subject: some("IMAP4rev1 WG mtg summary and minutes"),
        from: vec![gray],
        to: vec![address("", "imap", "cac.washington.edu")],
        cc: vec![address("", "minutes", "CNRI.Reston.VA.US"), address("John Klensin", "KLENSIN", "MIT.EDU")],
        message_id: some("<B27397-0100000@cac.washington.edu>"),
        ..ImapEnvelope::default()
    }
}

fn plain(octets: u64, lines: u64) -> SinglePart {
    SinglePart {
        media_type: b"TEXT".to_vec(),
        subtype: b"PLAIN".to_vec(),
        params: vec![(b"CHARSET".to_vec(), b"US-ASCII".to_vec())],
        id: None,
        description: None,
        encoding: b"7BIT".to_vec(),
        octets,
        kind: PartKind::Text { lines },
        md5: None,
        extension: BodyExtension::default(),
    }
}

fn single(part: SinglePart) -> BodyStructure {
    BodyStructure::Single(Box::new(part))
}

#[test]
fn envelope_of_rfc_3501() {
    let expected = concat!(
        r#"("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" "#,
        r#"(("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) "#,
        r#"(("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) "#,
        r#"((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL "#,
        r#""<B27397-0100000@cac.washington.edu>")"#,
    );
    assert_eq!(text(&envelope().encoded()), expected);
}

#[test]
fn envelopes_of_strange_mail() {
    assert_eq!(text(&ImapEnvelope::default().encoded()), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
    let group =
        [ImapAddress { mailbox: some("undisclosed-recipients"), ..ImapAddress::default() }, ImapAddress::default()];
    let strange = ImapEnvelope {
        subject: some("8 bit \u{e4} and \"quotes\""),
        to: group.to_vec(),
        sender: vec![address("", "s", "x")],
        in_reply_to: some(""),
        ..ImapEnvelope::default()
    };
    let expected = "(NIL {21}\r\n8 bit \u{e4} and \"quotes\" NIL ((NIL NIL \"s\" \"x\")) NIL \
        ((NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL NIL NIL)) NIL NIL \"\" NIL)";
    assert_eq!(text(&strange.encoded()), expected);
}

#[test]
fn body_of_rfc_9051() {
    // §7.5.2: a text of 48 lines and 2279 octets; a multipart of a text and a text attached.
    assert_eq!(
        text(&single(plain(2279, 48)).encoded(Detail::Body)),
        r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 2279 48)"#
    );
    let mut attached = plain(4554, 73);
    attached.params.push((b"NAME".to_vec(), b"cc.diff".to_vec()));
    attached.id = some("<960723163407.20117h@cac.washington.edu>");
    attached.description = some("Compiler diff");
    attached.encoding = b"BASE64".to_vec();
    let mixed = Multipart {
        parts: vec![single(plain(1152, 23)), single(attached)],
        subtype: b"MIXED".to_vec(),
        params: vec![(b"BOUNDARY".to_vec(), b"x".to_vec())],
        extension: BodyExtension::default(),
    };
    let mixed = BodyStructure::Multipart(mixed);
    assert_eq!(
        text(&mixed.encoded(Detail::Body)),
        concat!(
            r#"(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)"#,
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "NAME" "cc.diff") "<960723163407.20117h@cac.washington.edu>" "#,
            r#""Compiler diff" "BASE64" 4554 73) "MIXED")"#,
        )
    );
    assert!(
        text(&mixed.encoded(Detail::BodyStructure))
            .ends_with(r#" NIL NIL NIL NIL) "MIXED" ("BOUNDARY" "x") NIL NIL NIL)"#)
    );
}

#[test]
fn a_message_inside_and_extension_data() {
    let mut part = plain(7, 1);
    part.media_type = b"MESSAGE".to_vec();
    part.subtype = b"RFC822".to_vec();
    part.params.clear();
    part.encoding.clear();
    part.kind = PartKind::Message {
        envelope: Box::default(),
        body: Box::new(BodyStructure::Multipart(Multipart { subtype: b"mixed".to_vec(), ..Multipart::default() })),
        lines: 3,
    };
    part.md5 = some("Q2hlY2s=");
    part.extension = BodyExtension {
        disposition: Some(Disposition {
            kind: b"attachment".to_vec(),
            params: vec![(b"filename".to_vec(), b"x.eml".to_vec())],
        }),
        language: vec![b"en".to_vec(), b"de".to_vec()],
        location: some("http://x.test/"),
    };
    assert_eq!(
        text(&single(part).encoded(Detail::BodyStructure)),
        concat!(
            r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 7 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) "#,
            r#"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 0 0) "mixed" NIL NIL NIL NIL) 3 "#,
            r#""Q2hlY2s=" ("attachment" ("filename" "x.eml")) ("en" "de") "http://x.test/")"#,
        )
    );
}
