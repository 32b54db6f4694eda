//! From root, who may bind port 25, to a user who may do nothing beyond the node's own files.

use crate::config;
use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgid, getuid, setgid, setgroups, setuid};

/// Why a node that was told to run as another user does not start.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// The system knows no such user or group.
    #[error("node.{key} = {name:?}: this machine knows no such {key}")]
    Unknown {
        /// `user` or `group`.
        key: &'static str,
        /// Its name.
        name: String,
    },
    /// The system does not say.
    #[error("node.{key} = {name:?} cannot be looked up")]
    LookUp {
        /// `user` or `group`.
        key: &'static str,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Errno,
    },
    /// Only root can become somebody else.
    #[error("node.user = {name:?}: to become that user, the node must be started by root, or by the user itself")]
    NotRoot {
        /// The user.
        name: String,
    },
    /// The system refuses.
    #[error("cannot give up {what}")]
    Refused {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: Errno,
    },
    /// The system says that it has done so, and has not.
    #[error("the privileges of root were given up, and are still there")]
    Kept,
}

/// Whether the process could do anything.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// Becomes the user and group that the configuration names, for good and with all threads: those calls of the C library
/// do not return before every thread of the process has made them (nptl(7)).
pub(super) fn give_up(node: &config::Node) -> Result<(), PrivilegeError> {
    let Some(name) = &node.user else { return Ok(()) };
    let user = look_up("user", name, User::from_name)?;
    let group = match &node.group {
        Some(name) => look_up("group", name, Group::from_name)?.gid,
        None => user.gid,
    };
    if !is_root() {
        // A service manager has done it.
        let is_there = geteuid() == user.uid && getegid() == group;
        return if is_there { Ok(()) } else { Err(PrivilegeError::NotRoot { name: name.clone() }) };
    }
    if user.uid.is_root() {
        return Ok(());
    }
    become_user(user.uid, group)?;
    tracing::info!(user = name, uid = user.uid.as_raw(), gid = group.as_raw(), "the privileges of root are given up");
    Ok(())
}

fn look_up<T>(key: &'static str, name: &str, ask: fn(&str) -> Result<Option<T>, Errno>) -> Result<T, PrivilegeError> {
    match ask(name) {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(PrivilegeError::Unknown { key, name: name.to_owned() }),
        Err(source) => Err(PrivilegeError::LookUp { key, name: name.to_owned(), source }),
    }
}

/// In this order: without the user of root the rest could not be given up any more.
fn become_user(uid: Uid, gid: Gid) -> Result<(), PrivilegeError> {
    let refused = |what| move |source| PrivilegeError::Refused { what, source };
    setgroups(&[]).map_err(refused("the supplementary groups"))?;
    setgid(gid).map_err(refused("the group"))?;
    setuid(uid).map_err(refused("the user"))?;
    let is_done = getuid() == uid && geteuid() == uid && getgid() == gid && getegid() == gid;
    // The saved ids would let us back.
    let is_final = setuid(Uid::from_raw(0)).is_err() && setgid(Gid::from_raw(0)).is_err();
    if is_done && is_final { Ok(()) } else { Err(PrivilegeError::Kept) }
}
