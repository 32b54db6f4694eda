//! What a crash leaves of a segment.

use crate::forge::forge;
use journal::{Recovery, Survey, recover};
use mail_types::Lsn;

/// A segment as it stands on a disk.
pub fn journal_recover(data: &[u8]) {
    check(data);
}

/// A segment whose checksums hold, made by the script that the octets are: what no random octets would reach.
pub fn journal_forged(data: &[u8]) {
    check(&forge(data));
}

/// Recovery is the same twice, zeros behind a segment change nothing, and what it cuts to is whole.
fn check(segment: &[u8]) {
    let found = recover(segment);
    assert_eq!(recover(segment), found, "the same octets, the same answer");
    match &found {
        Recovery::Whole(survey) => check_survey(segment, survey),
        Recovery::Damaged { at, lsn, what } => {
            assert!(at.is_multiple_of(SECTOR) && *at >= GROUPS_AT && *lsn > Lsn::ZERO && !what.is_empty());
            assert!(*at <= rounded(segment), "damage lies in the segment, or what is missing lies behind it");
        }
        Recovery::NoHeader { .. } => {}
        Recovery::Unsupported { version } => assert_ne!(*version, 1, "our own version"),
    }
    let padded = [segment, &[0; 2 * SECTOR_OCTETS]].concat();
    if segment.len().is_multiple_of(SECTOR_OCTETS) && segment.len() as u64 >= GROUPS_AT {
        assert_eq!(recover(&padded), found, "a segment is preallocated");
    }
}

fn check_survey(segment: &[u8], survey: &Survey) {
    assert!(
        survey.end.is_multiple_of(SECTOR) && survey.end >= GROUPS_AT && survey.end <= rounded(segment).max(GROUPS_AT)
    );
    let mut at = survey.end;
    for group in &survey.tail {
        assert!(group.at == at && group.padded > 0 && group.padded.is_multiple_of(SECTOR), "a tail has no holes");
        assert!(group.first <= group.last && group.last > survey.committed);
        at += group.padded;
    }
    let numbers: Vec<(u64, u64)> =
        survey.tail.iter().map(|group| (group.first.number(), group.last.number())).collect();
    let follows = |pair: &[(u64, u64)]| matches!(pair, [(_, last), (first, _)] if last + 1 == *first);
    assert!(numbers.windows(2).all(follows), "LSNs have no gaps");
    if let Some(footer) = survey.footer {
        assert!(survey.tail.is_empty() && footer.at == survey.end && footer.last == survey.committed);
    }
    check_cut(segment, survey);
}

/// What is cut as recovery says is whole again: nothing of what was committed is lost, nothing new appears.
fn check_cut(segment: &[u8], survey: &Survey) {
    let end = usize::try_from(survey.end).unwrap_or(usize::MAX).min(segment.len());
    let cut = segment.get(..end).unwrap_or_default();
    let again = recover(cut);
    let Recovery::Whole(again) = again else { panic!("cut at {end}: {again:?}") };
    assert!(again.header == survey.header && again.footer.is_none() && again.committed <= survey.committed);
    let groups: u64 = again.tail.iter().map(|group| group.padded).sum();
    assert_eq!(again.end + groups, survey.end, "all groups that were kept are there");
}

/// Where a segment ends if its last sector is filled up.
fn rounded(segment: &[u8]) -> u64 {
    (segment.len() as u64).next_multiple_of(SECTOR)
}

const SECTOR: u64 = 512;
const SECTOR_OCTETS: usize = 512;
/// Where the first group lies (docs/format/journal.md).
const GROUPS_AT: u64 = 4096;
