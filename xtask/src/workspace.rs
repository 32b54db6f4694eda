//! The workspace as its manifests describe it.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The repository and its members.
pub(crate) struct Workspace {
    root: PathBuf,
    members: BTreeMap<String, Member>,
}

/// One package of the workspace.
pub(crate) struct Member {
    /// Its folder, relative to the root.
    pub(crate) folder: PathBuf,
    /// Its manifest.
    pub(crate) manifest: toml::Table,
    /// The manifest's text, for what stands in comments.
    pub(crate) manifest_text: String,
}

impl Workspace {
    /// The workspace that this program belongs to.
    pub(crate) fn find() -> Result<Self> {
        let start = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let root = start.ancestors().find(|folder| is_root(folder)).context("no workspace above this folder")?;
        Self::read(root)
    }

    /// The workspace in a folder.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let manifest: toml::Table = read(&root.join("Cargo.toml"))?.parse().context("the root Cargo.toml")?;
        let patterns =
            manifest.get("workspace").and_then(|table| table.get("members")).and_then(|list| list.as_array());
        let mut members = BTreeMap::new();
        for pattern in patterns.context("the root Cargo.toml names no members")? {
            for folder in expand(root, pattern.as_str().context("a member that is no text")?)? {
                let member = Member::read(root, folder)?;
                members.insert(member.name()?.to_owned(), member);
            }
        }
        Ok(Self { root: root.to_owned(), members })
    }

    /// The folder of the repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Every package by name.
    pub(crate) fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }

    /// All files below a folder whose name ends so, relative to the root, in order.
    pub(crate) fn files(&self, below: &Path, ending: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut folders = vec![below.to_owned()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = self.root.join(&folder).read_dir() else { continue };
            for entry in entries {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type()?.is_dir() {
                    if name != "target" && (!name.starts_with('.') || name == ".ci") {
                        folders.push(path);
                    }
                } else if name.ends_with(ending) {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// A file of the repository.
    pub(crate) fn text(&self, path: &Path) -> Result<String> {
        read(&self.root.join(path))
    }
}

impl Member {
    fn read(root: &Path, folder: PathBuf) -> Result<Self> {
        let manifest_text = read(&root.join(&folder).join("Cargo.toml"))?;
        let manifest = manifest_text.parse().with_context(|| format!("{}/Cargo.toml", folder.display()))?;
        Ok(Self { folder, manifest, manifest_text })
    }

    fn name(&self) -> Result<&str> {
        let name = self.manifest.get("package").and_then(|package| package.get("name")).and_then(|name| name.as_str());
        name.with_context(|| format!("{} has no name", self.folder.display()))
    }
}

fn is_root(folder: &Path) -> bool {
    std::fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.contains("[workspace]"))
}

/// `crates/*` gives every folder with a manifest there; a plain name gives itself.
fn expand(root: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let Some(parent) = pattern.strip_suffix("/*") else { return Ok(vec![pattern.into()]) };
    if parent.contains('*') {
        bail!("members = \"{pattern}\": only a star at the end is understood");
    }
    let mut folders = Vec::new();
    for entry in root.join(parent).read_dir().with_context(|| format!("cannot list {parent}"))? {
        let folder = Path::new(parent).join(entry?.file_name());
        if root.join(&folder).join("Cargo.toml").is_file() {
            folders.push(folder);
        }
    }
    Ok(folders)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
