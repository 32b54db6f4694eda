//! Files that time makes worthless, and files that are nobody else's business.

use super::check::Check;
use super::problem::Problems;
use super::section::At;
use mail_types::UnixTime;
use net::SystemClock;
use ports::Clock;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// A file whose content is valid for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    /// What it is.
    pub kind: ExpiringKind,
    /// Where it is.
    pub path: PathBuf,
    /// Until when what was read of it is valid.
    pub until: UnixTime,
}

/// What is valid for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExpiringKind {
    /// A certificate of ours.
    Certificate,
    /// Lists of certificates that clients may not show any more.
    Revocations,
}

impl ExpiringKind {
    /// As metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Revocations => "revocations",
        }
    }

    /// What is worth a word of it now, and what may help. Lists are made for days, so that it says nothing when one ends soon.
    fn warning(self, until: UnixTime, now: UnixTime) -> Option<(String, &'static str)> {
        match self {
            Self::Certificate if until <= now => Some((format!("has expired at {until}"), RENEW)),
            Self::Certificate if until.since(now) < SOON => Some((format!("expires at {until}"), RENEW)),
            Self::Revocations if until <= now => {
                let why = format!("is out of date since {until}, and every certificate of its authority is refused");
                Some((why, "get the list that follows it, and reload"))
            }
            Self::Certificate | Self::Revocations => None,
        }
    }
}

impl Check<'_> {
    /// Notes until when a file is good that could be read.
    pub(super) fn expires(&mut self, file: &At<PathBuf>, kind: ExpiringKind) {
        let read = match kind {
            ExpiringKind::Certificate => net::certificate_expiry(&file.value),
            ExpiringKind::Revocations => net::revocations_expiry(&file.value),
        };
        let Ok(Some(until)) = read else { return };
        if let Some((why, help)) = kind.warning(until, SystemClock.now()) {
            self.problems.warn(file.problem(format!("{} {why}", file.value.display())).help(help));
        }
        self.expiring.push(Expiring { kind, path: file.value.clone(), until });
    }
}

/// A key or a secret is for the node, and perhaps a group.
pub(super) fn is_private(file: &At<PathBuf>, problems: &Problems) {
    // One that is not there is a mistake that is told elsewhere.
    let mode = std::fs::metadata(&file.value).map_or(0, |found| found.permissions().mode());
    if mode & READ_BY_OTHERS != 0 {
        let shown = file.value.display();
        problems.warn(
            file.problem(format!("everybody on this machine can read {shown}")).help(format!("chmod o= {shown}")),
        );
    }
}

/// Everybody but the owner and its group.
const READ_BY_OTHERS: u32 = 0o004;
const RENEW: &str = "renew it, and reload";
/// Those who renew by themselves do it a month before.
const SOON: Duration = Duration::from_secs(14 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_fortnight_to_renew() {
        let now = UnixTime::from_secs(1_800_000_000);
        let said = |kind: ExpiringKind, left: i64| {
            kind.warning(UnixTime::from_secs(1_800_000_000 + left), now).map_or_else(String::new, |(why, _)| why)
        };
        let fortnight = 14 * 86_400;
        assert_eq!(said(ExpiringKind::Certificate, fortnight), "");
        assert_eq!(said(ExpiringKind::Certificate, fortnight - 1), "expires at 2027-01-29T07:59:59Z");
        assert_eq!(said(ExpiringKind::Certificate, 0), "has expired at 2027-01-15T08:00:00Z");
        assert_eq!(said(ExpiringKind::Revocations, 1), "");
        let late = said(ExpiringKind::Revocations, -1);
        assert!(late.starts_with("is out of date since 2027-01-15T07:59:59Z"), "{late}");
    }
}
