//! Known answers from the RFCs, and what must hold for any text.

use super::*;
use crate::command::Dialect;
use crate::fetch::{ContentName, FetchData, Section, SectionText};
use bytes::Bytes;
use mail_types::{Civil, SystemFlag};
use proptest::prelude::*;

fn encoded(response: &Response, dialect: Dialect) -> String {
    let mut out = Encoder::new(dialect);
    response.encode(&mut out);
    String::from_utf8_lossy(&out.into_bytes()).into_owned()
}

fn told(response: Response) -> String {
    encoded(&response, Dialect::Rev1)
}

fn uids(ranges: &[(u32, u32)]) -> UidSet {
    let uid = |n| Uid::new(n).expect("not zero");
    UidSet::from_ranges(ranges.iter().map(|(a, b)| (uid(*a), uid(*b))))
}

fn seq(n: u32) -> SeqNum {
    SeqNum::new(n).expect("not zero")
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).expect(text)
}

fn validity(n: u32) -> UidValidity {
    UidValidity::new(n).expect("not zero")
}

fn modseq(n: u64) -> ModSeq {
    ModSeq::new(n).expect("not zero")
}

#[test]
fn response_codes() {
    let system = |flags: &[SystemFlag]| flags.iter().copied().map(Flag::System).collect::<Vec<_>>();
    let code_of = |code| {
        let line = told(Response::Untagged(Reply::ok("x").with(code)));
        line.strip_prefix("* OK [").and_then(|rest| rest.strip_suffix("] x\r\n")).expect("a code").to_owned()
    };
    for (code, expected) in [
        (ResponseCode::Alert, "ALERT"),
        (ResponseCode::BadCharset, "BADCHARSET (US-ASCII UTF-8)"),
        (ResponseCode::AppendUid { validity: validity(38505), uids: uids(&[(3955, 3955)]) }, "APPENDUID 38505 3955"),
        (
            ResponseCode::CopyUid {
                validity: validity(38505),
                from: uids(&[(304, 304), (319, 320)]),
                to: uids(&[(3956, 3958)]),
            },
            "COPYUID 38505 304,319:320 3956:3958",
        ),
        (ResponseCode::HighestModSeq(modseq(715_194_045_007)), "HIGHESTMODSEQ 715194045007"),
        (ResponseCode::Modified(SequenceSet::from_numbers([7, 9])), "MODIFIED 7,9"),
        (
            ResponseCode::PermanentFlags { flags: system(&[SystemFlag::Deleted, SystemFlag::Seen]), more: true },
            r"PERMANENTFLAGS (\Deleted \Seen \*)",
        ),
        (ResponseCode::PermanentFlags { flags: vec![], more: false }, "PERMANENTFLAGS ()"),
        (ResponseCode::UidNext(Uid::new(4392).expect("not zero")), "UIDNEXT 4392"),
        (ResponseCode::UidValidity(validity(3_857_529_045)), "UIDVALIDITY 3857529045"),
        (ResponseCode::Unseen(seq(12)), "UNSEEN 12"),
        (ResponseCode::UnknownCte, "UNKNOWN-CTE"),
        (ResponseCode::ReadWrite, "READ-WRITE"),
    ] {
        assert_eq!(code_of(code), expected);
    }
}

