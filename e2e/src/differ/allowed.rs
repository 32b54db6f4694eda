//! Where both servers are right, or Dovecot is not: named, with the section that says so.

/// One thing that the servers say differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The fact, or `status`.
    pub fact: String,
    /// What Posthouse says; none if nothing.
    pub ours: Option<String>,
    /// What Dovecot says.
    pub theirs: Option<String>,
}

/// A difference that is allowed.
pub struct Rule {
    /// What it is called in `docs/imap-differences.md`.
    pub name: &'static str,
    /// Whether it explains a difference in the answer to a command (in upper case).
    applies: fn(&str, &Difference) -> bool,
}

impl Rule {
    /// The rule that explains a difference.
    pub fn find(command: &str, difference: &Difference) -> Option<&'static Self> {
        RULES.iter().find(|rule| (rule.applies)(command, difference))
    }
}

/// In the order in which they are asked.
const RULES: &[Rule] = &[
    // RFC 9051 §6.4.6: the new value is told of every message named; Dovecot keeps silent of what it did not change.
    Rule {
        name: "store-without-change",
        applies: |command, difference| {
            is_one_of(command, &["STORE ", "UID STORE "])
                && difference.fact.starts_with("uid ")
                && difference.theirs.is_none()
        },
    },
    // RFC 9051 §6.3.3: nothing may change after EXAMINE. We refuse the command; Dovecot takes one that names nothing.
    Rule {
        name: "read-only",
        applies: |command, difference| {
            let changes = ["STORE ", "UID STORE ", "EXPUNGE", "UID EXPUNGE", "MOVE ", "UID MOVE "];
            is_one_of(command, &changes) && says(difference, "status", "NO")
        },
    },
    // RFC 5258 §4, RFC 6154 §2: attributes about children and special uses may also be told unasked.
    Rule { name: "attributes-unasked", applies: attributes_unasked },
    // RFC 9051 §6.4.5.1: the empty line is told, unless the message has none. Dovecot always tells one.
    Rule {
        name: "no-empty-line",
        applies: |_, difference| {
            let stem = difference.ours.as_deref().and_then(|ours| ours.strip_suffix('"'));
            let more = stem.zip(difference.theirs.as_deref()).and_then(|(stem, theirs)| theirs.strip_prefix(stem));
            // Half of the line, where the client asked for so many octets only; two, where the last field has no line end.
            difference.fact.contains("HEADER.FIELDS") && matches!(more, Some("\\r\\n\"" | "\\r\"" | "\\r\\n\\r\\n\""))
        },
    },
    // RFC 9051 §6.4.5: no word on parts that are not there; NIL says it, an empty string may. Dovecot also takes the part 1
    // of a part that is no multipart for the part itself.
    Rule {
        name: "part-that-is-not-there",
        applies: |_, difference| {
            (difference.fact.contains(" BODY[") || difference.fact.contains(" BINARY["))
                && (difference.ours.as_deref() == Some("NIL")
                    || (difference.fact.contains("MIME]") && difference.theirs.as_deref() == Some("\"\"")))
        },
    },
    // RFC 3516 §4.2: BINARY undoes the encoding of the part that is named. Dovecot also undoes those inside a message in it.
    Rule {
        name: "binary-of-a-message",
        applies: |_, difference| {
            let rewritten =
                difference.theirs.as_deref().is_some_and(|theirs| theirs.contains("Content-Transfer-Encoding: binary"));
            difference.fact.contains(" BINARY") && (rewritten || difference.fact.contains("BINARY.SIZE"))
        },
    },
    // RFC 7162 §3.1.5: MODSEQ is told when a key asks for it. Dovecot forgets it where the key is inside others.
    Rule {
        name: "modseq-of-nested-keys",
        applies: |command, difference| {
            command.contains("MODSEQ") && difference.fact.ends_with("SEARCH MODSEQ") && difference.theirs.is_none()
        },
    },
    // RFC 5182 §2.1: SAVE alone suppresses ESEARCH. Dovecot sends an empty one when it has a MODSEQ to tell.
    Rule {
        name: "search-save-alone",
        applies: |command, difference| {
            command.contains("RETURN (SAVE) ") && difference.fact.starts_with("ESEARCH") && difference.ours.is_none()
        },
    },
    // RFC 9051 §6.4.7: a target that is not there is NO, also when there is nothing to copy. Dovecot looks at the set first.
    Rule {
        name: "nothing-to-copy",
        applies: |command, difference| {
            let transfers = is_one_of(command, &["COPY ", "UID COPY ", "MOVE ", "UID MOVE "]);
            transfers
                && (says(difference, "status", "NO") || difference.fact == "code TRYCREATE")
                && difference.theirs.as_deref() != Some("NO")
        },
    },
    // RFC 9051 §6.3.9: the root of a relative reference may be empty.
    Rule {
        name: "root-of-a-reference",
        applies: |command, difference| {
            command.starts_with("LIST ") && command.ends_with(" \"\"") && difference.fact.starts_with("LIST ")
        },
    },
    // RFC 4978 §3: an algorithm that is not known is BAD.
    Rule {
        name: "compress-unknown",
        applies: |command, difference| command.starts_with("COMPRESS ") && says(difference, "status", "BAD"),
    },
    // RFC 9051 §3: a command in the wrong state is BAD or NO. We see the charset first.
    Rule {
        name: "charset-without-a-mailbox",
        applies: |command, difference| {
            command.starts_with("SEARCH ") && command.contains("CHARSET X-BOGUS") && says(difference, "status", "NO")
        },
    },
    // RFC 7162 §3.1.5: NOT turns round what MODSEQ says. Dovecot finds nothing where the number is above all.
    Rule {
        name: "not-modseq-above-all",
        applies: |command, difference| {
            command.contains("NOT ") && command.contains("MODSEQ") && difference.fact.contains("SEARCH")
        },
    },
    // RFC 7162 §3.1.5: who counts no MODSEQs of single flags takes those of messages. Dovecot counts them.
    Rule {
        name: "modseq-of-a-flag",
        applies: |command, difference| command.contains("MODSEQ \"/FLAGS/") && difference.fact.contains("SEARCH"),
    },
    // RFC 6154 §2: a use belongs to a mailbox; ours keeps it when it is renamed. Dovecot's belongs to a configured name.
    Rule { name: "special-use-of-renamed", applies: special_use_of_renamed },
    // RFC 9051 §6.3.7: a server may refuse to subscribe to what is not there. We take it (§6.3.7 forbids to forget it later).
    Rule {
        name: "subscribe-to-nothing",
        applies: |command, difference| command.starts_with("SUBSCRIBE ") && says(difference, "status", "OK"),
    },
];

