//! A running node: its directory, its stores and its listeners, bound to the drivers of this system.
//!
//! ```text
//!   Config ─▶ open: sockets bound, root given up, ─▶ run: sockets listen, until told to stop ─▶ close: all on disk
//!                   directory, stores recovered
//! ```
//! Sockets are bound first, while we may, and listen last: whoever can connect finds a node that is ready.

mod adjustable;
mod admin;
mod auth_http;
mod backends;
mod cover;
mod directory_file;
mod door;
mod foreign;
mod given_away;
mod inside;
mod listeners;
mod maps;
mod metrics;
mod nodes;
mod oauth;
mod polite;
mod privileges;
mod pulse;
mod questions;
mod queue;
mod recipients;
mod register;
mod remarks;
mod routing;
mod scram;
mod sessions;
mod sockets;
mod stores;
mod web;

pub use privileges::PrivilegeError;
pub(crate) use privileges::is_root;
pub use pulse::Pulse;
pub use queue::QueueStartError;
pub use stores::StoreError;

use crate::config::{Config, DirectoryEngine};
use admin::Facts;
use backends::Backends;
use cover::Cover;
use directory::engine::Engine;
use directory::{EditError, EngineError};
use directory_file::Trouble;
use files::{DirectoryFile, ReadError};
use kv::EmbeddedEngine;
use listeners::Listeners;
use maps::{MapStates, Maps};
use metrics::Meters;
use net::{BindError, OsRandom, Shutdown, Stopper, SystemClock, TokioSpawn};
use ports::{Clock, Random, Spawn};
use proxy::{LoginCounts, Turnstile};
use relay::RetryQueue;
use remarks::Remarks;
use routing::Routes;
use sessions::Register;
use sockets::Sockets;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{LocalStores, Store};
use tokio::sync::watch;

/// A node that is open and listens to nobody yet.
pub struct Node {
    config: Config,
    system: System,
    /// The configuration as it is now; `config` is that of the start.
    settings: watch::Sender<Arc<Config>>,
    sockets: Sockets,
    engine: Arc<dyn Engine>,
    /// What the engine reads, where it only reads.
    file: Option<DirectoryFile>,
    /// What is wrong with what it reads.
    trouble: Trouble,
    /// What is laid over the engine, if anything is, and how it is.
    maps: Option<Maps>,
    map_states: MapStates,
    routes: Routes,
    stores: Arc<LocalStores>,
    local: Vec<Arc<Store>>,
    backends: Backends,
    /// The relay's, where it has one.
    queue: Option<Arc<RetryQueue>>,
    /// Who is connected.
    sessions: Arc<Register>,
    logins: Arc<LoginCounts>,
    turnstile: Arc<Turnstile>,
    relay_counts: Arc<relay::Counts>,
    /// The key for the salts of nobody, where SCRAM is spoken.
    salts: Option<sasl::Secret>,
    /// Whether everybody could log in by it.
    cover: Cover,
    started: Instant,
}

