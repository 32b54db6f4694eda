//! The command line.

use crate::rows::proxies::Share;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
cargo run --release -p bench -- [--quick] [--dir DIR] [--only SERVER] [--posthouse FILE] [--idle N] [ROW|all]…

  ROW               lmtp, smtp, fetch, sessions, idle, large, exists, tail, maps, proxies
  --quick           a few minutes instead of a quarter of an hour: shorter runs, fewer of them
  --dir DIR         where the servers keep their mail (default: the temporary folder); its disk is what is measured
  --only SERVER     posthouse or dovecot alone
  --posthouse FILE  this program instead of the one built from this tree
  --idle N          in the row proxies, N idle sessions too, with the kernel's memory apart";

/// A part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Lmtp,
    Smtp,
    Fetch,
    Sessions,
    Idle,
    Large,
    Exists,
    Tail,
    Maps,
    Proxies,
}

impl Row {
    pub(crate) const ALL: [Self; 10] = [
        Self::Lmtp,
        Self::Smtp,
        Self::Fetch,
        Self::Sessions,
        Self::Idle,
        Self::Large,
        Self::Exists,
        Self::Tail,
        Self::Maps,
        Self::Proxies,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lmtp => "lmtp",
            Self::Smtp => "smtp",
            Self::Fetch => "fetch",
            Self::Sessions => "sessions",
            Self::Idle => "idle",
            Self::Large => "large",
            Self::Exists => "exists",
            Self::Tail => "tail",
            Self::Maps => "maps",
            Self::Proxies => "proxies",
        }
    }
}

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) quick: bool,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) only: Option<String>,
    pub(crate) posthouse: Option<PathBuf>,
    /// So many idle sessions through a proxy, besides the usual.
    pub(crate) idle: Option<usize>,
    /// This process has a share of those, for another one.
    pub(crate) share: Option<Share>,
    rows: Vec<Row>,
}

impl Args {
    /// `None` when only help was asked for.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut args = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--quick" => args.quick = true,
                "--dir" => args.dir = Some(value()?.into()),
                "--only" => args.only = Some(value()?),
                "--posthouse" => args.posthouse = Some(value()?.into()),
                "--idle" => args.idle = Some(value()?.parse().context("--idle needs a number")?),
                "--share" => args.share = Some(value()?.parse()?),
                "all" => args.rows.extend(Row::ALL),
                name => match Row::ALL.into_iter().find(|row| row.name() == name) {
                    Some(row) => args.rows.push(row),
                    None => bail!("{name} is neither an option nor a row\n{USAGE}"),
                },
            }
        }
        Ok(Some(args))
    }

    pub(crate) fn wants(&self, row: Row) -> bool {
        self.rows.is_empty() || self.rows.contains(&row)
    }

    /// How often each cell is run, in turns with the other servers.
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// How long one run of a cell takes at most.
    pub(crate) fn span(&self) -> Duration {
        if self.quick { Duration::from_millis(1500) } else { Duration::from_secs(4) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Args>> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn rows_are_named_or_all() {
        let args = parse("--quick lmtp tail").expect("right").expect("no help");
        assert!(args.quick && args.wants(Row::Lmtp) && args.wants(Row::Tail) && !args.wants(Row::Idle));
        assert!(parse("").expect("right").expect("no help").wants(Row::Idle));
        assert!(parse("--help").expect("right").is_none());
        assert!(parse("uucp").is_err());
        assert!(parse("--dir").is_err());
        assert_eq!(parse("--idle 50000 proxies").expect("right").expect("no help").idle, Some(50_000));
        assert!(parse("--idle many").is_err());
    }
}
