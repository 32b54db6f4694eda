//! What the role is given by the world, and what its handlers share.

use crate::error::ApiError;
use crate::imports::Running;
use crate::queue::{MailQueue, QueueFacts};
use crate::sessions::Sessions;
use directory::engine::Revision;
use directory::{Editor, Engine, Live, MailBehind, Routing};
use mail_types::AccountId;
use ports::{BoxFuture, Clock, Random, Spawn};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// What the role is given by the world.
#[derive(Clone)]
pub struct AdminState {
    /// Where records are kept.
    pub engine: Arc<dyn Engine>,
    /// The copy that this node routes by. Somebody drives a [`directory::Follower`] for it.
    pub live: Arc<Live>,
    /// Knows whether a store holds mail of an address.
    pub mail: Arc<dyn MailBehind>,
    /// Knows the node.
    pub node: Arc<dyn NodeStatus>,
    /// Knows who is connected.
    pub sessions: Arc<dyn Sessions>,
    /// The retry queue of its relay, where it has one.
    pub queue: Option<Arc<dyn MailQueue>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Account ids and salts.
    pub random: Arc<dyn Random>,
    /// The pool that hashes passwords and reads files.
    pub spawn: Arc<dyn Spawn>,
}

/// Knows what this node runs.
pub trait NodeStatus: Send + Sync {
    /// The facts as they are now.
    fn facts(&self) -> BoxFuture<'_, NodeFacts>;

    /// Its counters, in the text format of Prometheus.
    fn metrics(&self) -> BoxFuture<'_, String>;

    /// In which domain a bare login name is for clients that connected to this address, if it has a form of its own.
    fn login_domain(&self, local: std::net::IpAddr) -> Option<mail_types::Domain>;
}

/// What a node runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// When it was started, in seconds since 1970.
    pub started: i64,
    /// Serving, or draining: told to stop, while sessions end.
    #[serde(default)]
    pub state: NodeState,
    /// How many are connected to it.
    #[serde(default)]
    pub sessions: usize,
    /// Its roles, as in `relay`.
    pub roles: Vec<String>,
    /// Where it listens.
    pub listeners: Vec<ListenerFacts>,
    /// The stores that it serves.
    pub stores: Vec<StoreFacts>,
    /// The retry queue of its relay, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueFacts>,
    /// Why its copy of the directory is behind what it reads, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory_trouble: Option<String>,
    /// The maps that it reads live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<MapFacts>,
    /// The back-ends that sessions are led to, host by host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub back_ends: Vec<BackEndFacts>,
    /// What its configuration asks for and the directory does not let be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<RemarkFacts>,
    /// Accounts that are elsewhere than a map says, a hundred of them at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub map_differences: Vec<String>,
    /// How many such accounts there are.
    #[serde(default)]
    pub map_difference_count: usize,
}

/// Something that a node was told to do and does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemarkFacts {
    /// What, as in `not offered: EXTERNAL`.
    pub about: String,
    /// Why not.
    pub text: String,
}

/// A host of a back-end, by one protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackEndFacts {
    /// The store that it is in the directory.
    pub store: String,
    /// As in `imap`.
    pub protocol: String,
    /// With its port; empty where the store cannot be called at all.
    pub host: String,
    /// How it was when it was last called.
    pub state: BackEndState,
    /// How often it gave no word.
    pub failures: u64,
    /// When it last gave none, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a host of a back-end was when it was last called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackEndState {
    /// It answered.
    Up,
    /// It did not.
    LeftAlone,
    /// It was not called yet.
    Unknown,
}

/// A map that a node reads live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapFacts {
    /// Its file.
    pub path: String,
    /// How it is written, as in `aliases`.
    pub kind: String,
    /// How many entries are in service; `None` where it was never read, so that mail waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<usize>,
    /// Lines that say what the directory has no place for.
    #[serde(default)]
    pub ignored: usize,
    /// Aliases that lead out of the site.
    #[serde(default)]
    pub remote: usize,
    /// Why the file that is there is not the one in service, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// How far a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Whoever connects is served.
    #[default]
    Serving,
    /// It was told to stop: nobody new comes in, those who are there end what they do.
    Draining,
}

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerFacts {
    /// What for, as in `imaps`.
    pub name: String,
    /// Address and port.
    pub address: String,
    /// The store that answers there, where it is that of one store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// A store that a node serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFacts {
    /// Its name.
    pub name: String,
    /// How many accounts have mailboxes there; `None` where it does not answer.
    #[serde(default)]
    pub accounts: Option<u64>,
    /// What is wrong with it, if something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

struct Shared {
    world: AdminState,
    import: Running,
}

impl Api {
    pub(crate) fn new(world: AdminState) -> Self {
        Self(Arc::new(Shared { world, import: Running::default() }))
    }

    pub(crate) fn world(&self) -> &AdminState {
        &self.0.world
    }

    pub(crate) fn import(&self) -> &Running {
        &self.0.import
    }

    pub(crate) fn editor(&self) -> Editor<'_> {
        Editor::new(self.world().engine.as_ref())
    }

    /// The copy that this node routes by.
    pub(crate) fn routing(&self) -> Arc<Routing> {
        self.world().live.routing()
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.world().clock.now().secs()
    }

    pub(crate) fn fresh_id(&self) -> AccountId {
        fresh_id(self.world().random.as_ref())
    }

    /// Runs what takes a while on the pool.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let done = ports::blocking(self.world().spawn.as_ref(), work);
        done.await.ok_or_else(|| ApiError::temporary("the node is stopping"))
    }

    /// Waits until this node routes by what was committed, so that whoever was answered and asks for a route gets it.
    ///
    /// A copy that hangs behind is no reason to refuse what is written: after [`SETTLE_TRIES`] the answer goes out.
    pub(crate) async fn settle(&self, revision: Revision) {
        self.settle_until(|routing| routing.revision() >= Some(revision)).await;
    }

    /// The same for a change that shows in the copy itself.
    pub(crate) async fn settle_until(&self, shows: impl Fn(&Routing) -> bool) {
        for _ in 0..SETTLE_TRIES {
            if shows(&self.routing()) {
                return;
            }
            self.world().clock.sleep(SETTLE_STEP).await;
        }
        tracing::info!("this node's copy of the directory hangs behind a change");
    }
}

pub(crate) fn fresh_id(random: &dyn Random) -> AccountId {
    let mut octets = [0; 16];
    random.fill(&mut octets);
    AccountId::from_bytes(octets)
}

/// One second in all.
const SETTLE_TRIES: usize = 200;
const SETTLE_STEP: Duration = Duration::from_millis(5);
