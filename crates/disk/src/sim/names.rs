//! The names of a simulated disk, and what happens to them that is not durable yet.

use crate::path::parent;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Dir,
    File(u64),
}

/// All paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    paths: BTreeMap<String, Node>,
}

/// What was done to names. A rename is one change: it happens or it does not.
#[derive(Clone, Debug)]
pub(crate) enum NameChange {
    Put(String, Node),
    Take(String),
    Move(String, String, Node),
}

impl NameChange {
    /// Whether syncing a directory makes this durable.
    pub(crate) fn is_in(&self, dir: &str) -> bool {
        match self {
            Self::Put(path, _) | Self::Take(path) => parent(path) == dir,
            Self::Move(from, to, _) => parent(from) == dir || parent(to) == dir,
        }
    }
}

impl Names {
    pub(crate) fn node(&self, path: &str) -> Option<Node> {
        if path.is_empty() { Some(Node::Dir) } else { self.paths.get(path).copied() }
    }

    pub(crate) fn file(&self, path: &str) -> io::Result<u64> {
        match self.node(path) {
            Some(Node::File(number)) => Ok(number),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn dir(&self, path: &str) -> io::Result<()> {
        match self.node(path) {
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn list(&self, dir: &str) -> Vec<String> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let below =
            self.paths.range(prefix.clone()..).map(|(path, _)| path).take_while(|path| path.starts_with(&prefix));
        let inside = below.filter(|path| parent(path) == dir);
        inside.map(|path| path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name).to_owned()).collect()
    }

    pub(crate) fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::Put(path, node) => drop(self.paths.insert(path.clone(), *node)),
            NameChange::Take(path) => drop(self.paths.remove(path)),
            NameChange::Move(from, to, node) => {
                self.paths.remove(from);
                self.paths.insert(to.clone(), *node);
            }
        }
    }

    /// Forgets what is in directories that are not there.
    pub(crate) fn drop_orphans(&mut self) {
        let dirs: BTreeSet<String> =
            self.paths.iter().filter(|(_, node)| **node == Node::Dir).map(|(path, _)| path.clone()).collect();
        let there = |dir: &str| dir.is_empty() || dirs.contains(dir);
        self.paths.retain(|path, _| {
            let mut dir = parent(path);
            loop {
                if !there(dir) {
                    return false;
                }
                if dir.is_empty() {
                    return true;
                }
                dir = parent(dir);
            }
        });
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = u64> {
        self.paths.values().filter_map(|node| match node {
            Node::File(number) => Some(*number),
            Node::Dir => None,
        })
    }
}
