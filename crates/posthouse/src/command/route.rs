//! `posthouse route`

use super::Run;
use super::client::{Client, Target};
use super::failure::Failure;
use super::screen::Screen;
use super::table::plain;
use admin::{ROUTE_ADDRESSES_MAX, RouteAnswer, RouteQuestion};
use directory::{RouteJson, RouteOutcome};
use std::net::IpAddr;

/// `posthouse route`
#[derive(Debug, clap::Args)]
pub struct Route {
    /// Addresses, or with --login the names that users log in with.
    #[arg(required = true, value_name = "ADDR")]
    addresses: Vec<String>,
    /// Where a user logs in, instead of where mail goes.
    #[arg(long)]
    login: bool,
    /// With --login: the address of the node that the client connects to, for the login form that holds there.
    #[arg(long, requires = "login", value_name = "ADDR")]
    local: Option<IpAddr>,
    /// One JSON object per address and line.
    #[arg(long)]
    json: bool,
}

impl Run for Route {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        let mut all_routed = true;
        for addresses in self.addresses.chunks(ROUTE_ADDRESSES_MAX) {
            let question = RouteQuestion { addresses: addresses.to_vec(), login: self.login, local: self.local };
            let question = serde_json::to_value(question).expect("texts are valid JSON");
            let answer: RouteAnswer = node.post(Target::of("route"), &question).await?;
            for route in &answer.routes {
                all_routed &= is_routed(&route.outcome);
                match self.json {
                    true => screen.say(serde_json::to_string(route).expect("texts are valid JSON"))?,
                    false => print(route, screen)?,
                }
            }
        }
        Ok(u8::from(!all_routed))
    }
}

fn is_routed(outcome: &RouteOutcome) -> bool {
    match outcome {
        RouteOutcome::Store { .. } | RouteOutcome::Forward { .. } => true,
        RouteOutcome::Reject { .. } | RouteOutcome::TempFail { .. } => false,
    }
}

fn print(route: &RouteJson, screen: &mut Screen<'_>) -> Result<(), Failure> {
    screen.say(plain(&route.address))?;
    route.steps.iter().try_for_each(|step| screen.say(format_args!("  {}", plain(step))))?;
    let outcome = match &route.outcome {
        RouteOutcome::Store { store, account } => format!("store {store}, account {account}"),
        RouteOutcome::Forward { targets } => format!("goes to {}", targets.join(", ")),
        RouteOutcome::Reject { reply } => format!("refused: {reply}"),
        RouteOutcome::TempFail { reply } => format!("refused for now: {reply}"),
    };
    screen.say(format_args!("  => {}", plain(&outcome)))
}