fn is_one_of(command: &str, words: &[&str]) -> bool {
    words.iter().any(|word| command.starts_with(word))
}

/// Whether this fact is told, and by us so.
fn says(difference: &Difference, fact: &str, ours: &str) -> bool {
    difference.fact == fact && difference.ours.as_deref() == Some(ours)
}

fn special_use_of_renamed(command: &str, difference: &Difference) -> bool {
    let is_left_out = command.starts_with("LIST (SPECIAL-USE") && difference.theirs.is_none();
    if is_left_out && difference.fact.starts_with("STATUS ") {
        return true;
    }
    let has_use = difference.ours.as_deref().is_some_and(|ours| SPECIAL.iter().any(|word| ours.contains(word)));
    let is_asked = command.contains("SPECIAL-USE") && difference.fact.starts_with("LIST ");
    is_asked && has_use && (is_left_out || alike_without(difference, unasked_children(command), SPECIAL))
}

fn attributes_unasked(command: &str, difference: &Difference) -> bool {
    let special: &[&str] = if command.contains("SPECIAL-USE") { &[] } else { SPECIAL };
    command.starts_with("LIST ") && alike_without(difference, unasked_children(command), special)
}

fn unasked_children(command: &str) -> &'static [&'static str] {
    if command.contains("CHILDREN") { &[] } else { CHILDREN }
}

/// Whether both say the same, apart from these attributes.
fn alike_without(difference: &Difference, some: &[&str], others: &[&str]) -> bool {
    let rest = |told: &Option<String>| {
        let words = told.as_deref()?.split_whitespace().filter(|word| !some.contains(word) && !others.contains(word));
        Some(words.map(str::to_owned).collect::<Vec<_>>())
    };
    rest(&difference.ours) == rest(&difference.theirs)
}

const CHILDREN: &[&str] = &["\\hasnochildren", "\\haschildren"];
const SPECIAL: &[&str] = &["\\archive", "\\drafts", "\\junk", "\\sent", "\\trash"];
