//! A proxy in front of a Cyrus and of a Courier: what it does in front of a Dovecot it does there, as far as they can be logged in to.

use crate::back_end::{goes_and_comes, looks_like_one};
use crate::world::{World, trial_unless};
use anyhow::Result;
use e2e::back_end::{Entrance, Fronted, Security, Server};
use libtest_mimic::Trial;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let cyrus = |name, run| trial_unless(world, name, || Server::Cyrus.obstacle(), run);
    let courier = |name, run| trial_unless(world, name, || Server::Courier.obstacle(), run);
    vec![
        cyrus("cyrus_in_clear", |_| of_cyrus(Security::None, Entrance::Password, looks_like_one)),
        cyrus("cyrus_by_starttls", |_| of_cyrus(Security::StartTls, Entrance::Password, looks_like_one)),
        cyrus("cyrus_by_tls_and_a_master", |_| of_cyrus(Security::Tls, Entrance::Master, looks_like_one)),
        cyrus("cyrus_that_is_away_is_unavailable", |_| {
            of_cyrus(Security::StartTls, Entrance::Password, goes_and_comes)
        }),
        courier("courier_in_clear", |_| of_courier(Security::None, looks_like_one)),
        courier("courier_by_starttls", |_| of_courier(Security::StartTls, looks_like_one)),
        courier("courier_by_tls", |_| of_courier(Security::Tls, looks_like_one)),
        courier("courier_that_is_away_is_unavailable", |_| of_courier(Security::StartTls, goes_and_comes)),
    ]
}

fn of_cyrus(security: Security, entrance: Entrance, run: fn(&mut Fronted) -> Result<()>) -> Result<()> {
    of(Server::Cyrus, security, entrance, run)
}

/// Nobody can act for others there.
fn of_courier(security: Security, run: fn(&mut Fronted) -> Result<()>) -> Result<()> {
    of(Server::Courier, security, Entrance::Password, run)
}

pub(crate) fn of(
    server: Server,
    security: Security,
    entrance: Entrance,
    run: fn(&mut Fronted) -> Result<()>,
) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-back-end").tempdir()?;
    let mut fronted = Fronted::start_server(server, folder.path(), security, entrance, "")?;
    run(&mut fronted).map_err(|error| error.context(fronted.log_tail()))
}
