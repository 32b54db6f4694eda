//! What a node says of itself in the directory when it starts.

use crate::config::Config;
use directory::engine::{Engine, Revision};
use directory::{EditError, Editor, Record, RuleChange, SiteRecord, StoreKind, StoreRecord};

/// Enters the stores that the directory does not know, and the default store of a site that names none. What is there
/// stays as it is: operators may have changed it.
pub(super) async fn stores(engine: &dyn Engine, config: &Config) -> Result<(), EditError> {
    let editor = Editor::new(engine);
    for store in &config.stores {
        let node = config.node.name.clone();
        match editor.find::<StoreRecord>(store.name.as_str()).await? {
            None => {
                let kind = StoreKind::Posthouse { node };
                editor.add_store(&StoreRecord { name: store.name.clone(), kind, closed: false }).await?;
                tracing::info!(store = %store.name, "entered into the directory");
            }
            Some(known) if known.record.kind != (StoreKind::Posthouse { node }) => {
                tracing::warn!(store = %store.name, "the directory says that another node or back-end serves this store: nothing is taken here until `posthouse store set` names this node");
            }
            Some(_) => {}
        }
    }
    let Some(default) = &config.directory.default_store else { return Ok(()) };
    let (site, seen) = match editor.find::<SiteRecord>("").await? {
        Some(known) => (known.record, known.revision),
        None => (SiteRecord::default(), Revision::ZERO),
    };
    if site.default_store.is_some() {
        return Ok(());
    }
    if editor.find::<StoreRecord>(default.as_str()).await?.is_none() {
        // A node without stores comes before the stores that it is to find.
        tracing::warn!(store = %default, "the directory does not know the default store yet; it becomes the default when this node starts after `posthouse store add`");
        return Ok(());
    }
    let site = SiteRecord { default_store: Some(default.clone()), ..site };
    editor.change_rules(&RuleChange::SetSite(site, seen)).await?;
    Ok(())
}

/// What a directory that this node may not write does not say of it, a line each; empty if nothing.
pub(super) async fn missing(engine: &dyn Engine, config: &Config) -> Result<String, EditError> {
    let (editor, node) = (Editor::new(engine), &config.node.name);
    let mut missing = String::new();
    for store in &config.stores {
        let wanted = StoreRecord::posthouse(store.name.clone(), node.clone());
        let known = editor.find::<StoreRecord>(store.name.as_str()).await?.map(|known| known.record.kind);
        let why = match known {
            Some(kind) if kind == wanted.kind => continue,
            Some(StoreKind::Posthouse { node }) => format!("store {} is of node {node} there", store.name),
            Some(StoreKind::Foreign { hosts, .. }) => {
                let hosts: Vec<String> = hosts.iter().map(|at| at.host.to_string()).collect();
                format!("store {} is at {} there", store.name, hosts.join(", "))
            }
            None => format!("store {} is not there", store.name),
        };
        let value = String::from_utf8_lossy(&wanted.encode()).into_owned();
        missing += &format!("\n  {why}; the line would be\n  {{\"key\":\"{}\",\"value\":{value}}}", wanted.key());
    }
    Ok(missing)
}
