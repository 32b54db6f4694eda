//! `posthouse placement`

use super::Run;
use super::client::{Client, Target};
use super::failure::Failure;
use super::record::{AddressList, Given, Kind, Remove, Show};
use super::screen::Screen;
use super::table::{Column, field};
use serde_json::Value;

/// Placements.
#[derive(Debug, clap::Subcommand)]
pub enum Placement {
    /// Places an address that has no placement.
    Add(Add),
    /// Lists placements.
    List(AddressList),
    /// Shows a placement.
    Show(Show),
    /// Changes a placement. One with mail behind it changes by a move only.
    Set(Set),
    /// Removes placements: the rules hold for the address again.
    Remove(Remove),
}

/// `placement add`
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The address.
    address: String,
    /// Where it is.
    store: String,
    /// What a foreign back-end calls its user, where that is not the address.
    #[arg(long)]
    user: Option<String>,
}

/// `placement set`
#[derive(Debug, clap::Args)]
pub struct Set {
    /// The address.
    address: String,
    /// Where it shall be.
    #[arg(long)]
    store: Option<String>,
    /// What a foreign back-end calls its user; `none` for the address.
    #[arg(long)]
    user: Option<String>,
}

const KIND: Kind = Kind {
    one: "placement",
    many: "placements",
    columns: &[
        Column { head: "ADDRESS", cell: |placement| field(placement, "address") },
        Column { head: "STORE", cell: |placement| field(placement, "store") },
        Column { head: "USER", cell: |placement| field(placement, "user") },
    ],
};

impl Run for Placement {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            Self::Add(add) => {
                let mut given = Given::default();
                given.put("address", Some(add.address)).put("store", Some(add.store)).put("user", add.user);
                let placed: Value = node.post(Target::of(KIND.many), &given.body()?).await?;
                screen.say(format_args!(
                    "placed {} at store {}",
                    field(&placed, "address"),
                    field(&placed, "store")
                ))?;
                Ok(0)
            }
            Self::List(list) => list.run(&KIND, node, screen).await,
            Self::Show(show) => show.run(&KIND, node, screen).await,
            Self::Set(set) => {
                let mut given = Given::default();
                given.put("store", set.store).put_or_none("user", set.user);
                let placed: Value = node.patch(Target::named(KIND.many, &set.address), &given.body()?).await?;
                screen.say(format_args!(
                    "placed {} at store {}",
                    field(&placed, "address"),
                    field(&placed, "store")
                ))?;
                Ok(0)
            }
            Self::Remove(remove) => remove.run(&KIND, node, screen).await,
        }
    }
}
