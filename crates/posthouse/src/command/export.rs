//! `posthouse export`

use super::Run;
use super::client::{Client, Target};
use super::draft::Draft;
use super::failure::Failure;
use super::screen::Screen;
use std::io::Write;
use std::path::PathBuf;

/// Exports.
#[derive(Debug, clap::Subcommand)]
pub enum Export {
    /// All records of the directory, as a file that other nodes can run with.
    ///
    /// It holds the hashes of passwords, since proxies check logins with them: only you may read the file, and only the
    /// nodes' own users should.
    Directory(Directory),
}

/// `export directory`
#[derive(Debug, clap::Args)]
pub struct Directory {
    /// The file, which is replaced when all is written; standard output without it, or with `-`.
    file: Option<PathBuf>,
    /// Leaves the hashes out: for nodes where nobody logs in. A proxy answers every login with a temporary failure then.
    #[arg(long)]
    without_passwords: bool,
}

impl Run for Export {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            Self::Directory(directory) => directory.run(node, screen).await,
        }
    }
}

impl Directory {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        let passwords = if self.without_passwords { "false" } else { "true" };
        let target = Target::of("export").with("passwords", Some(passwords));
        match self.file.filter(|file| file.as_os_str() != "-") {
            None => {
                node.copy(target, &mut screen.out).await?;
                screen.out.flush()?;
            }
            Some(file) => {
                let failed = |error| Failure::File { what: file.display().to_string(), error };
                let mut draft = Draft::of(&file).map_err(failed)?;
                node.copy(target, &mut draft)
                    .await
                    .map_err(|failure| if let Failure::Output(error) = failure { failed(error) } else { failure })?;
                draft.publish().map_err(failed)?;
                screen.say(format_args!("wrote {}", file.display()))?;
            }
        }
        Ok(0)
    }
}
