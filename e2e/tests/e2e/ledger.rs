//! A few rounds of the ledger; `cargo xtask soak` runs many.

use crate::world::{World, trial, trial_unless};
use anyhow::{Result, ensure};
use e2e::ledger::{self, Death, Plan};
use e2e::power::Image;
use e2e::programs::Program;
use libtest_mimic::Trial;
use std::sync::Arc;

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let power = || Program::Xfs.obstacle().or_else(Image::obstacle);
    vec![
        trial(world, "ledger_across_nodes", &[], |_| across_nodes(0xf00d, 3)),
        trial(world, "ledger_survives_kills", &[], |_| survives(0xa11ce, &[Death::Kill], 3)),
        trial_unless(world, "ledger_survives_power_cuts", power, |_| {
            survives(0xb0b, &[Death::PowerCut, Death::KillThenPowerCut], 3)
        }),
    ]
}

fn survives(seed: u64, deaths: &[Death], rounds: u32) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-ledger").tempdir()?;
    let needs_image = deaths.iter().any(|death| *death != Death::Kill);
    let image = if needs_image { Some(Image::create(folder.path(), IMAGE_OCTETS)?) } else { None };
    let plan = Plan { rounds, seed, deaths: deaths.to_vec(), deliveries_max: 400 };
    let ran = ledger::run(&plan, folder.path(), image, &mut |line| println!("    {line}"));
    let report = ran.map_err(|error| error.context("`cargo xtask soak --seed` repeats a load"))?;
    ensure!(report.deliveries >= 20 && report.changes > 0, "there was no load: {report:?}");
    Ok(())
}

fn across_nodes(seed: u64, rounds: u32) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("posthouse-ledger").tempdir()?;
    let report = ledger::run_nodes(rounds, seed, folder.path(), &mut |line| println!("    {line}"))?;
    ensure!(report.deliveries >= 20 && report.changes > 0, "there was no load: {report:?}");
    Ok(())
}

const IMAGE_OCTETS: u64 = 4 << 30;
