//! `posthouse serve`: this node's roles, until told to stop.

use crate::config::{Config, SYSTEM_CONFIG};
use crate::node::{Node, System};
use crate::reload::Reloader;
use crate::systemd::Manager;
use anyhow::Result;
use net::Stopper;
use std::path::PathBuf;
use std::sync::Arc;

/// `posthouse serve`
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// The configuration; what is in conf.d beside it is read too.
    #[arg(long, value_name = "FILE", default_value = SYSTEM_CONFIG)]
    config: PathBuf,
}

impl Serve {
    /// Runs the node.
    pub async fn run(self) -> Result<()> {
        let config = Config::load(&self.config).map_err(|problems| anyhow::anyhow!("\n{problems}"))?;
        let level = crate::log::start(&config.log);
        config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        let manager = Arc::new(Manager::of_environment());
        manager.status("opening the directory and the stores");
        let (stopper, shutdown) = Stopper::new();
        let signals = crate::signals::Signals::new(stopper, &manager)?;
        if crate::node::is_root() && config.node.user.is_none() {
            tracing::warn!("running as root: [node] user names whom to run as once the sockets are bound");
        }
        let system = System::of_this_machine();
        let node = Node::open(config, system.clone()).await?;
        if let Some(every) = manager.watchdog_every() {
            let (manager, pulse, clock) = (Arc::clone(&manager), node.pulse(), system.clock);
            system.spawn.task(Box::pin(async move { crate::systemd::watch(&manager, every, pulse, &*clock).await }));
        }
        let reloader = Reloader::new(self.config, node.settings(), level);
        let ready = || {
            println!("posthouse is ready");
            manager.ready();
        };
        node.run(signals.watch(reloader), shutdown, ready).await?;
        Ok(())
    }
}
