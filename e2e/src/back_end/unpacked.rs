//! Mail servers whose packages Debian does not let stand beside Dovecot's: they are unpacked below the target folder with the
//! libraries that are missing here, and run in a mount and a process namespace of their own, where paths that are compiled into
//! them can be what they like.

use crate::power::run;
use crate::programs::{cache_folder, ensure_may_install, output};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpacked {
    Cyrus,
    Courier,
}

impl Unpacked {
    fn name(self) -> &'static str {
        match self {
            Self::Cyrus => "cyrus",
            Self::Courier => "courier",
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            // With all of Cyrus SASL, so that no plug-in meets a library of another version.
            Self::Cyrus => &[
                "cyrus-common",
                "cyrus-imapd",
                "cyrus-pop3d",
                "sasl2-bin",
                "libsasl2-2",
                "libsasl2-modules",
                "libsasl2-modules-db",
            ],
            Self::Courier => &[
                "courier-authdaemon",
                "courier-authlib",
                "courier-authlib-userdb",
                "courier-base",
                "courier-imap",
                "courier-pop",
            ],
        }
    }

    /// Why it cannot be used here, where it cannot. The first who asks fetches it; who asks later hears the same.
    pub(super) fn obstacle(self) -> Option<String> {
        static ASKED: Mutex<Vec<(Unpacked, Option<String>)>> = Mutex::new(Vec::new());
        let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = asked.iter().find(|(which, _)| *which == self) {
            return answer.clone();
        }
        let answer = self.prepare().err().map(|error| {
            let why = format!("{error:#}");
            // Of a list with an address for each package, one line is enough.
            format!("no {}: {}", self.name(), why.lines().last().unwrap_or_default())
        });
        asked.push((self, answer.clone()));
        answer
    }

    fn prepare(self) -> Result<()> {
        ensure!(rustix::process::geteuid().is_root(), "it changes users, for which it must be started by root");
        output(&mut in_namespaces("true")).context("no namespaces of mounts and processes")?;
        if self.folder()?.exists() {
            return Ok(());
        }
        ensure_may_install()?;
        ensure!(Path::new("/etc/debian_version").exists(), "this is not Debian");
        if self.fetch().is_ok() {
            return Ok(());
        }
        // The lists of packages may be missing or old.
        run(bounded("apt-get").args(["-q", "update"]))?;
        self.fetch()
    }

    /// Where it lies unpacked.
    fn folder(self) -> Result<PathBuf> {
        Ok(cache_folder()?.join(self.name()))
    }

    /// Under another name until all of it is there.
    fn fetch(self) -> Result<()> {
        let folder = self.folder()?;
        std::fs::create_dir_all(cache_folder()?)?;
        let part = tempfile::Builder::new().prefix(self.name()).tempdir_in(cache_folder()?)?;
        run(bounded("apt-get").args(["-q", "download"]).args(self.wanted()?).current_dir(part.path()))?;
        let root = part.path().join("root");
        for entry in part.path().read_dir()? {
            let archive = entry?.path();
            if archive.extension().is_some_and(|ending| ending == "deb") {
                run(Command::new("dpkg").arg("-x").arg(&archive).arg(&root))?;
            }
        }
        std::fs::rename(&root, &folder).with_context(|| format!("moving it to {}", folder.display()))
    }

    /// Its packages, and the libraries that an installation would bring, which is only played.
    fn wanted(self) -> Result<BTreeSet<String>> {
        let packages = self.packages();
        let mut play = bounded("apt-get");
        play.args(["-q", "-s", "install", "--no-install-recommends"]).args(packages);
        let played = String::from_utf8(output(&mut play)?)?;
        let is_new = |mut words: std::str::SplitWhitespace<'_>| {
            let (verb, name) = (words.next()?, words.next()?);
            // What is installed already, in whatever version, has it in brackets.
            let is_new = verb == "Inst" && name.starts_with("lib") && words.next()?.starts_with('(');
            is_new.then(|| name.to_owned())
        };
        let libraries = played.lines().filter_map(|line| is_new(line.split_whitespace()));
        Ok(packages.iter().map(|name| (*name).to_owned()).chain(libraries).collect())
    }

    /// A program of it, to be called outside of the namespaces.
    pub(super) fn command(self, program: &str) -> Result<Command> {
        let root = self.folder()?;
        let mut command = Command::new(root.join(program));
        self.tell_libraries(&mut command, &root)?;
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a script of the shell, which sees the unpacked packages in `programs` of the folder; what it says goes to
    /// `back.log` there. The folder is the script's `$1`. Other users may enter it, which the target folder does not promise.
    pub(super) fn spawn(self, folder: &Path, script: &str) -> Result<Child> {
        let programs = folder.join("programs");
        std::fs::create_dir_all(&programs)?;
        let file = folder.join("start.sh");
        std::fs::write(&file, format!("set -e\nmount --bind \"$2\" \"$1/programs\"\n{script}"))?;
        let log = File::options().create(true).append(true).open(folder.join("back.log"))?;
        let mut command = in_namespaces("sh");
        command.arg(file).arg(folder).arg(self.folder()?);
        self.tell_libraries(&mut command, &programs)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("cannot start {}", self.name()))
    }

    /// Where libraries and plug-ins are, below the place where its packages are seen.
    fn tell_libraries(self, command: &mut Command, seen_at: &Path) -> Result<()> {
        let root = self.folder()?;
        let mut libraries = Vec::new();
        for parent in ["usr/lib", "lib"] {
            for entry in root.join(parent).read_dir().into_iter().flatten() {
                let name = entry?.file_name();
                if name.to_string_lossy().contains("-linux-gnu") {
                    libraries.push(seen_at.join(parent).join(name));
                }
            }
        }
        let plugins: Vec<PathBuf> = libraries.iter().map(|library| library.join("sasl2")).collect();
        libraries.extend(["usr/lib", "usr/lib/courier-authlib"].map(|library| seen_at.join(library)));
        command.env("LD_LIBRARY_PATH", joined(&libraries)?).env("SASL_PATH", joined(&plugins)?);
        Ok(())
    }
}

fn joined(folders: &[PathBuf]) -> Result<OsString> {
    std::env::join_paths(folders).context("a folder with a colon in its name")
}

/// Its child is the first process of its namespace, and all end with that. It must stay root and a shell: the kernel forgets to end it
/// with its parent when it becomes somebody else.
fn in_namespaces(program: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", program]);
    command
}

/// Ends what [`Unpacked::spawn`] started, and waits until nobody listens any more.
pub(super) fn end(child: &mut Child, listeners: [SocketAddr; 4]) -> Result<()> {
    child.kill()?;
    child.wait()?;
    let until = Instant::now() + END_MAX;
    while listeners.iter().any(|listener| TcpStream::connect(listener).is_ok()) {
        if Instant::now() > until {
            bail!("its processes live on");
        }
        thread::park_timeout(LOOK_INTERVAL);
    }
    Ok(())
}

/// No network, or one that hangs, must not hold up the tests.
fn bounded(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.arg(FETCH_SECONDS_MAX).arg(program).args(["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10"]);
    command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

const FETCH_SECONDS_MAX: &str = "40";
const END_MAX: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
