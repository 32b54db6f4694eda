//! `posthouse import`

use super::Run;
use super::client::{Client, Target, accepted};
use super::failure::Failure;
use super::progress::Progress;
use super::screen::Screen;
use super::table::plain;
use admin::{ImportJson, ProgressJson};
use directory::import::{ReportLine, with_includes};
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Imports.
#[derive(Debug, clap::Subcommand)]
pub enum Import {
    /// Dovecot's passwd-file: accounts with their password hashes, at the hosts of their lines or placed by the rules.
    PasswdFile(Named),
    /// Perdition's popmap (`user:[name@]host[:port]`): placements.
    Popmap(Named),
    /// Perdition's regex map (`expression: host[:port]`): rules, in the order of the file.
    RegexMap(Mapped),
    /// Sendmail's user map (`user user@host`): placements and aliases.
    UserMap(Mapped),
    /// Sendmail's virtusertable: as the user map, mostly aliases and catch-alls.
    Virtusertable(Mapped),
    /// Sendmail's and Postfix's aliases, with the lists that they include (read here, not at the node).
    Aliases(Mapped),
    /// Postfix's virtual table: aliases and catch-alls.
    Virtual(Mapped),
    /// Postfix's transport table (`lmtp:[host]:port`): placements and default stores of domains.
    Transport(Mapped),
}

/// What is imported, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// The file; `-` for standard input.
    file: PathBuf,
    /// Writes nothing; says what would be.
    #[arg(long)]
    dry_run: bool,
    /// Takes the good lines although there are bad ones.
    #[arg(long)]
    skip_bad: bool,
    /// The domain of users that have none. Again for more: such a user is then in each of them. Of a regex map: the
    /// domain that its rules hold in.
    #[arg(long, value_name = "DOMAIN")]
    domain: Vec<String>,
    /// The report as one JSON object.
    #[arg(long)]
    json: bool,
}

/// A map that names hosts.
#[derive(Debug, clap::Args)]
pub struct Mapped {
    #[command(flatten)]
    source: Source,
    /// The store that a host of the map (or host:port) means, where it is not the store's own name or host. Again for
    /// more.
    #[arg(long, value_name = "HOST=NAME")]
    store: Vec<String>,
}

/// A map that gives users to hosts.
#[derive(Debug, clap::Args)]
pub struct Named {
    #[command(flatten)]
    map: Mapped,
    /// What the back-end calls a user whose key has no domain: the key as it stands, or his address.
    #[arg(long, value_enum, default_value = "key")]
    names: Names,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Names {
    Key,
    Address,
}

impl Run for Import {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            Self::PasswdFile(map) => map.run("import/passwd-file", node, screen).await,
            Self::Popmap(map) => map.run("import/popmap", node, screen).await,
            Self::RegexMap(map) => map.run("import/regex-map", node, screen).await,
            Self::UserMap(map) => map.run("import/user-map", node, screen).await,
            Self::Aliases(map) => map.run("import/aliases", node, screen).await,
            Self::Virtual(map) => map.run("import/virtual", node, screen).await,
            Self::Transport(map) => map.run("import/transport", node, screen).await,
            Self::Virtusertable(map) => map.run("import/virtusertable", node, screen).await,
        }
    }
}

impl Mapped {
    async fn run(self, path: &str, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        self.source.run(Target::of(path), path, &self.store, node, screen).await
    }
}

impl Named {
    async fn run(self, path: &str, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        let names = (self.names == Names::Address).then_some("address");
        let Mapped { source, store } = self.map;
        source.run(Target::of(path).with("names", names), path, &store, node, screen).await
    }
}

impl Source {
    async fn run(
        self,
        target: Target,
        path: &str,
        stores: &[String],
        node: &Client,
        screen: &mut Screen<'_>,
    ) -> Result<u8, Failure> {
        let target = target
            .when("dry_run", self.dry_run)
            .when("skip_bad", self.skip_bad)
            .with("domains", joined(&self.domain).as_deref())
            .with("stores", joined(stores).as_deref());
        let mut file = read(&self.file, screen)?;
        if path == "import/aliases" {
            let folder = self.file.parent().unwrap_or(Path::new(""));
            file =
                within_limit(&self.file, with_includes(&file, &mut |list| files::read_list(&folder.join(list)).ok()))?;
        }
        let report = send(target, file, node, screen).await?;
        self.print(&report, screen)?;
        let clean = report.report.bad.is_empty() && report.report.collisions.is_empty();
        Ok(u8::from(!clean && !self.skip_bad))
    }

