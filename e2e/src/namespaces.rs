//! Network namespaces: machines with cables between them, on one kernel. Only root may make them.

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::process::Command;
use std::thread;

/// Namespaces that are there as long as this is.
#[derive(Debug)]
pub struct Namespaces {
    prefix: String,
    names: Vec<&'static str>,
}

impl Namespaces {
    /// Why there can be none here, if so: tried once.
    pub fn obstacle() -> Option<String> {
        static OBSTACLE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        let try_once = || {
            let namespaces = Self::create("phtry", &["a", "b"])?;
            namespaces.connect(("a", "ab", "10.99.0.1/24"), ("b", "ba", "10.99.0.2/24"))
        };
        OBSTACLE.get_or_init(|| try_once().err().map(|error| format!("no network namespaces: {error:#}"))).clone()
    }

    /// Makes them, each with its loopback up.
    pub fn create(purpose: &str, names: &[&'static str]) -> Result<Self> {
        let mut namespaces = Self { prefix: format!("{purpose}{}", std::process::id()), names: Vec::new() };
        for name in names {
            let full = namespaces.full(name);
            ip(&["netns", "add", &full])?;
            namespaces.names.push(name);
            ip(&["-n", &full, "link", "set", "lo", "up"])?;
        }
        Ok(namespaces)
    }

    /// What the system calls one.
    pub fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Puts a cable between two: of each the namespace, the name of its end there, and its address with the prefix length.
    pub fn connect(&self, one: (&str, &str, &str), other: (&str, &str, &str)) -> Result<()> {
        self.cable((one.0, one.1), (other.0, other.1))?;
        for (name, end, address) in [one, other] {
            self.configure(name, &["address", "add", address, "dev", end])?;
        }
        Ok(())
    }

    /// Puts a cable between two, without addresses.
    pub fn cable(&self, one: (&str, &str), other: (&str, &str)) -> Result<()> {
        let (here, there) = (self.full(one.0), self.full(other.0));
        ip(&["link", "add", one.1, "netns", &here, "type", "veth", "peer", "name", other.1, "netns", &there])?;
        for (name, end) in [one, other] {
            self.configure(name, &["link", "set", end, "up"])?;
        }
        Ok(())
    }

    /// Runs `ip` in one.
    pub fn configure(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let full = self.full(name);
        ip(&[&["-n", &full], arguments].concat())
    }

    /// Does something in a thread whose sockets are in a namespace.
    pub fn run_in<T: Send>(&self, name: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let place = format!("/run/netns/{}", self.full(name));
        thread::scope(|scope| {
            let working = scope.spawn(move || {
                let file = File::open(&place).with_context(|| format!("cannot open {place}"))?;
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))
                    .context("cannot enter a namespace")?;
                work()
            });
            working.join().map_err(|_| anyhow::anyhow!("the thread in {name} panicked"))?
        })
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = ip(&["netns", "delete", &self.full(name)]) {
                eprintln!("a namespace was left: {error:#}");
            }
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot run ip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), said.trim());
    Ok(())
}