#[test]
fn untagged_data() {
    let sent = ListAttribute::SpecialUse(SpecialUse::Sent);
    let child = ListItem {
        child_info: vec!["SUBSCRIBED", "SPECIAL-USE"],
        old_name: Some("b c".into()),
        ..ListItem::new(&name("a"), vec![])
    };
    let personal = NamespaceItem { prefix: String::new(), separator: '/' };
    let shared = NamespaceItem { prefix: "Geteilt ä/".into(), separator: '/' };
    for (response, expected) in [
        (Response::PreAuth(Reply::ok("hello")), "* PREAUTH hello\r\n"),
        (Response::Bye(Reply::ok("x").with(ResponseCode::Unavailable)), "* BYE [UNAVAILABLE] x\r\n"),
        (Response::Enabled(vec!["CONDSTORE".into()]), "* ENABLED CONDSTORE\r\n"),
        (Response::Id(None), "* ID NIL\r\n"),
        (
            Response::Id(Some(vec![IdField { name: b"name".to_vec(), value: Some(b"Posthouse".to_vec()) }])),
            "* ID (\"name\" \"Posthouse\")\r\n",
        ),
        (Response::List(ListItem::separator()), "* LIST (\\NoSelect) \"/\" \"\"\r\n"),
        (
            Response::List(ListItem::new(&name("Gesendet ä"), vec![sent, ListAttribute::HasNoChildren])),
            "* LIST (\\Sent \\HasNoChildren) \"/\" \"Gesendet &AOQ-\"\r\n",
        ),
        (Response::Lsub(ListItem::new(&name("nil"), vec![])), "* LSUB () \"/\" \"nil\"\r\n"),
        (
            Response::List(child),
            "* LIST () \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\" \"SPECIAL-USE\") \"OLDNAME\" (\"b c\"))\r\n",
        ),
        (
            Response::Namespace([vec![personal], vec![], vec![shared]]),
            "* NAMESPACE ((\"\" \"/\")) NIL ((\"Geteilt &AOQ-/\" \"/\"))\r\n",
        ),
        (
            Response::Status(name("blurdybloop"), vec![(StatusItem::Messages, 231), (StatusItem::UidNext, 44292)]),
            "* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292)\r\n",
        ),
        (Response::Flags(vec![Flag::System(SystemFlag::Answered)]), "* FLAGS (\\Answered)\r\n"),
        (Response::Exists(23), "* 23 EXISTS\r\n"),
        (Response::Recent(5), "* 5 RECENT\r\n"),
        (Response::Expunge(seq(44)), "* 44 EXPUNGE\r\n"),
        (
            Response::Vanished { earlier: true, uids: uids(&[(41, 41), (43, 116)]) },
            "* VANISHED (EARLIER) 41,43:116\r\n",
        ),
        (Response::Vanished { earlier: false, uids: uids(&[(7, 7)]) }, "* VANISHED 7\r\n"),
        (Response::Vanished { earlier: false, uids: UidSet::new() }, ""),
        (Response::Search(vec![], Some(modseq(7))), "* SEARCH\r\n"),
        (Response::Search(vec![2, 84], None), "* SEARCH 2 84\r\n"),
        (Response::Search(vec![2, 5], Some(modseq(917_162_500))), "* SEARCH 2 5 (MODSEQ 917162500)\r\n"),
        (
            Response::Quota { root: vec![], resources: vec![("STORAGE".into(), 10, 512)] },
            "* QUOTA \"\" (STORAGE 10 512)\r\n",
        ),
        (Response::QuotaRoot(name("INBOX"), vec![vec![], b"!x".to_vec()]), "* QUOTAROOT INBOX \"\" !x\r\n"),
    ] {
        assert_eq!(told(response), expected);
    }
}

#[test]
fn esearch() {
    let tag = crate::command::Tag::parse(b"A283");
    let all = Esearch {
        tag: tag.clone(),
        uid: true,
        all: Some(SequenceSet::from_numbers([4, 5, 6, 9])),
        ..Esearch::default()
    };
    assert_eq!(told(Response::Esearch(all)), "* ESEARCH (TAG \"A283\") UID ALL 4:6,9\r\n");
    let some =
        Esearch { tag, min: Some(2), max: Some(84), count: Some(3), modseq: Some(modseq(9)), ..Esearch::default() };
    assert_eq!(told(Response::Esearch(some)), "* ESEARCH (TAG \"A283\") MIN 2 MAX 84 COUNT 3 MODSEQ 9\r\n");
    let none = Esearch { all: Some(SequenceSet::default()), count: Some(0), ..Esearch::default() };
    assert_eq!(told(Response::Esearch(none)), "* ESEARCH COUNT 0\r\n");
}

