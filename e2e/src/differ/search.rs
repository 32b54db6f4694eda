//! What sessions search for.

use crate::random::Random;

/// One or a few keys.
pub(super) fn keys(random: &mut Random) -> String {
    let mut text = key(random, 0);
    while random.below(4) == 0 {
        text = format!("{text} {}", key(random, 0));
    }
    match random.below(15) {
        0 => format!("CHARSET UTF-8 {text}"),
        1 => format!("CHARSET us-ascii {text}"),
        _others => text,
    }
}

fn key(random: &mut Random, depth: u32) -> String {
    if depth < DEPTH_MAX {
        match random.below(14) {
            0 => return format!("NOT {}", key(random, depth + 1)),
            1 => return format!("OR {} {}", key(random, depth + 1), key(random, depth + 1)),
            2 => return format!("({} {})", key(random, depth + 1), key(random, depth + 1)),
            _others => {}
        }
    }
    random.pick(KEYS).copied().unwrap_or_default().to_owned()
}

const DEPTH_MAX: u32 = 3;

const KEYS: &[&str] = &[
    "ALL",
    "ANSWERED",
    "UNANSWERED",
    "DELETED",
    "UNDELETED",
    "DRAFT",
    "UNDRAFT",
    "FLAGGED",
    "UNFLAGGED",
    "SEEN",
    "UNSEEN",
    "KEYWORD work",
    "UNKEYWORD work",
    "KEYWORD $Junk",
    "KEYWORD nosuch",
    "1",
    "2:3",
    "1:*",
    "*",
    "1,3:4",
    "99",
    "5:99",
    "$",
    "UID 1:3",
    "UID *",
    "UID 2,4",
    "UID 900",
    "UID 100:*",
    "UID $",
    "BEFORE 1-Jan-2021",
    "ON 5-Nov-2020",
    "SINCE 01-Jan-2021",
    "ON 2-Mar-2022",
    "BEFORE 29-Feb-2000",
    "ON \"29-Feb-2000\"",
    "ON 8-Feb-1994",
    "SENTBEFORE 9-Feb-1994",
    "SENTON 7-Feb-1994",
    "SENTON 8-Feb-1994",
    "SENTSINCE 9-Feb-1994",
    "SENTON 9-Feb-1994",
    "SENTON 10-Feb-1994",
    "SENTSINCE 1-Jan-1990",
    "LARGER 200",
    "SMALLER 100",
    "LARGER 0",
    "SMALLER 4294967295",
    "OLDER 86400",
    "YOUNGER 86400",
    "YOUNGER 4000000000",
    "FROM ann",
    "FROM \"ann@one.test\"",
    "FROM \"\"",
    "TO bob",
    "TO \"friends\"",
    "TO amy",
    "CC undisclosed",
    "BCC hidden",
    "SUBJECT plain",
    "SUBJECT \"no other\"",
    "SUBJECT \"umlaut\"",
    "SUBJECT {6+}\r\n\u{fc}mlau",
    "SUBJECT three",
    "SUBJECT \"\"",
    "FROM J\u{f6}rg",
    "FROM comment",
    "HEADER Message-ID 1@one",
    "HEADER subject \"\"",
    "HEADER X-None \"\"",
    "HEADER References c@d",
    "HEADER Date Feb",
    "HEADER Content-Type multipart",
    "BODY hello",
    "BODY HELLO",
    "BODY \"hello bob\"",
    "BODY second",
    "BODY nosuchword",
    "BODY \"deep text\"",
    "BODY epilogue",
    "BODY preamble",
    "TEXT ann",
    "TEXT subject",
    "TEXT multipart",
    "TEXT boundary",
    "TEXT second",
    "TEXT epilogue",
    "TEXT forwarded",
    "TEXT \"\"",
    "BODY \"\"",
    "BODY iVBOR",
    "TEXT filename",
    "MODSEQ %N",
    "MODSEQ 1",
    "MODSEQ \"/flags/\\\\Seen\" all %N",
];
