//! `posthouse node`

use super::Run;
use super::client::{Client, Target};
use super::failure::Failure;
use super::record::{Form, Given, Kind, NONE, Remove, Show, list};
use super::screen::Screen;
use super::store::port;
use super::table::{Column, field};
use serde_json::{Map, Value};

/// Nodes.
#[derive(Debug, clap::Subcommand)]
pub enum Node {
    /// Makes a node known, so that others find the stores that it serves.
    Add(Add),
    /// Lists nodes.
    List(Form),
    /// Shows a node.
    Show(Show),
    /// Changes a node.
    Set(Set),
    /// Removes nodes that serve no store.
    Remove(Remove),
}

/// `node add`
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Its name, as `node.name` in its configuration.
    name: String,
    #[command(flatten)]
    settings: Settings,
}

/// `node set`
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its name.
    name: String,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, clap::Args)]
struct Settings {
    /// What it runs: `relay`, `proxy`, `store`, `admin`. Again for more; `none` takes all back.
    #[arg(long, value_parser = ["relay", "proxy", "store", "admin", NONE])]
    role: Vec<String>,
    /// A host name or IP address at which other nodes reach it, the best first. Again for more; `none` takes all back.
    #[arg(long, value_name = "HOST")]
    address: Vec<String>,
    /// A port on which it serves other nodes, where that is not the usual one: `lmtp=2424`. Again for more; `none` takes
    /// all back.
    #[arg(long, value_name = "PROTOCOL=PORT")]
    port: Vec<String>,
}

const KIND: Kind = Kind {
    one: "node",
    many: "nodes",
    columns: &[
        Column { head: "NAME", cell: |node| field(node, "name") },
        Column { head: "ROLES", cell: |node| field(node, "roles") },
        Column { head: "ADDRESSES", cell: |node| field(node, "addresses") },
        Column { head: "PORTS", cell: |node| field(node, "ports") },
    ],
};

impl Run for Node {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            Self::Add(Add { name, settings }) => {
                let mut given = Given::default();
                settings.put(given.put("name", Some(name)))?;
                let added: Value = node.post(Target::of(KIND.many), &given.body()?).await?;
                screen.say(format_args!("added node {}", field(&added, "name")))?;
                Ok(0)
            }
            Self::List(form) => list(&KIND, None, form, |_| true, node, screen).await,
            Self::Show(show) => show.run(&KIND, node, screen).await,
            Self::Set(Set { name, settings }) => {
                let mut given = Given::default();
                settings.put(&mut given)?;
                let changed: Value = node.patch(Target::named(KIND.many, &name), &given.body()?).await?;
                screen.say(format_args!("changed node {}", field(&changed, "name")))?;
                Ok(0)
            }
            Self::Remove(remove) => remove.run(&KIND, node, screen).await,
        }
    }
}

impl Settings {
    fn put(self, given: &mut Given) -> Result<(), Failure> {
        let read = |ports: Vec<String>| ports.iter().map(|text| port(text)).collect::<Result<Map<_, _>, _>>();
        let ports = some(self.port)?.map(read).transpose()?;
        given.put("roles", some(self.role)?).put("addresses", some(self.address)?).put("ports", ports);
        Ok(())
    }
}

/// What was given, if anything was; `none` alone is an empty list.
fn some(list: Vec<String>) -> Result<Option<Vec<String>>, Failure> {
    match list.iter().any(|word| word == NONE) {
        _ if list.is_empty() => Ok(None),
        true if list.len() > 1 => Err(Failure::usage("`none` stands alone")),
        true => Ok(Some(Vec::new())),
        false => Ok(Some(list)),
    }
}
