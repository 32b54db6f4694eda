//! What our own writer of commands puts down, the parser reads back.

use super::*;
use crate::command::{CommandBody, Dialect, Fetch, Flag, Numbering, Store, StoreOp};
use crate::encode::Encoder;
use crate::fetch::*;
use crate::search::*;
use crate::sequence::{MessageSet, SequenceSet};
use mail_types::{Civil, Keyword, SystemFlag};
use proptest::prelude::*;
use std::num::NonZeroU32;

fn read(text: &[u8]) -> CommandBody {
    match request(text, Dialect::Rev1) {
        Ok(Request::Command(command)) => command.body,
        other => panic!("{}: {other:?}", String::from_utf8_lossy(text)),
    }
}

fn string(text: &str) -> String {
    let mut out = Encoder::new(Dialect::Rev1);
    out.astring(text.as_bytes());
    String::from_utf8(out.into_bytes().to_vec()).expect("UTF-8 stays UTF-8")
}

fn set() -> impl Strategy<Value = MessageSet> {
    let sets = "([1-9][0-9]{0,8}|\\*)(:([1-9][0-9]{0,8}|\\*))?(,[1-9][0-9]{0,8}){0,3}";
    prop_oneof![
        Just(MessageSet::Saved),
        sets.prop_map(|text| MessageSet::Set(SequenceSet::parse(text.as_bytes()).expect("a set")))
    ]
}

fn keyword() -> impl Strategy<Value = Keyword> {
    "[$A-Za-z][A-Za-z0-9]{0,10}".prop_map(|text| Keyword::parse(&text).expect("an atom"))
}

fn date() -> impl Strategy<Value = SearchDate> {
    (1i32..=9999, 1u8..=12, 1u8..=28).prop_map(|(year, month, day)| SearchDate { year, month, day })
}

fn leaf() -> impl Strategy<Value = SearchKey> {
    let flag = proptest::sample::select(SystemFlag::ALL.to_vec());
    let field = proptest::sample::select(vec![DateField::Internal, DateField::Sent]);
    let test = proptest::sample::select(vec![DateTest::Before, DateTest::On, DateTest::Since]);
    let text = "[^\\x00]{0,12}";
    prop_oneof![
        Just(SearchKey::All),
        Just(SearchKey::New),
        set().prop_map(SearchKey::Sequence),
        set().prop_map(SearchKey::Uid),
        flag.clone().prop_map(SearchKey::Flag),
        flag.prop_map(SearchKey::NotFlag),
        keyword().prop_map(SearchKey::Keyword),
        text.prop_map(|text| SearchKey::Envelope(EnvelopeField::Subject, text)),
        ("[A-Za-z-]{1,9}", text).prop_map(|(name, text)| SearchKey::Header(name, text)),
        text.prop_map(SearchKey::Text),
        (field, test, date()).prop_map(|(field, test, date)| SearchKey::Date(field, test, date)),
        (0..=i64::MAX.unsigned_abs()).prop_map(SearchKey::Larger),
        (1..=u32::MAX).prop_map(SearchKey::Older),
        (0..=i64::MAX.unsigned_abs()).prop_map(SearchKey::ModSeq),
    ]
}

fn key() -> impl Strategy<Value = SearchKey> {
    leaf().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(SearchKey::And),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| SearchKey::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|key| SearchKey::Not(Box::new(key))),
        ]
    })
}

fn write_key(key: &SearchKey) -> String {
    match key {
        SearchKey::And(keys) => format!("({})", keys.iter().map(write_key).collect::<Vec<_>>().join(" ")),
        SearchKey::Or(a, b) => format!("OR {} {}", write_key(a), write_key(b)),
        SearchKey::Not(key) => format!("NOT {}", write_key(key)),
        SearchKey::Sequence(set) => set.to_string(),
        SearchKey::Uid(set) => format!("UID {set}"),
        SearchKey::Flag(flag) => flag.name()[1..].to_owned(),
        SearchKey::NotFlag(flag) => format!("UN{}", &flag.name()[1..]),
        SearchKey::Keyword(keyword) => format!("KEYWORD {}", keyword.as_str()),
        SearchKey::Unkeyword(keyword) => format!("UNKEYWORD {}", keyword.as_str()),
        SearchKey::All => "ALL".into(),
        SearchKey::New => "NEW".into(),
        SearchKey::Old => "OLD".into(),
        SearchKey::Recent => "RECENT".into(),
        SearchKey::Envelope(field, text) => format!("{field:?} {}", string(text)),
        SearchKey::Header(name, text) => format!("HEADER {} {}", string(name), string(text)),
        SearchKey::Body(text) => format!("BODY {}", string(text)),
        SearchKey::Text(text) => format!("TEXT {}", string(text)),
        SearchKey::Date(field, test, date) => {
            let SearchDate { year, month, day } = *date;
            let civil = Civil { year, month, day, hour: 0, minute: 0, second: 0, offset_minutes: 0 };
            let sent = if *field == DateField::Sent { "SENT" } else { "" };
            format!("{sent}{test:?} {day}-{}-{year:04}", civil.month_name())
        }
        SearchKey::Larger(n) => format!("LARGER {n}"),
        SearchKey::Smaller(n) => format!("SMALLER {n}"),
        SearchKey::Younger(n) => format!("YOUNGER {n}"),
        SearchKey::Older(n) => format!("OLDER {n}"),
        SearchKey::ModSeq(n) => format!("MODSEQ {n}"),
    }
}

