//! What a service manager hears.

use crate::node::{BOUND, Served};
use rustix::process::Signal;
use std::os::unix::net::UnixDatagram;

pub(crate) fn told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(BOUND)).expect("a time-out");
    let hear = |wanted: &str| {
        let mut buffer = [0; 4096];
        let mut others = Vec::new();
        loop {
            let octets = socket.recv(&mut buffer).unwrap_or_else(|_| panic!("no {wanted}, but {others:?}"));
            let said = String::from_utf8_lossy(&buffer[..octets]).into_owned();
            if said.lines().any(|line| line == wanted) {
                return (said, others);
            }
            others.push(said);
        }
    };
    let path = path.to_str().expect("text");
    let node = Served::start("", "", &[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "200000")]);
    let (_, before) = hear("READY=1");
    assert_eq!(before, ["STATUS=opening the directory and the stores"]);
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    node.signal(Signal::HUP);
    let (said, _) = hear("RELOADING=1");
    let since = said.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("since when");
    assert!(since.parse::<u64>().is_ok_and(|micros| micros > 0), "{said}");
    hear("READY=1");
    node.signal(Signal::TERM);
    hear("STOPPING=1");
    assert!(node.wait().success());
}

/// A watchdog that is another process's, and a manager that has gone, are no concern of ours.
pub(crate) fn not_for_us() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let name = path.to_str().expect("text").to_owned();
    let environment = [("NOTIFY_SOCKET", &*name), ("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")];
    let node = Served::start("", "", &environment);
    socket.set_nonblocking(true).expect("set");
    let mut buffer = [0; 4096];
    while let Ok(octets) = socket.recv(&mut buffer) {
        assert!(!buffer[..octets].starts_with(b"WATCHDOG"), "{}", String::from_utf8_lossy(&buffer[..octets]));
    }
    drop((socket, folder));
    node.signal(Signal::HUP);
    node.signal(Signal::TERM);
    assert!(node.wait().success());
}
