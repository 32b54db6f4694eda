//! What the directory knows of those who log in.

use directory::{Engine, Live, Origin, Routing, SecretRecord, read_secret};
use mail_types::Address;
use ports::BoxFuture;
use std::sync::Arc;

/// Where accounts and their password hashes are looked up.
pub trait Accounts: Send + Sync {
    /// Routing as it is now. A copy that was never loaded answers every question with "unavailable".
    fn routing(&self) -> Arc<Routing>;

    /// The password hashes of one account.
    fn secret<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Origin<SecretRecord>>;
}

/// Accounts in the directory itself: routing from the copy in memory, hashes one at a time from the engine.
pub struct DirectoryAccounts {
    live: Arc<Live>,
    engine: Arc<dyn Engine>,
}

impl DirectoryAccounts {
    /// Asks this copy and this engine.
    pub fn new(live: Arc<Live>, engine: Arc<dyn Engine>) -> Self {
        Self { live, engine }
    }
}

impl Accounts for DirectoryAccounts {
    fn routing(&self) -> Arc<Routing> {
        self.live.routing()
    }

    fn secret<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Origin<SecretRecord>> {
        Box::pin(read_secret(&*self.engine, address))
    }
}
