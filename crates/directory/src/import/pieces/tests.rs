//! What is read in pieces is what is read whole.

use super::super::reading::{Grammar, Said};
use super::super::testing::{own, stores};
use super::super::{
    BadLine, Entry, Line, LineError, alias_lines, passwd_lines, popmap_as, transport_lines, user_lines, virtual_lines,
};
use super::*;
use proptest::prelude::*;
use std::fmt::Debug;

type Whole<E> = (Vec<Line<E>>, Vec<BadLine>, Vec<Line<String>>);

/// The file read whole, each line against the keys before it.
fn whole<E: Send>(grammar: &Grammar<impl Fn(&str) -> Result<Said<E>, LineError> + Sync>, text: &[u8]) -> Whole<E> {
    let gathered = grammar.judged(Piece::whole(text), &Vec::with_capacity);
    (gathered.items, gathered.bad, gathered.ignored)
}

fn in_pieces<E: Send>(
    grammar: &Grammar<impl Fn(&str) -> Result<Said<E>, LineError> + Sync>,
    text: &[u8],
    pieces: Vec<Piece<'_>>,
) -> Whole<E> {
    let hands = Hands { threads: NonZeroUsize::new(3).expect("not zero"), piece_octets_min: 1 };
    let mut all = (Vec::new(), Vec::new(), Vec::new());
    for part in grammar.gather_pieces(Piece::whole(text), pieces, hands, &Vec::with_capacity) {
        all.0.extend(part.items);
        all.1.extend(part.bad);
        all.2.extend(part.ignored);
    }
    all
}

/// Split at every octet where it can be, and into every number of pieces. Gives how many pieces there were at most.
fn check<E: Send + PartialEq + Debug>(
    grammar: &Grammar<impl Fn(&str) -> Result<Said<E>, LineError> + Sync>,
    text: &str,
) -> usize {
    let octets = text.as_bytes();
    let expected = whole(grammar, octets);
    for at in 0..=octets.len() {
        let Some((before, behind)) = Piece::whole(octets).split_after(at, grammar.form) else { continue };
        assert_eq!([before.octets, behind.octets].concat(), octets);
        assert_eq!(in_pieces(grammar, octets, vec![before, behind]), expected, "split after {at}: {text:?}");
    }
    let mut most = 0;
    for threads in 1..=PIECES_MAX {
        let hands = Hands { threads: NonZeroUsize::new(threads).expect("not zero"), piece_octets_min: 1 };
        let pieces = Piece::whole(octets).split(grammar.form, hands);
        assert!(pieces.len() <= threads);
        most = most.max(pieces.len());
        assert_eq!(in_pieces(grammar, octets, pieces), expected, "for {threads} threads: {text:?}");
    }
    most
}

/// Each ending of lines, with and without the last, with and without what must be refused.
fn check_all<E: Send + PartialEq + Debug>(
    grammar: &Grammar<impl Fn(&str) -> Result<Said<E>, LineError> + Sync>,
    good: &str,
    bad: &str,
) {
    for text in [good.to_owned(), format!("{good}{bad}"), format!("{bad}{good}"), format!(" x\n{bad}{good}{bad}")] {
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            assert!(check(grammar, &text) > 2, "{text:?}");
            check(grammar, text.trim_end());
        }
    }
    assert_eq!(whole(grammar, good.as_bytes()).1, []);
    assert_ne!(whole(grammar, bad.as_bytes()).1, []);
}

#[test]
fn lines_that_stand_for_themselves() {
    let (own, stores) = (own(), stores());
    check_all(
        &popmap_as(&own, &stores, |placement| placement),
        "# a popmap\nanna: ingrid\n\nbert@two.test: b@fritz\n   carl: fritz\n#\n",
        "Anna: ingrid\nno separator\nanna: fritz\ndora: nowhere\nBERT@two.test: fritz\nemil: fritz:0\n",
    );
    check_all(
        &passwd_lines(&own, &stores),
        "anna:{PLAIN}a::::::\n# no\nbert@two.test:{PLAIN}b::::::proxy host=fritz\n\ncarl:{PLAIN}c::::::nologin\n",
        "anna:{PLAIN}x::::::\nd%e:x\n:{PLAIN}\nBert@two.test:{PLAIN}b\n",
    );
    check_all(
        &user_lines(&own, &stores),
        "anna a@ingrid\nbert@two.test zoe\n#\n@two.test anna@site.test\ngone error:nouser\n\n",
        "gone anna\nalone\nANNA x@fritz\n@two.test bert@site.test\n",
    );
}

#[test]
fn lines_that_others_continue() {
    let (own, stores) = (own(), stores());
    check_all(
        &alias_lines(&own, &stores),
        "# aliases\nroot: anna,\n\tbert,\n# between\n\n  carl\n\nanna: a@ingrid\nlist: x,\n y\n#\nowner-list: z\n",
        "root: x\nb |/bin/x\nc: /dev/null,\n x\nROOT: y\n\tz\n: x\n",
    );
    check_all(
        &virtual_lines(&own, &own, &stores),
        "site.test anything\nanna@site.test bert,\n # no\n carl\n@site.test\n  anna@site.test\n\nbert@two.test b@fritz\n",
        "anna@site.test x\nalone\n@site.test @two.test\n@site.test\n zoe\nAnna@site.test\n\tx\n",
    );
    check_all(
        &transport_lines(&own, &stores),
        "# transport\nsite.test lmtp:ingrid\nanna@site.test\n  lmtp:inet:fritz:24\n\ntwo.test :[mail1.old.test]\nx.test error:no\n",
        "* lmtp:fritz\n.site.test lmtp:fritz\nSite.Test lmtp:\n fritz\nb@site.test uucp:x\nANNA@site.test lmtp:fritz\n",
    );
}

#[test]
fn a_short_file_is_one_piece() {
    let text = "a: x\n".repeat(PIECE_OCTETS_MIN / 5 * 3);
    let pieces = |octets: usize, threads| {
        let hands = Hands::of(NonZeroUsize::new(threads).expect("not zero"));
        Piece::whole(&text.as_bytes()[..octets]).split(Form::Lines, hands).len()
    };
    assert_eq!(pieces(0, 8), 1);
    assert_eq!(pieces(PIECE_OCTETS_MIN - 1, 8), 1);
    assert_eq!(pieces(PIECE_OCTETS_MIN * 2 + 1, 8), 2);
    assert_eq!(pieces(PIECE_OCTETS_MIN * 2 + 1, 1), 1);
}

proptest! {
    // Each of them is read a hundred times.
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn whatever_the_lines_are(text in "(([ \t#]?[ab]{0,2}[:@ ]{0,2}[ax]?(@ingrid)?)?\r?\n){0,8}[ab: ]{0,3}") {
        let (own, stores) = (own(), stores());
        check::<Entry>(&alias_lines(&own, &stores), &text);
        check::<Entry>(&user_lines(&own, &stores), &text);
        check::<Entry>(&virtual_lines(&own, &own, &stores), &text);
    }
}

/// A piece for each line of these texts, and for none.
const PIECES_MAX: usize = 32;