/// The ports of this system.
#[derive(Clone)]
pub struct System {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Tasks and threads.
    pub spawn: Arc<dyn Spawn>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A folder.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory.
    #[error("cannot open the directory in {}; is a Posthouse running with it?", path.display())]
    Directory {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: EngineError,
    },
    /// The file of a directory that is only read.
    #[error("the directory file cannot be used")]
    DirectoryFile(#[from] ReadError),
    /// A directory that this node may not write does not name what it runs.
    #[error("{} does not name what this node runs:{missing}\nwhere the directory is edited: `posthouse store add NAME --node NODE`, then `posthouse export directory`", path.display())]
    NotNamed {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        missing: String,
    },
    /// Signals.
    #[error("cannot listen to signals")]
    Signal(#[source] io::Error),
    /// Reading the directory.
    #[error("cannot read the directory")]
    Engine(#[from] EngineError),
    /// Entering what this node serves.
    #[error("cannot enter this node's stores into the directory")]
    Register(#[from] EditError),
    /// A store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The retry queue.
    #[error(transparent)]
    Queue(#[from] QueueStartError),
    /// A socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An address of the configuration.
    #[error("{key}")]
    Listen {
        /// The key that names it.
        key: &'static str,
        /// Why.
        #[source]
        source: BindError,
    },
    /// A directory that takes no key from us, and no place for our own.
    #[error("cannot keep the key for salts in {}", path.display())]
    Salts {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Running as the user that the configuration names.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The socket for commands.
    #[error("cannot listen on {}", path.display())]
    Admin {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl System {
    /// This machine, as the runtime that is entered shows it.
    pub fn of_this_machine() -> Self {
        let spawn = TokioSpawn::new(tokio::runtime::Handle::current());
        Self { clock: Arc::new(SystemClock), random: Arc::new(OsRandom), spawn: Arc::new(spawn) }
    }
}

impl Node {
    /// Binds the sockets, gives up root where told to, opens the directory and recovers the stores. Runs inside a
    /// runtime.
    pub async fn open(config: Config, system: System) -> Result<Self, NodeError> {
        let started = system.clock.instant();
        let sockets = Sockets::bind(&config)?;
        privileges::give_up(&config.node)?;
        folder(&config.node.data)?;
        let (engine, file) = open_directory(&config).await?;
        let (engine, maps, map_states) = maps::lay(&config.directory.maps, engine).await?;
        let routes = Routes::follow(Arc::clone(&engine), &system).await?;
        let mut local = Vec::with_capacity(config.stores.len());
        for store in &config.stores {
            local.push(stores::open(store, &routes, &system)?);
        }
        let stores = Arc::new(backends::stores(&local, &config.node.name, &routes));
        let backends = Backends::of(&config, &stores, &routes, &system);
        let path = config.relay.as_ref().and_then(|relay| relay.queue.as_deref());
        let queue = path.map(|path| queue::open(path, &system)).transpose()?;
        let salts = scram::key(&config, &*engine, &*system.random).await?;
        let sessions = Register::new(Arc::clone(&system.clock));
        let (logins, relay_counts) = (Arc::default(), Arc::default());
        let turnstile = Turnstile::new(config.limits.logins);
        let settings = watch::Sender::new(Arc::new(config.clone()));
        Ok(Self {
            config,
            system,
            settings,
            sockets,
            engine,
            file,
            trouble: Trouble::default(),
            maps,
            map_states,
            routes,
            stores,
            local,
            backends,
            queue,
            sessions,
            logins,
            turnstile,
            relay_counts,
            salts,
            cover: Cover::default(),
            started,
        })
    }

    /// The records, for who writes them at the start.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// To change what can change while it runs.
    pub fn settings(&self) -> watch::Sender<Arc<Config>> {
        self.settings.clone()
    }

    /// To feel whether it is alive while it runs.
    pub fn pulse(&self) -> Pulse {
        Pulse::of(self)
    }

    /// Listens and serves until `shutdown` says stop, then lets sessions end and puts everything on disk. `ready` is
    /// called when whoever connects is served.
    pub async fn run(mut self, stopper: Stopper, shutdown: Shutdown, ready: impl FnOnce()) -> Result<(), NodeError> {
        let mut sockets = std::mem::take(&mut self.sockets);
        let listeners = Listeners::open(&self, &mut sockets)?;
        let admin = admin::bind(&self.config.admin.socket)?;
        let monitored = metrics::listen(&self.config.admin.metrics, &mut sockets)?;
        let meters = Meters::of(&self, &listeners);
        for store in &self.local {
            store.start(&*self.system.spawn);
        }
        if let Some(queue) = &self.queue {
            queue.start(&*self.system.spawn);
        }
        self.system.spawn.task(Box::pin(self.routes.clone().run(shutdown.clone())));
        if let Some(file) = self.file.take() {
            directory_file::keep(file, &self, shutdown.clone())?;
        }
        given_away::watch(&self, shutdown.clone());
        let remarks = Remarks::of(&self);
        remarks.clone().watch(&self, shutdown.clone());
        if let Some(maps) = self.maps.take() {
            maps.keep(&self, shutdown.clone())?;
        }
        // Commands are answered to the end, so that operators see who is left.
        let (answered, answers) = Stopper::new();
        let monitors = monitored.iter().map(|(address, _)| *address).collect();
        for (_, socket) in monitored {
            self.system.spawn.task(Box::pin(metrics::serve(socket, Arc::clone(&meters), answers.clone())));
        }
        let facts = Facts::of(&self, &listeners, (monitors, meters, remarks), shutdown.clone());
        self.system.spawn.task(Box::pin(admin::serve(admin, &self, facts, answers)));
        self.system.spawn.task(Box::pin(self.backends.clone().tend(shutdown.clone())));
        let serving = listeners.run(&self, &shutdown);
        ready();
        tracing::info!(
            node = %self.config.node.name,
            stores = self.local.len(),
            millis = self.system.clock.instant().saturating_duration_since(self.started).as_millis(),
            "the node serves"
        );
        shutdown.draining().await;
        let span = self.settings.borrow().node.stop_span;
        self.cut_after(stopper, span);
        serving.await;
        self.backends.hang_up().await;
        if let Some(queue) = &self.queue {
            queue.close().await;
        }
        for store in &self.local {
            store.close().await;
        }
        answered.drain();
        // Best effort: the next start replaces it.
        let _ = std::fs::remove_file(&self.config.admin.socket);
        tracing::info!(node = %self.config.node.name, "the node has stopped");
        Ok(())
    }

    /// Sessions that have not ended by then are cut.
    fn cut_after(&self, stopper: Stopper, span: Duration) {
        let over = self.system.clock.sleep(span);
        self.system.spawn.task(Box::pin(async move {
            over.await;
            stopper.cut();
        }));
    }
}

/// The engine that the configuration names, knowing the stores of this node.
async fn open_directory(config: &Config) -> Result<(Arc<dyn Engine>, Option<DirectoryFile>), NodeError> {
    match &config.directory.engine {
        DirectoryEngine::Embedded { folder: path } => {
            folder(path)?;
            let opened = EmbeddedEngine::open(&path.join("directory.redb"));
            let engine = Arc::new(opened.map_err(|source| NodeError::Directory { path: path.clone(), source })?);
            register::stores(&*engine, config).await?;
            Ok((engine, None))
        }
        DirectoryEngine::File { path } => {
            let (file, engine) = directory_file::open(path)?;
            let missing = register::missing(&*engine, config).await?;
            match missing.is_empty() {
                true => Ok((engine, Some(file))),
                false => Err(NodeError::NotNamed { path: path.clone(), missing }),
            }
        }
    }
}

/// Makes a folder that only we can read.
fn folder(path: &std::path::Path) -> Result<(), NodeError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| NodeError::Folder { path: path.to_owned(), source })
}
