//! The commands that ask a running node: records, routes, imports, status.
//!
//! ```text
//!   posthouse account add … ─▶ family (account.rs, …) ─▶ client.rs ──HTTP──▶ the node's admin socket
//!                                  │                      at.rs: which socket
//!                                  └─▶ screen.rs, table.rs: what the operator sees
//! ```
//! They open no file of the node: whatever is decided is decided there. An export writes the operator's file (draft.rs). Exit codes: 0 done, 1 refused or failed (and
//! what [`NodeCommand::Route`] and [`NodeCommand::Import`] say of themselves), 2 a command line that cannot be read.

mod account;
mod alias;
mod at;
mod client;
mod domain;
mod draft;
mod export;
mod failure;
mod import;
mod node;
mod password;
mod placement;
mod progress;
mod queue;
mod record;
mod route;
mod rule;
mod screen;
mod site;
mod size;
mod status;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod who;

pub use screen::Screen;

use at::At;
use client::Client;
use failure::Failure;
use std::process::ExitCode;

/// A command that asks a running node.
#[derive(Debug, clap::Subcommand)]
pub enum NodeCommand {
    /// Accounts: who has a mailbox, and may log in.
    Account(On<account::Account>),
    /// Aliases: other names that lead to accounts or elsewhere.
    Alias(On<alias::Alias>),
    /// Domains: whose mail is ours.
    Domain(On<domain::Domain>),
    /// Rules: on which store new accounts are placed.
    Rule(On<rule::Rule>),
    /// Stores: what holds mailboxes, ours and foreign ones.
    Store(On<store::Store>),
    /// Nodes: what serves stores of ours, and where it is reached.
    Node(On<node::Node>),
    /// Placements: the per-user map, stronger than every rule.
    Placement(On<placement::Placement>),
    /// The queue: mail that waits for a store.
    Queue(On<queue::Queue>),
    /// The site: what holds where a domain says nothing.
    Site(On<site::Site>),
    /// Where an address goes, and why, step by step.
    ///
    /// Exits with 0 if every address goes to a store or is forwarded, with 1 if one is refused.
    Route(Asked<route::Route>),
    /// Takes a map or a user list over.
    ///
    /// Exits with 1 while lines are bad or collide, unless they are skipped.
    Import(On<import::Import>),
    /// Writes out what others read.
    Export(On<export::Export>),
    /// What the node runs, and how it is.
    Status(Asked<status::Status>),
    /// Who is connected to the node.
    Who(Asked<who::Who>),
    /// Asks sessions to leave.
    ///
    /// The client is told; whoever has not left after 10 seconds is cut. Exits with 1 if there is no such session.
    Kick(Asked<who::Kick>),
}

/// A family of commands, and the node that is asked.
#[derive(Debug, clap::Args)]
pub struct On<C: clap::Subcommand> {
    #[command(flatten)]
    at: At,
    #[command(subcommand)]
    what: C,
}

/// A command, and the node that is asked.
#[derive(Debug, clap::Args)]
pub struct Asked<C: clap::Args> {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    what: C,
}

/// What a command of this module does.
trait Run {
    /// Does it; `Ok` is the exit code.
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure>;
}

impl NodeCommand {
    /// Runs the command at the terminal, or whatever stands in for it.
    pub fn run_here(self) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("posthouse: {error}");
                return ExitCode::FAILURE;
            }
        };
        let code = runtime.block_on(self.run(&mut Screen::here()));
        // A read of the keyboard that was cancelled still sits in its thread: nobody waits for it.
        runtime.shutdown_background();
        ExitCode::from(code)
    }

    /// Runs the command; gives the exit code.
    pub async fn run(self, screen: &mut Screen<'_>) -> u8 {
        let outcome = match self {
            Self::Account(On { at, what }) => run(&at, what, screen).await,
            Self::Alias(On { at, what }) => run(&at, what, screen).await,
            Self::Domain(On { at, what }) => run(&at, what, screen).await,
            Self::Rule(On { at, what }) => run(&at, what, screen).await,
            Self::Store(On { at, what }) => run(&at, what, screen).await,
            Self::Node(On { at, what }) => run(&at, what, screen).await,
            Self::Placement(On { at, what }) => run(&at, what, screen).await,
            Self::Queue(On { at, what }) => run(&at, what, screen).await,
            Self::Site(On { at, what }) => run(&at, what, screen).await,
            Self::Route(Asked { at, what }) => run(&at, what, screen).await,
            Self::Import(On { at, what }) => run(&at, what, screen).await,
            Self::Export(On { at, what }) => run(&at, what, screen).await,
            Self::Status(Asked { at, what }) => run(&at, what, screen).await,
            Self::Who(Asked { at, what }) => run(&at, what, screen).await,
            Self::Kick(Asked { at, what }) => run(&at, what, screen).await,
        };
        outcome.unwrap_or_else(|failure| screen.fail(&failure))
    }
}

async fn run(at: &At, what: impl Run, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    what.run(&Client::new(at.sockets()?), screen).await
}
