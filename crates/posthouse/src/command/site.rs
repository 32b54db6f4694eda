//! `posthouse site`

use super::Run;
use super::client::{Client, Target};
use super::failure::Failure;
use super::record::{DryRun, Given, print_pins, print_record};
use super::screen::Screen;
use admin::PinsJson;
use serde_json::Value;

/// The site.
#[derive(Debug, clap::Subcommand)]
pub enum Site {
    /// Shows what holds where a domain says nothing.
    Show {
        /// As JSON, one object.
        #[arg(long)]
        json: bool,
    },
    /// Changes it. Nobody moves: whoever would be looked for elsewhere is pinned.
    Set(Set),
}

/// `site set`
#[derive(Debug, clap::Args)]
pub struct Set {
    /// The store of accounts that no placement, rule or domain gives one, or `none`.
    #[arg(long, value_name = "STORE")]
    default_store: Option<String>,
    /// Who reads `postmaster` of domains that name nobody, or `none`.
    #[arg(long, value_name = "ADDRESS")]
    postmaster: Option<String>,
    /// The domain of users who log in without one, or `none`.
    #[arg(long, value_name = "DOMAIN")]
    login_domain: Option<String>,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Run for Site {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            Self::Show { json } => {
                let site: Value = node.get(Target::of("site")).await?;
                print_record(&site, json, screen)
            }
            Self::Set(set) => {
                let mut given = Given::default();
                given
                    .put_or_none("default_store", set.default_store)
                    .put_or_none("postmaster", set.postmaster)
                    .put_or_none("login_domain", set.login_domain);
                let target = Target::of("site").when("dry_run", set.dry_run.dry_run);
                let pins: PinsJson = node.patch(target, &given.body()?).await?;
                print_pins("changed the site", &pins, screen)
            }
        }
    }
}