    fn print(&self, answer: &ImportJson, screen: &mut Screen<'_>) -> Result<(), Failure> {
        if self.json {
            return screen.say(serde_json::to_string(answer).expect("texts and numbers are valid JSON"));
        }
        let report = &answer.report;
        let mut tell = |what: &str, lines: &[ReportLine]| {
            lines.iter().try_for_each(|line| {
                let ReportLine { line, text } = line;
                screen.remark(format_args!("{}:{line}: {what}{}", self.file.display(), plain(text)))
            })
        };
        tell("", &report.bad)?;
        tell("collision: ", &report.collisions)?;
        tell("ignored: ", &report.ignored)?;
        tell("note: ", &report.notes)?;
        for ReportLine { line, text } in &report.changed {
            screen.say(format_args!("line {line} changes {}", plain(text)))?;
        }
        if answer.left_out > 0 {
            screen.remark(format_args!("and {} more lines", answer.left_out))?;
        }
        let (bad, collisions) = (report.bad.len(), report.collisions.len());
        let mut taken =
            format!("{} added, {} changed, {} unchanged", report.added, report.changed.len(), report.unchanged);
        if report.pinned > 0 {
            taken += &format!(", {} accounts pinned where they are", report.pinned);
        }
        match (self.dry_run, report.written) {
            (true, _) => {
                screen.say(format_args!("dry run, nothing written: {taken}, {bad} bad, {collisions} collisions"))
            }
            (false, true) => screen.say(format_args!("imported: {taken}, {bad} bad, {collisions} collisions")),
            (false, false) => screen.say(format_args!(
                "nothing imported: {bad} bad, {collisions} collisions (--skip-bad takes the rest: {taken})"
            )),
        }
    }
}

/// Sends the file, and shows how far the node is until it answers.
async fn send(target: Target, file: Bytes, node: &Client, screen: &mut Screen<'_>) -> Result<ImportJson, Failure> {
    let mut progress = Progress::new(screen);
    let mut answer = std::pin::pin!(node.ask(Method::POST, target, file));
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer?,
            () = tokio::time::sleep(LOOK_EVERY) => {
                // Progress is a courtesy: whoever cannot be asked for it may still do the work.
                if let Ok(now) = node.get::<ProgressJson>(Target::of("import")).await {
                    progress.at(now, screen)?;
                }
            }
        }
    };
    let report = match answer {
        // Refused, with the lines that are the reason.
        (StatusCode::UNPROCESSABLE_ENTITY, body) => match serde_json::from_slice::<ImportJson>(&body) {
            Ok(report) => report,
            Err(_) => accepted((StatusCode::UNPROCESSABLE_ENTITY, body))?,
        },
        answer => accepted(answer)?,
    };
    progress.end(report.report.written, screen)?;
    Ok(report)
}

fn read(file: &Path, screen: &mut Screen<'_>) -> Result<Bytes, Failure> {
    let mut octets = Vec::new();
    let limit = u64::try_from(admin::IMPORT_OCTETS_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let read = match file.as_os_str() == "-" {
        true => (&mut screen.input).take(limit).read_to_end(&mut octets),
        false => std::fs::File::open(file).and_then(|opened| opened.take(limit).read_to_end(&mut octets)),
    };
    read.map_err(|error| Failure::File { what: file.display().to_string(), error })?;
    within_limit(file, octets)
}

fn within_limit(file: &Path, octets: Vec<u8>) -> Result<Bytes, Failure> {
    match octets.len() > admin::IMPORT_OCTETS_MAX {
        true => Err(Failure::usage(format!("{} is over 64 MiB: split it", file.display()))),
        false => Ok(octets.into()),
    }
}

fn joined(list: &[String]) -> Option<String> {
    (!list.is_empty()).then(|| list.join(","))
}

const LOOK_EVERY: Duration = Duration::from_millis(200);
