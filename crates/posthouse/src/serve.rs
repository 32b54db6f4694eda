//! `posthouse serve`: this node's roles, until told to stop.

use crate::config::Config;
use crate::node::{Node, System};
use anyhow::Result;
use net::Stopper;
use std::path::PathBuf;

/// `posthouse serve`
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// The configuration; what is in conf.d beside it is read too.
    #[arg(long)]
    config: PathBuf,
}

impl Serve {
    /// Runs the node.
    pub async fn run(self) -> Result<()> {
        let config = Config::load(&self.config).map_err(|problems| anyhow::anyhow!("\n{problems}"))?;
        crate::log::start(&config.log);
        let (stopper, shutdown) = Stopper::new();
        let signals = crate::signals::Signals::new(stopper, &config)?;
        let node = Node::open(config, System::of_this_machine()).await?;
        node.run(signals.watch(), shutdown, || println!("posthouse is ready")).await?;
        Ok(())
    }
}
