//! The files of the corpus that no editor writes: records, frames, segments and scripts of segments.

use crate::forge::forge;
use bytes::Bytes;
use mail_types::{
    AccountId, Address, DeliveryId, FlagSet, Keyword, Lsn, MailboxId, MailboxName, ModSeq, SpecialUse, Uid, UidSet,
    UidValidity, UnixTime,
};
use mailbox::frame::ContentChecksum;
use mailbox::{BodyRef, FrameHeader, Record};

/// One file: the target, its name, its octets.
pub type Seed = (&'static str, String, Vec<u8>);

/// All of them. `cargo run -p fuzz-targets --example seeds` writes them, and the suite checks that they are as written.
pub fn seeds() -> Vec<Seed> {
    let mut seeds: Vec<Seed> = records().into_iter().map(|(name, record)| record_seed(name, &record)).collect();
    seeds.extend(damaged_records());
    seeds.extend(frames());
    seeds.extend(crate::queues::seeds());
    seeds.extend(crate::imap::seeds());
    for (name, script) in SCRIPTS {
        seeds.push(("journal_forged", (*name).to_owned(), script.to_vec()));
        seeds.push(("journal_recover", (*name).to_owned(), forge(script)));
    }
    seeds.extend(torn_segments());
    seeds
}

fn record_seed(name: &str, record: &Record) -> Seed {
    let mut octets = vec![record.kind()];
    record.encode(&mut octets);
    ("mailbox_record", name.to_owned(), octets)
}

fn records() -> Vec<(&'static str, Record)> {
    let account = AccountId::from_bytes([0xaa; 16]);
    let mailbox = MailboxId::INBOX;
    let uid = |number| Uid::new(number).expect("not zero");
    let name = |text| MailboxName::parse(text).expect("a name");
    let modseq = ModSeq::new(300).expect("not zero");
    let uid_validity = UidValidity::new(u32::MAX).expect("not zero");
    let address = Address::parse("\"a b\"@foo.example").expect("an address");
    let keyword = Keyword::parse("$Forwarded").expect("an atom");
    let body = BodyRef { first: Lsn::new(1 << 40), octets: 50 << 20 };
    let (flags, date) = (FlagSet::from_bits(u64::MAX), UnixTime::from_secs(-1));
    let delivery = Some(DeliveryId::from_bytes([0xdd; 16]));
    let head = Bytes::from_static(b"Return-Path: <>\r\nDelivered-To: a@foo.example\r\n");
    let special_use = Some(SpecialUse::Trash);
    let uids = UidSet::from_ranges([(uid(1), uid(1)), (uid(5), uid(7)), (uid(u32::MAX), uid(u32::MAX))]);
    vec![
        ("create-account", Record::CreateAccount { account, address, uid_validity_next: uid_validity }),
        ("delete-account", Record::DeleteAccount { account }),
        (
            "create-mailbox",
            Record::CreateMailbox { account, mailbox, name: name("a/台北"), uid_validity, special_use, modseq },
        ),
        ("rename-mailbox", Record::RenameMailbox { account, mailbox, name: name("Tom & Jerry"), modseq }),
        ("subscribe", Record::Subscribe { account, name: name("INBOX"), subscribed: true }),
        ("define-keyword", Record::DefineKeyword { account, mailbox, keyword }),
        ("deliver", Record::Deliver { account, mailbox, uid: uid(9), modseq, flags, date, head, body, delivery }),
        (
            "copy",
            Record::Copy {
                account,
                from: mailbox,
                to: MailboxId::new(u32::MAX),
                modseq,
                messages: vec![(uid(1), uid(u32::MAX), flags), (uid(2), uid(3), FlagSet::EMPTY)],
            },
        ),
        ("store-flags", Record::StoreFlags { account, mailbox, modseq, messages: vec![(uid(77), flags)] }),
        ("expunge", Record::Expunge { account, mailbox, modseq, uids }),
    ]
}

/// Records that must be refused, each for another reason.
fn damaged_records() -> Vec<Seed> {
    let expunge = [&[11, 1][..], &[0xaa; 16], &[1, 0xac, 0x02, 2, 1, 0, 4, 2]].concat();
    let damaged = [
        ("bad-version", [&[11, 9][..], expunge.get(2..).unwrap_or_default()].concat()),
        ("bad-kind", [&[12][..], expunge.get(1..).unwrap_or_default()].concat()),
        ("bad-cut", expunge.get(..20).unwrap_or_default().to_vec()),
        ("bad-octets-follow", [&expunge[..], &[0]].concat()),
        // A number in more octets than it needs, and one that does not fit 64 bits.
        ("bad-long-number", [&[5, 1][..], &[0xaa; 16], &[0x81, 0x00, 0x01]].concat()),
        ("bad-large-number", [&[5, 1][..], &[0xaa; 16], &[1], &[0xff; 10]].concat()),
        ("bad-count", [&[10, 1][..], &[0xaa; 16], &[1, 1], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat()),
    ];
    damaged.into_iter().map(|(name, octets)| ("mailbox_record", name.to_owned(), octets)).collect()
}

fn frames() -> Vec<Seed> {
    let whole = frame(b"Return-Path: <>\r\n", b"Subject: x\r\n\r\nbody\r\n");
    let (torn, _) = whole.split_at(whole.len() - 10);
    let flipped = |at: usize| {
        let mut octets = whole.clone();
        octets.iter_mut().skip(at).take(1).for_each(|octet| *octet ^= 0x10);
        octets
    };
    let frames = [
        ("empty", frame(b"", b"")),
        ("torn", torn.to_vec()),
        ("torn-header", whole.iter().copied().take(40).collect()),
        ("rotten-header", flipped(30)),
        ("rotten-body", flipped(70)),
        ("two", [&whole[..], &whole].concat()),
        ("whole", whole.clone()),
    ];
    frames.into_iter().map(|(name, octets)| ("body_frame", name.to_owned(), octets)).collect()
}

fn frame(head: &[u8], body: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        account: AccountId::from_bytes([7; 16]),
        mailbox: MailboxId::INBOX,
        uid: Uid::FIRST,
        date: UnixTime::from_secs(1_000_000_000),
        head_octets: u32::try_from(head.len()).expect("short"),
        body_octets: body.len() as u64,
    };
    let mut checksum = ContentChecksum::default();
    checksum.update(head);
    checksum.update(body);
    [&header.encode()[..], head, body, &checksum.trailer()].concat()
}

/// What a power cut leaves: a header alone, half of one, a group that stops in the middle, nothing but zeros.
fn torn_segments() -> Vec<Seed> {
    let whole = forge(&[1, 2, 0, 3, 90, 1, 32, 90]);
    let cut = |octets: usize| whole.iter().copied().take(octets).collect::<Vec<u8>>();
    let segments = [("torn-header", cut(40)), ("torn-group", cut(4096 + 700)), ("blank", vec![0; 8192])];
    segments.into_iter().map(|(name, octets)| ("journal_recover", name.to_owned(), octets)).collect()
}

/// Scripts of [`forge`].
const SCRIPTS: &[(&str, &[u8])] = &[
    ("header-alone", &[1]),
    ("no-first", &[0, 1, 0, 1]),
    ("tail", &[40, 2, 0, 1, 2, 1, 32, 90, 1, 0, 5]),
    ("marker", &[40, 2, 0, 1, 2, 1, 0, 90, 0, 32]),
    ("sealed", &[40, 2, 0, 1, 2, 1, 0, 90, 4, 0]),
    ("torn-tail", &[40, 2, 32, 1, 2, 6, 0, 100]),
    ("torn-header-of-group", &[40, 2, 32, 1, 2, 6, 0, 20, 1, 0, 1]),
    ("damage", &[40, 2, 0, 1, 2, 6, 0, 100, 1, 32, 1]),
    ("hole", &[40, 1, 0, 1, 7, 0, 1, 32, 1]),
    ("gap", &[40, 1, 0, 1, 1, 1, 1, 0, 32]),
    ("foreign-group", &[40, 1, 0, 1, 1, 8, 1]),
    ("unknown-codec", &[40, 1, 0, 1, 1, 4, 1]),
    ("committed-ahead", &[40, 1, 2, 1]),
    ("long-record", &[40, 2, 16, 1, 1, 1, 0, 1]),
    ("count-ahead", &[40, 1, 64, 1]),
    ("highest-numbers", &[40, 1, 0, 1, 1, 128, 1, 4, 9]),
    ("committed-behind-the-footer", &[40, 2, 2, 6, 0, 4, 0]),
    ("footer-elsewhere", &[40, 1, 0, 1, 4, 8]),
];
