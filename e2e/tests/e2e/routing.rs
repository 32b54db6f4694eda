//! The hybrid: the map says fritz for john and alison, the rule says ingrid for a to k.

use crate::world::{World, trial, trial_unless};
use anyhow::{Context, Result, ensure};
use e2e::site::Site;
use e2e::smtp::{Client, Kind, Reply};
use libtest_mimic::Trial;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let asking = Arc::clone(world);
    vec![
        trial(world, "routing_by_map_and_rule", &[], |world| stores_agree(world.site()?)),
        trial(world, "routing_by_lmtp", &[], |world| lmtp_agrees(world.site()?)),
        trial(world, "routing_folds_case_and_detail", &[], folds),
        trial_unless(world, "route_json", move || has_no_route(&asking), |world| route_agrees(world.site()?)),
    ]
}

/// The map first, then the rule, then the default.
fn expected(local: &str) -> &'static str {
    match local {
        "john" | "alison" => "fritz",
        other if other.starts_with(|first: char| ('a'..='k').contains(&first)) => "ingrid",
        _others => "fritz",
    }
}

fn stores_agree(site: &Site) -> Result<()> {
    let accounts = &site.description().accounts;
    for mapped in ["john", "alison"] {
        ensure!(accounts.iter().any(|account| account.address.starts_with(&format!("{mapped}@"))), "no {mapped}");
    }
    for account in accounts {
        let local = account.address.split('@').next().unwrap_or_default();
        ensure!(account.store == expected(local), "{} lives on {}", account.address, account.store);
    }
    Ok(())
}

/// A store takes its own accounts, and asks others to try again elsewhere: 4xx, never 5xx.
fn lmtp_agrees(site: &Site) -> Result<()> {
    for store in ["fritz", "ingrid"] {
        let mut client = Client::connect(site.store_address("lmtp", store)?, Kind::Lmtp)?;
        for account in &site.description().accounts {
            client.command("RSET")?;
            ensure!(client.command("MAIL FROM:<sender@far.example>")?.is_good(), "MAIL");
            let reply = client.command(&format!("RCPT TO:<{}>", account.address))?;
            let holds = if account.store == store { reply.is_good() } else { (400..500).contains(&reply.code) };
            ensure!(holds, "{store} says about {} of {}: {reply:?}", account.address, account.store);
        }
        let unknown = client.command(&format!("RCPT TO:<nobody@{}>", site.description().domain))?;
        ensure!(unknown.begins("550 5.1.1"), "{store} says about nobody: {unknown:?}");
    }
    Ok(())
}

fn folds(world: &World) -> Result<()> {
    let site = world.site()?;
    let domain = &site.description().domain;
    let mut client = Client::connect(site.address("smtp")?, Kind::Smtp)?;
    ensure!(client.command("MAIL FROM:<>")?.is_good(), "MAIL");
    for good in [format!("JOHN@{domain}"), format!("kate+news@{domain}"), "postmaster".into(), "Postmaster".into()] {
        let reply = client.command(&format!("RCPT TO:<{good}>"))?;
        ensure!(reply.is_good(), "{good}: {reply:?}");
    }
    for bad in [format!("johnny@{domain}"), format!("nobody+john@{domain}")] {
        let reply: Reply = client.command(&format!("RCPT TO:<{bad}>"))?;
        ensure!(reply.begins("550 5.1.1"), "{bad}: {reply:?}");
    }
    Ok(())
}

fn has_no_route(world: &World) -> Option<String> {
    let asked = world.site().and_then(|site| site.command(&["route", "--help"]));
    match asked {
        Ok(output) if output.status.success() => None,
        Ok(_) => Some("posthouse has no route command".to_owned()),
        // The trial itself will say it better.
        Err(_) => None,
    }
}

fn route_agrees(site: &Site) -> Result<()> {
    let domain = &site.description().domain;
    let mut wanted: Vec<(String, &str, Option<String>)> = Vec::new();
    for account in &site.description().accounts {
        wanted.push((account.address.clone(), "store", Some(account.store.clone())));
    }
    wanted.push((format!("nobody@{domain}"), "reject", None));
    wanted.push(("somebody@elsewhere.example".to_owned(), "reject", None));
    let addresses = wanted.iter().map(|(address, _, _)| address.as_str());
    let arguments: Vec<&str> = ["route", "--json"].into_iter().chain(addresses).collect();
    let output = site.command(&arguments)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(lines.len() == wanted.len(), "{} lines for {}: {text}{complaint}", lines.len(), wanted.len());
    for (line, (address, kind, store)) in lines.into_iter().zip(wanted) {
        let told: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let at = |pointer: &str| told.pointer(pointer).and_then(|value| value.as_str());
        ensure!(at("/address") == Some(&address), "{line} is not about {address}");
        ensure!(at("/outcome/kind") == Some(kind), "{line}, but {kind} was expected");
        ensure!(at("/outcome/store") == store.as_deref(), "{line}, but {store:?} was expected");
        ensure!(
            told.pointer("/steps").is_some_and(|steps| steps.as_array().is_some_and(|all| !all.is_empty())),
            "{line}"
        );
    }
    Ok(())
}
