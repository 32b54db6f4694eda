//! A map that is read in pieces is the map that is read whole.

use super::*;
use crate::import::Hands;
use std::num::NonZeroUsize;

#[test]
fn a_map_in_pieces_is_the_whole_map() {
    for (kind, text) in [
        (MapKind::Aliases, "root: anna,\n bert@far.test\n\nanna: a@ingrid\nzoe: x\n# no\nowner-l: x\n"),
        (MapKind::PasswdFile, "zoe:{PLAIN}z::::::x=1 proxy host=fritz\nanna:{PLAIN}a::::::y\nbert@x.test:{PLAIN}b\n"),
        (MapKind::Popmap, "zoe: ingrid\nanna@two.test: a@fritz\nbert: fritz\ncarl: fritz\n"),
        (MapKind::RegexMap, "^a: fritz\n#\n^b: ingrid\n^c: fritz\n"),
        (
            MapKind::Transport,
            "two.test lmtp:fritz\nanna@site.test lmtp:ingrid\nsite.test\n lmtp:fritz\nx.test error:\n",
        ),
        (MapKind::UserMap, "zoe z@far.test\n@two.test zoe@site.test\nanna a@ingrid\ngone error:x\n@site.test zoe\n"),
        (
            MapKind::Virtual,
            "site.test x\nzoe@site.test y,\n z@far.test\n@two.test zoe@site.test\nanna@site.test a@ingrid\n",
        ),
        (MapKind::Virtusertable, "zoe z@far.test\n@two.test zoe@site.test\nanna a@ingrid\n"),
    ] {
        let names = names(&site());
        let read = |text: &str, hands| LiveMap::read_by("map", kind, text.as_bytes(), &names, hands);
        let bad = "@none.test x@site.test\nnone.test lmtp:fritz\n:\n";
        for text in [text.to_owned(), format!("{text}{bad}"), format!("{bad}{text}"), text.repeat(2)] {
            let whole = format!("{:?}", read(&text, Hands::ONE));
            for threads in (2..=PIECES_MAX).filter_map(NonZeroUsize::new) {
                let in_pieces = read(&text, Hands { threads, piece_octets_min: 1 });
                assert_eq!(format!("{in_pieces:?}"), whole, "{threads} threads: {text:?}");
            }
        }
        assert!(!read(text, Hands::ONE).expect(text).is_empty());
    }
}

/// More than these texts have lines.
const PIECES_MAX: usize = 16;