#[test]
fn fetch() {
    let date = Civil { year: 1996, month: 7, day: 7, hour: 2, minute: 44, second: 25, offset_minutes: -420 };
    let fields = SectionText::HeaderFields(vec!["DATE".into(), "a b".into()]);
    let section = Section { part: vec![std::num::NonZeroU32::MIN], text: Some(fields) };
    let content = |text: &'static [u8]| Some(Bytes::from_static(text));
    let items = vec![
        FetchData::Uid(Uid::FIRST),
        FetchData::Flags { flags: vec![Flag::System(SystemFlag::Seen)], recent: true },
        FetchData::InternalDate(date),
        FetchData::Size(4286),
        FetchData::ModSeq(modseq(624_140_003)),
        FetchData::Content(ContentName::Section(section, Some(0)), content(b"a\r\nb")),
        FetchData::Content(ContentName::Section(Section::default(), None), None),
        FetchData::Content(ContentName::Rfc822Text, content(b"\0")),
        FetchData::Content(ContentName::Binary(vec![], None), content(b"\0")),
        FetchData::BinarySize(vec![std::num::NonZeroU32::MIN], 7),
    ];
    let expected = "* 12 FETCH (UID 1 FLAGS (\\Seen \\Recent) INTERNALDATE \" 7-Jul-1996 02:44:25 -0700\" \
        RFC822.SIZE 4286 MODSEQ (624140003) BODY[1.HEADER.FIELDS (DATE \"a b\")]<0> {4}\r\na\r\nb BODY[] NIL \
        RFC822.TEXT {1}\r\n\u{fffd} BINARY[] ~{1}\r\n\0 BINARY.SIZE[1] 7)\r\n";
    assert_eq!(told(Response::Fetch(seq(12), items)), expected);
}

#[test]
fn names_in_utf8_once_enabled() {
    let list = Response::List(ListItem::new(&name("ä b"), vec![]));
    assert_eq!(encoded(&list, Dialect::Utf8), "* LIST () \"/\" \"ä b\"\r\n");
}

#[test]
fn texts_break_no_line() {
    for (text, expected) in [("a\r\nb OK", "a??b OK"), ("", "-"), ("ä", "?"), ("[X] y", "? [X] y")] {
        assert_eq!(told(Response::Untagged(Reply::no(text))), format!("* NO {expected}\r\n"));
    }
    assert_eq!(encoded(&Response::Untagged(Reply::no("ä")), Dialect::Utf8), "* NO ä\r\n");
}

proptest! {
    /// What we write as a string, our own parser reads back; NUL aside.
    #[test]
    fn strings_round_trip(text in proptest::collection::vec(1u8..=255, 0..40), utf8: bool) {
        let dialect = if utf8 { Dialect::Utf8 } else { Dialect::Rev1 };
        for write in [Encoder::string as fn(&mut Encoder, &[u8]), Encoder::astring] {
            let mut out = Encoder::new(dialect);
            out.raw(b"a GETQUOTA ");
            write(&mut out, &text);
            let line = out.into_bytes();
            let Ok(crate::parse::Request::Command(command)) = crate::parse::request(&line, dialect) else {
                panic!("{line:?}")
            };
            prop_assert_eq!(command.body, crate::CommandBody::GetQuota(text.clone()));
        }
    }

    #[test]
    fn mailbox_names_round_trip(text in "\\PC{1,30}", utf8: bool) {
        let dialect = if utf8 { Dialect::Utf8 } else { Dialect::Rev1 };
        if let Ok(name) = MailboxName::parse(&text) {
            let mut out = Encoder::new(dialect);
            out.raw(b"a DELETE ");
            out.mailbox(&name);
            let Ok(crate::parse::Request::Command(command)) = crate::parse::request(&out.into_bytes(), dialect) else {
                panic!("{name:?}")
            };
            prop_assert_eq!(command.body, crate::CommandBody::Delete(name));
        }
    }

    /// Whatever a string holds, a line of IMAP does not end within it, except in a literal of the announced size.
    #[test]
    fn quoted_strings_hold_no_line_end(text in proptest::collection::vec(any::<u8>(), 0..40), utf8: bool) {
        let mut out = Encoder::new(if utf8 { Dialect::Utf8 } else { Dialect::Rev1 });
        out.string(&text);
        let line = out.into_bytes();
        match line.strip_prefix(format!("{{{}}}\r\n", text.len()).as_bytes()) {
            Some(literal) => prop_assert!(literal.len() == text.len() && !literal.contains(&0)),
            None => prop_assert!(!line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))),
        }
    }
}
