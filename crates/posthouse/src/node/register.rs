//! What a node says of itself in the directory when it starts.

use crate::config::Config;
use directory::engine::{Engine, Revision};
use directory::{EditError, Editor, RuleChange, SiteRecord, StoreKind, StoreRecord};

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
                tracing::warn!(store = %store.name, "the directory says that another node or back-end serves this store");
            }
            Some(_) => {}
        }
    }
    let Some(default) = &config.directory.default_store else { return Ok(()) };
    let (site, seen) = match editor.find::<SiteRecord>("").await? {
        Some(known) => (known.record, known.revision),
        None => (SiteRecord::default(), Revision::ZERO),
    };
    if site.default_store.is_none() {
        let site = SiteRecord { default_store: Some(default.clone()), ..site };
        editor.change_rules(&RuleChange::SetSite(site, seen)).await?;
    }
    Ok(())
}
