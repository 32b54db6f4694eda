//! What processes use, from /proc (proc(5)).

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// CPU time of a process, of those it started and of those that have ended.
pub(crate) fn cpu(root: u32) -> Result<Duration> {
    let processes = read_all()?;
    let ticks: u64 = tree(&processes, root).iter().map(|(_, stat)| stat.ticks).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat").context("reading /proc/self/stat")?;
    let stat = Stat::parse(&text).context("an unusual /proc/self/stat")?;
    Ok(Duration::from_millis(stat.own_ticks * 1000 / TICKS_PER_SECOND))
}

/// Memory of a process and those it started: the proportional set size, in octets. Shared pages are shared out.
pub(crate) fn pss(root: u32) -> Result<u64> {
    let processes = read_all()?;
    let mut octets = 0;
    for (pid, _) in tree(&processes, root) {
        // A process may end between the listing and here.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else { continue };
        octets += parse_pss(&text).unwrap_or(0);
    }
    Ok(octets)
}

/// How many processes there are.
pub(crate) fn count(root: u32) -> Result<usize> {
    Ok(tree(&read_all()?, root).len())
}

/// Memory of the whole machine that is the kernel's own, in octets: slab (sockets and what polls them) and the buffers of TCP.
pub(crate) fn kernel() -> Result<u64> {
    let memory = fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    let sockets = fs::read_to_string("/proc/net/sockstat").context("reading /proc/net/sockstat")?;
    parse_kernel(&memory, &sockets).context("an unusual /proc/meminfo or /proc/net/sockstat")
}

fn parse_kernel(memory: &str, sockets: &str) -> Option<u64> {
    let line = |text: &str| text.split_whitespace().next()?.parse::<u64>().ok();
    let slab = memory.lines().find_map(|text| line(text.strip_prefix("Slab:")?))?;
    let tcp = sockets.lines().find_map(|text| line(text.strip_prefix("TCP:")?.split_once(" mem ")?.1))?;
    Some(slab * 1024 + tcp * PAGE_OCTETS)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own_ticks: u64,
    /// With those of children that have ended and were waited for.
    ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program may hold anything, parentheses too.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        // Fields 4, 14 to 17 of proc(5), counted from the state, which is field 3.
        let own_ticks = number(11)? + number(12)?;
        Some(Self { parent: fields.get(1)?.parse().ok()?, own_ticks, ticks: own_ticks + number(13)? + number(14)? })
    }
}

fn read_all() -> Result<BTreeMap<u32, Stat>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("reading /proc")? {
        let Ok(pid) = entry.context("reading /proc")?.file_name().to_string_lossy().parse() else { continue };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        if let Some(stat) = stat.as_deref().and_then(Stat::parse) {
            all.insert(pid, stat);
        }
    }
    Ok(all)
}

/// The root and all that descend from it.
fn tree(processes: &BTreeMap<u32, Stat>, root: u32) -> Vec<(u32, Stat)> {
    let descends = |mut pid: u32| {
        // No process has more ancestors than there are processes.
        for _ in 0..=processes.len() {
            if pid == root {
                return true;
            }
            match processes.get(&pid) {
                Some(stat) if stat.parent != pid => pid = stat.parent,
                Some(_) | None => return false,
            }
        }
        false
    };
    processes.iter().filter(|(pid, _)| descends(**pid)).map(|(pid, stat)| (*pid, *stat)).collect()
}

fn parse_pss(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux that anybody runs.
const TICKS_PER_SECOND: u64 = 100;
/// The unit of /proc/net/sockstat where anybody measures this.
const PAGE_OCTETS: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat() {
        let text = "42 (odd) name) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 4 20 0 1 0 5 6 7";
        assert_eq!(Stat::parse(text), Some(Stat { parent: 7, own_ticks: 120, ticks: 127 }));
        assert_eq!(Stat::parse("42 (short) S 7"), None);
    }

    #[test]
    fn descendants_are_found() {
        let stat = |parent| Stat { parent, own_ticks: 1, ticks: 1 };
        let all = BTreeMap::from([(1, stat(0)), (10, stat(1)), (11, stat(10)), (12, stat(11)), (20, stat(1))]);
        assert_eq!(tree(&all, 10).iter().map(|(pid, _)| *pid).collect::<Vec<_>>(), [10, 11, 12]);
    }

    #[test]
    fn what_the_kernel_has() {
        let sockets = "sockets: used 161\nTCP: inuse 12 orphan 0 tw 3 alloc 14 mem 2\nUDP: inuse 1 mem 9\n";
        assert_eq!(parse_kernel("MemFree: 1 kB\nSlab:  100 kB\n", sockets), Some(100 * 1024 + 2 * 4096));
        assert_eq!(parse_kernel("MemFree: 1 kB\n", sockets), None);
        assert!(kernel().expect("/proc") > 1_000_000);
    }

    #[test]
    fn this_process_is_there() {
        assert!(pss(std::process::id()).expect("/proc") > 100_000);
        assert!(count(std::process::id()).expect("/proc") >= 1);
        assert_eq!(parse_pss("Rss:  5 kB\nPss:   3 kB\nPss_Anon: 1 kB\n"), Some(3072));
    }
}
