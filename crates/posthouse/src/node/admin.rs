//! The socket on which commands reach this node.

use super::{Node, NodeError};
use net::Shutdown;
use std::path::Path;
use tokio::net::UnixListener;

pub(super) fn bind(socket: &Path) -> Result<UnixListener, NodeError> {
    let failed = |source| NodeError::Admin { path: socket.to_owned(), source };
    // What a crash left: nobody else can have it, or the stores would not have opened.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    UnixListener::bind(socket).map_err(failed)
}

pub(super) fn serve(listener: UnixListener, node: &Node, shutdown: Shutdown) -> impl Future<Output = ()> + use<> {
    let _ = node;
    async move {
        shutdown.draining().await;
        drop(listener)
    }
}
