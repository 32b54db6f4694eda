//! `posthouse domain`

use super::Run;
use super::client::{Client, Target};
use super::failure::Failure;
use super::record::{DryRun, Form, Given, Kind, Remove, Show, list, print_pins, remark_warnings};
use super::screen::Screen;
use super::table::{Column, field};
use admin::PinsJson;
use serde_json::Value;

/// Domains.
#[derive(Debug, clap::Subcommand)]
pub enum Domain {
    /// Makes a domain.
    Add(Add),
    /// Lists domains.
    List(Form),
    /// Shows a domain.
    Show(Show),
    /// Changes a domain. Nobody moves: whoever would be looked for elsewhere is pinned.
    Set(Set),
    /// Removes domains that nothing refers to.
    Remove(Remove),
}

/// `domain add`
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Its name.
    name: String,
    #[command(flatten)]
    settings: Settings,
}

/// `domain set`
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its name.
    name: String,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, clap::Args)]
struct Settings {
    /// Who decides whether an address exists: the directory, or (`unchecked`) its store.
    #[arg(long, value_parser = ["checked", "unchecked"])]
    accounts: Option<String>,
    /// What separates a user from a detail, usually `+`; `none` for nothing.
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
    /// The store of accounts that no placement or rule gives one, or `none`.
    #[arg(long, value_name = "STORE")]
    default_store: Option<String>,
    /// Who gets mail for addresses that do not exist, or `none`.
    #[arg(long, value_name = "ADDRESS")]
    catch_all: Option<String>,
    /// Who reads `postmaster`, or `none`.
    #[arg(long, value_name = "ADDRESS")]
    postmaster: Option<String>,
    /// Whether mail for it is ours.
    #[arg(long, value_name = "true|false")]
    local: Option<bool>,
    /// `false` takes back a removal that was cut short.
    #[arg(long, value_name = "true|false", hide_short_help = true)]
    closed: Option<bool>,
}

const KIND: Kind = Kind {
    one: "domain",
    many: "domains",
    columns: &[
        Column { head: "DOMAIN", cell: |domain| field(domain, "name") },
        Column { head: "ACCOUNTS", cell: |domain| field(domain, "accounts") },
        Column { head: "DELIMITER", cell: |domain| field(domain, "delimiter") },
        Column { head: "DEFAULT STORE", cell: |domain| field(domain, "default_store") },
        Column { head: "CATCH-ALL", cell: |domain| field(domain, "catch_all") },
        Column { head: "POSTMASTER", cell: |domain| field(domain, "postmaster") },
        Column { head: "LOCAL", cell: |domain| field(domain, "local") },
    ],
};

impl Run for Domain {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            Self::Add(Add { name, settings }) => {
                let mut given = Given::default();
                settings.put(given.put("name", Some(name)));
                let domain: Value = node.post(Target::of(KIND.many), &given.body()?).await?;
                screen.say(format_args!("added domain {}", field(&domain, "name")))?;
                remark_warnings(&domain, screen)?;
                Ok(0)
            }
            Self::List(form) => list(&KIND, None, form, |_| true, node, screen).await,
            Self::Show(show) => show.run(&KIND, node, screen).await,
            Self::Set(Set { name, settings, dry_run }) => {
                let mut given = Given::default();
                settings.put(&mut given);
                let target = Target::named(KIND.many, &name).when("dry_run", dry_run.dry_run);
                let pins: PinsJson = node.patch(target, &given.body()?).await?;
                print_pins(&format!("changed domain {name}"), &pins, screen)
            }
            Self::Remove(remove) => remove.run(&KIND, node, screen).await,
        }
    }
}

impl Settings {
    fn put(self, given: &mut Given) {
        given
            .put("accounts", self.accounts)
            .put_or_none("delimiter", self.delimiter)
            .put_or_none("default_store", self.default_store)
            .put_or_none("catch_all", self.catch_all)
            .put_or_none("postmaster", self.postmaster)
            .put("local", self.local)
            .put("closed", self.closed);
    }
}