fn part() -> impl Strategy<Value = Vec<NonZeroU32>> {
    proptest::collection::vec((1..=u32::MAX).prop_map(|n| NonZeroU32::new(n).expect("not zero")), 0..4)
}

fn section() -> impl Strategy<Value = Section> {
    let fields = proptest::collection::vec("[!-~]{1,8}", 1..4);
    let text = prop_oneof![
        Just(None),
        Just(Some(SectionText::Header)),
        Just(Some(SectionText::Text)),
        fields.clone().prop_map(|fields| Some(SectionText::HeaderFields(fields))),
        fields.prop_map(|fields| Some(SectionText::HeaderFieldsNot(fields))),
    ];
    (part(), text).prop_map(|(part, text)| Section { part, text })
}

/// The name of a content is the same in a command and in its response; only the partial differs.
fn write_content(name: &ContentName, peek: bool, partial: Option<Partial>) -> String {
    let mut out = Encoder::new(Dialect::Rev1);
    name.encode(&mut out);
    let text = String::from_utf8(out.into_bytes().to_vec()).expect("ASCII");
    let text = if peek { text.replacen('[', ".PEEK[", 1) } else { text };
    text + &partial.map(|Partial { offset, octets }| format!("<{offset}.{octets}>")).unwrap_or_default()
}

proptest! {
    #[test]
    fn search_keys(key in key()) {
        let CommandBody::Search(search) = read(format!("a SEARCH {}", write_key(&key)).as_bytes()) else { panic!() };
        prop_assert_eq!(search.key, key);
    }

    #[test]
    fn fetch_contents(section in section(), part in part(), peek: bool, partial in proptest::option::of((0u64..1 << 40, 1u64..1 << 40))) {
        let partial = partial.map(|(offset, octets)| Partial { offset, octets });
        let items = vec![
            FetchItem::Section(BodySection { section: section.clone(), peek, partial }),
            FetchItem::Binary(BinarySection { part: part.clone(), peek, partial }),
        ];
        let text = format!(
            "a UID FETCH $ ({} {})",
            write_content(&ContentName::Section(section, None), peek, partial),
            write_content(&ContentName::Binary(part, None), peek, partial)
        );
        let expected = Fetch { by: Numbering::Uid, set: MessageSet::Saved, items, changed_since: None, vanished: false };
        prop_assert_eq!(read(text.as_bytes()), CommandBody::Fetch(expected));
    }

    #[test]
    fn stores(set in set(), keywords in proptest::collection::vec(keyword(), 0..5), silent: bool) {
        let flags: Vec<Flag> = keywords.into_iter().map(Flag::Keyword).chain([Flag::System(SystemFlag::Seen)]).collect();
        let list: Vec<&str> = flags.iter().map(Flag::as_str).collect();
        let text = format!("a STORE {set} +FLAGS{} ({})", if silent { ".SILENT" } else { "" }, list.join(" "));
        let by = Numbering::Sequence;
        let expected = Store { by, set, unchanged_since: None, op: StoreOp::Add, silent, flags };
        prop_assert_eq!(read(text.as_bytes()), CommandBody::Store(expected));
    }

    /// Words of the grammar in any order: the parser always comes to an end, and without a panic.
    #[test]
    fn words_never_panic(words in proptest::collection::vec(proptest::sample::select(vec![
        "FETCH ", "SEARCH ", "LIST ", "STORE ", "UID ", "SELECT ", "CREATE ", "ID ", "SETQUOTA ", "1:* ", "(", ")", "\"", "\"x\" ",
        "{3}\r\nabc", "{9999}\r\n", "BODY[", "]", "<0.1>", "HEADER.FIELDS ", "NOT ", "OR ", "RETURN ", "QRESYNC ", "\\Seen ",
        "FLAGS ", "UNCHANGEDSINCE ", "1 ", ".", "*", "$", " ", "NIL", "MODSEQ ", "\u{ff}", "&AOQ-", "%",
    ]), 0..20)) {
        for dialect in [Dialect::Rev1, Dialect::Utf8] {
            let _ = request(format!("a {}", words.concat()).as_bytes(), dialect);
        }
    }
}
