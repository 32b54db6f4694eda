//! `posthouse rule`

use super::Run;
use super::client::{Client, Target};
use super::failure::Failure;
use super::record::{DryRun, Form, Given, Kind, Listing, Remove, Show, print_pins};
use super::screen::Screen;
use super::table::{Column, field};
use admin::{ListJson, PinsJson};
use serde_json::{Map, Value};

/// Rules.
#[derive(Debug, clap::Subcommand)]
pub enum Rule {
    /// Makes a rule. Nobody moves: whoever would be looked for elsewhere is pinned.
    Add(Add),
    /// Lists rules in the order in which they are asked.
    List(Form),
    /// Shows a rule.
    Show(Show),
    /// Changes a rule. Nobody moves.
    Set(Set),
    /// Removes rules. Nobody moves.
    Remove(RemoveRules),
}

/// `rule add`
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Its name.
    name: String,
    /// Its place: lower is asked first.
    #[arg(long, default_value_t = 100)]
    order: u32,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    dry_run: DryRun,
}

/// `rule set`
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its name.
    name: String,
    /// Its place: lower is asked first.
    #[arg(long)]
    order: Option<u32>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    dry_run: DryRun,
}

/// `rule remove`
#[derive(Debug, clap::Args)]
pub struct RemoveRules {
    #[command(flatten)]
    rules: Remove,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, clap::Args)]
struct Settings {
    /// The domain that it holds for, or `none` for all.
    #[arg(long)]
    domain: Option<String>,
    /// The store that it gives.
    #[arg(long)]
    store: Option<String>,
    /// Matches every address.
    #[arg(long, help_heading = "What it matches", conflicts_with_all = ["regex", "from", "hash"])]
    all: bool,
    /// Matches where this expression is found; case is ignored, `^` and `$` anchor.
    #[arg(long, value_name = "PATTERN", help_heading = "What it matches", conflicts_with_all = ["from", "hash"])]
    regex: Option<String>,
    /// What the expression sees: the part before the `@`, or the address.
    #[arg(long, help_heading = "What it matches", value_parser = ["local", "address"])]
    on: Option<String>,
    /// Matches the local parts from here …
    #[arg(long, value_name = "PREFIX", help_heading = "What it matches", conflicts_with = "hash")]
    from: Option<String>,
    /// … to here, both included: `--from a --to k` takes anna and kurt.
    #[arg(long, value_name = "PREFIX", help_heading = "What it matches")]
    to: Option<String>,
    /// Spreads all addresses over stores by weight: `ingrid=2,fritz=1`.
    #[arg(long, value_name = "STORE=WEIGHT,…", help_heading = "What it matches", value_delimiter = ',')]
    hash: Vec<String>,
}

const KIND: Kind = Kind {
    one: "rule",
    many: "rules",
    columns: &[
        Column { head: "ORDER", cell: |rule| field(rule, "order") },
        Column { head: "NAME", cell: |rule| field(rule, "name") },
        Column { head: "DOMAIN", cell: |rule| field(rule, "domain") },
        Column { head: "MATCHES", cell: matches_what },
        Column { head: "STORE", cell: |rule| [field(rule, "store"), field(rule, "weights")].concat() },
    ],
};

impl Run for Rule {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            Self::Add(Add { name, order, settings, dry_run }) => {
                let mut given = Given::default();
                given.put("name", Some(name.clone())).put("order", Some(order));
                settings.put(&mut given)?;
                let target = Target::of(KIND.many).when("dry_run", dry_run.dry_run);
                let pins: PinsJson = node.post(target, &given.body()?).await?;
                print_pins(&format!("added rule {name}"), &pins, screen)
            }
            Self::List(form) => in_order(form, node, screen).await,
            Self::Show(show) => show.run(&KIND, node, screen).await,
            Self::Set(Set { name, order, settings, dry_run }) => {
                let mut given = Given::default();
                settings.put(given.put("order", order))?;
                let target = Target::named(KIND.many, &name).when("dry_run", dry_run.dry_run);
                let pins: PinsJson = node.patch(target, &given.body()?).await?;
                print_pins(&format!("changed rule {name}"), &pins, screen)
            }
            Self::Remove(RemoveRules { rules, dry_run }) => {
                for name in &rules.names {
                    let target = Target::named(KIND.many, name).when("dry_run", dry_run.dry_run);
                    let pins: PinsJson = node.delete(target).await?;
                    print_pins(&format!("removed rule {name}"), &pins, screen)?;
                }
                Ok(0)
            }
        }
    }
}

/// Rules are kept by name and asked by order; there are few.
async fn in_order(form: Form, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let (mut rules, mut after) = (Vec::new(), None::<String>);
    loop {
        let page: ListJson = node.get(Target::of(KIND.many).with("after", after.as_deref())).await?;
        rules.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    rules.sort_by_key(|rule| (rule.get("order").and_then(Value::as_u64), field(rule, "name")));
    let mut listing = Listing::new(&KIND, form);
    listing.print(&rules, screen)?;
    listing.end(screen)
}

impl Settings {
    fn put(self, given: &mut Given) -> Result<(), Failure> {
        let kind = match &self {
            Self { all: true, .. } => Some("all"),
            Self { regex: Some(_), .. } => Some("regex"),
            Self { from: Some(_), .. } => Some("prefix"),
            Self { hash, .. } if !hash.is_empty() => Some("hash"),
            _ => None,
        };
        let weights = self.hash.iter().map(|pair| weight(pair)).collect::<Result<Map<_, _>, _>>()?;
        given
            .put_or_none("domain", self.domain)
            .put("store", self.store)
            .put("kind", kind)
            .put("pattern", self.regex)
            .put("on", self.on)
            .put("from", self.from)
            .put("to", self.to)
            .put("weights", (!weights.is_empty()).then_some(weights));
        Ok(())
    }
}

fn weight(pair: &str) -> Result<(String, Value), Failure> {
    let wrong = || Failure::usage(format!("{pair:?} is not of the form STORE=WEIGHT, such as ingrid=2"));
    let (store, weight) = pair.split_once('=').ok_or_else(wrong)?;
    let weight: u16 = weight.parse().map_err(|_| wrong())?;
    Ok((store.to_owned(), weight.into()))
}

fn matches_what(rule: &Value) -> String {
    match field(rule, "kind").as_str() {
        "regex" => format!("{} =~ {}", field(rule, "on"), field(rule, "pattern")),
        "prefix" => format!("{}…{}", field(rule, "from"), field(rule, "to")),
        "hash" => "all, by hash".to_owned(),
        other => other.to_owned(),
    }
}
