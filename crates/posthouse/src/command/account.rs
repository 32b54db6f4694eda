//! `posthouse account`

use super::client::{Client, Target};
use super::failure::Failure;
use super::password::PasswordFrom;
use super::record::{AddressList, Given, Kind, NONE, Remove, Show};
use super::screen::Screen;
use super::table::{Column, field};
use super::{Run, size};
use serde_json::Value;

/// Accounts.
#[derive(Debug, clap::Subcommand)]
pub enum Account {
    /// Makes an account, where the rules place it.
    ///
    /// Its password is asked for at the terminal unless the command line says where it comes from.
    Add(Add),
    /// Lists accounts.
    List(AddressList),
    /// Shows an account: where it is, and how its passwords are stored.
    Show(Show),
    /// Changes an account.
    Set(Set),
    /// Removes accounts from the directory. The mail in their stores is left alone.
    Remove(Remove),
}

/// `account add`
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Its address.
    address: String,
    /// The store, instead of the one that the rules give.
    #[arg(long)]
    store: Option<String>,
    /// Nobody can log in until a password is set.
    #[arg(long, help_heading = "Password", conflicts_with_all = ["password_stdin", "generate_password", "password_hash"])]
    no_password: bool,
    #[command(flatten)]
    password: PasswordFrom,
    #[command(flatten)]
    settings: Settings,
}

/// `account set`
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its address.
    address: String,
    /// Asks for a new password.
    #[arg(long, help_heading = "Password", conflicts_with_all = ["password_stdin", "generate_password", "password_hash"])]
    password: bool,
    #[command(flatten)]
    from: PasswordFrom,
    #[command(flatten)]
    settings: Settings,
    /// Gives it another address; mail, passwords and store stay. Takes no other change beside it.
    #[arg(long, value_name = "ADDRESS")]
    rename: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Settings {
    /// Whether it is in use: `no-login` gets mail, `disabled` does not.
    #[arg(long, value_parser = ["active", "no-login", "disabled"])]
    state: Option<String>,
    /// How much it may hold: 500M, 2G, or `none`.
    #[arg(long, value_name = "SIZE")]
    quota: Option<String>,
    /// How many messages it may hold, or `none`.
    #[arg(long, value_name = "N")]
    quota_messages: Option<String>,
    /// Where its mail goes instead; its own address among them keeps a copy. Again for more; `none` ends it.
    #[arg(long, value_name = "ADDRESS")]
    forward: Vec<String>,
}

pub(super) const KIND: Kind = Kind {
    one: "account",
    many: "accounts",
    columns: &[
        Column { head: "ADDRESS", cell: |account| field(account, "address") },
        Column { head: "STORE", cell: |account| field(account, "store") },
        Column { head: "STATE", cell: |account| field(account, "state") },
        Column { head: "QUOTA", cell: quota },
        Column { head: "FORWARD", cell: |account| field(account, "forward") },
    ],
};

impl Run for Account {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            Self::Add(add) => add.run(node, screen).await,
            Self::List(list) => list.run(&KIND, node, screen).await,
            Self::Show(show) => show.run(&KIND, node, screen).await,
            Self::Set(set) => set.run(node, screen).await,
            Self::Remove(remove) => remove_accounts(remove, node, screen).await,
        }
    }
}

impl Add {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        let mut given = Given::default();
        given.put("address", Some(self.address)).put("store", self.store);
        self.settings.put(&mut given)?;
        let generated = match self.no_password {
            true => None,
            false => Some(self.password.put(&mut given, screen).await?),
        };
        let account: Value = node.post(Target::of(KIND.many), &given.body()?).await?;
        screen.say(format_args!(
            "added account {} at store {}",
            field(&account, "address"),
            field(&account, "store")
        ))?;
        generated.map_or(Ok(()), |generated| generated.print(screen))?;
        Ok(0)
    }
}

impl Set {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        let mut given = Given::default();
        given.put("address", self.rename.clone());
        self.settings.put(&mut given)?;
        let generated = match self.password || self.from.is_given() {
            true => Some(self.from.put(&mut given, screen).await?),
            false => None,
        };
        let account: Value = node.patch(Target::named(KIND.many, &self.address), &given.body()?).await?;
        match self.rename {
            Some(_) => {
                screen.say(format_args!("renamed account {} to {}", self.address, field(&account, "address")))?
            }
            None => screen.say(format_args!("changed account {}", field(&account, "address")))?,
        }
        generated.map_or(Ok(()), |generated| generated.print(screen))?;
        Ok(0)
    }
}

impl Settings {
    fn put(self, given: &mut Given) -> Result<(), Failure> {
        let quota = match self.quota.as_deref() {
            Some(NONE) => Some(Value::Null),
            Some(text) => Some(size::parse(text).map_err(Failure::Usage)?.into()),
            None => None,
        };
        let messages = match self.quota_messages.as_deref() {
            Some(NONE) => Some(Value::Null),
            Some(text) => {
                let number = text.parse::<u64>().map_err(|_| Failure::usage(format!("{text:?} is no number")))?;
                Some(number.into())
            }
            None => None,
        };
        let forward = match self.forward.as_slice() {
            [] => None,
            [none] if none == NONE => Some(Vec::new()),
            _ => Some(self.forward),
        };
        given.put("state", self.state).put("quota_bytes", quota).put("quota_messages", messages);
        given.put("forward", forward);
        Ok(())
    }
}

async fn remove_accounts(remove: Remove, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    for name in &remove.names {
        let removed: Value = node.delete(Target::named(KIND.many, name)).await?;
        match removed.get("store").and_then(Value::as_str) {
            Some(store) => {
                screen.say(format_args!(
                    "removed account {name}; its mail stays at store {store}, and nobody reads it: a new account of that name begins empty"
                ))?
            }
            None => screen.say(format_args!("removed account {name}"))?,
        }
    }
    Ok(0)
}

/// `2G`, `2G/10000` with messages.
fn quota(account: &Value) -> String {
    let octets = account.get("quota_bytes").and_then(Value::as_u64).map(size::show);
    let messages = account.get("quota_messages").and_then(Value::as_u64);
    match (octets, messages) {
        (None, None) => String::new(),
        (Some(octets), None) => octets,
        (octets, Some(messages)) => format!("{}/{messages}", octets.unwrap_or_default()),
    }
}
