//! The command line of Posthouse.

use clap::{Parser, Subcommand};
use posthouse::command::NodeCommand;
use posthouse::config::{Config, Problems, SYSTEM_CONFIG};
use posthouse::quickstart::Quickstart;
use posthouse::selftest::Selftest;
use posthouse::serve::Serve;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A mail system that lets one domain live on many servers.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A whole site in one process: two stores, a rule, a map, a few accounts.
    Quickstart(Quickstart),
    /// A message through a running quickstart site, each hop printed.
    Selftest(Selftest),
    /// This node's roles.
    Serve(Serve),
    /// The configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    #[command(flatten)]
    Node(Box<NodeCommand>),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Names every mistake with its line; starts nothing.
    Check {
        /// The file; what is in conf.d beside it is read too.
        #[arg(default_value = SYSTEM_CONFIG)]
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Quickstart(quickstart) => in_runtime(quickstart.run()),
        Command::Selftest(selftest) => told(selftest.run()),
        Command::Serve(serve) => in_runtime(serve.run()),
        Command::Config(ConfigCommand::Check { file }) => check(&file),
        Command::Node(command) => command.run_here(),
    }
}

/// Runs a command that serves or asks, and says in a sentence why it could not.
fn in_runtime(command: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    told(net::runtime().map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(command)))
}

fn told(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("posthouse: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(file: &Path) -> ExitCode {
    match Config::load(file) {
        Ok(config) => {
            config.warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
            println!("{}: {config}", file.display());
            ExitCode::SUCCESS
        }
        Err(problems) => tell(&problems),
    }
}

/// Shows mistakes: with the lines around them on a terminal, one a line elsewhere.
fn tell(problems: &Problems) -> ExitCode {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        problems.reports().for_each(|report| eprintln!("{report:?}"));
    } else {
        eprint!("{problems}");
    }
    ExitCode::FAILURE
}
