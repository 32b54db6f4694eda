//! `posthouse alias`

use super::Run;
use super::client::{Client, Target};
use super::failure::Failure;
use super::record::{AddressList, Kind, Remove, Show, remark_warnings};
use super::screen::Screen;
use super::table::{Column, field};
use serde_json::{Value, json};

/// Aliases.
#[derive(Debug, clap::Subcommand)]
pub enum Alias {
    /// Makes an alias.
    Add(Names),
    /// Lists aliases.
    List(AddressList),
    /// Shows an alias.
    Show(Show),
    /// Replaces the targets of an alias.
    Set(Names),
    /// Removes aliases.
    Remove(Remove),
}

/// An alias and where it leads.
#[derive(Debug, clap::Args)]
pub struct Names {
    /// The alias.
    address: String,
    /// Where it leads: accounts, other aliases, addresses elsewhere.
    #[arg(required = true)]
    targets: Vec<String>,
}

const KIND: Kind = Kind {
    one: "alias",
    many: "aliases",
    columns: &[
        Column { head: "ADDRESS", cell: |alias| field(alias, "address") },
        Column { head: "TARGETS", cell: |alias| field(alias, "targets") },
    ],
};

impl Run for Alias {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            Self::Add(Names { address, targets }) => {
                let body = json!({ "address": address, "targets": targets });
                let alias: Value = node.post(Target::of(KIND.many), &body).await?;
                screen.say(format_args!("added alias {}", field(&alias, "address")))?;
                remark_warnings(&alias, screen)?;
                Ok(0)
            }
            Self::List(list) => list.run(&KIND, node, screen).await,
            Self::Show(show) => show.run(&KIND, node, screen).await,
            Self::Set(Names { address, targets }) => {
                let body = json!({ "targets": targets });
                let alias: Value = node.patch(Target::named(KIND.many, &address), &body).await?;
                screen.say(format_args!("changed alias {}", field(&alias, "address")))?;
                remark_warnings(&alias, screen)?;
                Ok(0)
            }
            Self::Remove(remove) => remove.run(&KIND, node, screen).await,
        }
    }
}
