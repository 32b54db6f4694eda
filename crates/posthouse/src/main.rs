//! The command line of Posthouse.

use clap::{Parser, Subcommand};
use posthouse::config::{Config, Problems};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A mail system that lets one domain live on many servers.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Names every mistake with its line; starts nothing.
    Check {
        /// The file; what is in conf.d beside it is read too.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Config(ConfigCommand::Check { file }) => check(&file),
    }
}

fn check(file: &Path) -> ExitCode {
    match Config::load(file) {
        Ok(config) => {
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
