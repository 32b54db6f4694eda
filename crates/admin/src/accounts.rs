//! Accounts.

use crate::error::ApiError;
use crate::passwords::{self, HASHES, PASSWORD};
use crate::records::{ListQuery, note, page, refuse_other_revision, with_revision};
use crate::request::{Asked, Fields, Name, fields_of};
use crate::state::Api;
use crate::words::ListJson;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use directory::engine::Revision;
use directory::{AccountRecord, NewAccount, Origin, PlacementRecord, Routing, Shown, Silent};
use mail_types::{Address, StoreName};
use serde_json::{Value, json};

pub(crate) async fn list(State(api): State<Api>, Asked(query): Asked<ListQuery>) -> Result<Json<ListJson>, ApiError> {
    let routing = api.routing();
    page::<AccountRecord>(&api, query, |account, revision| {
        let store = store_by(&routing, &account.address);
        shown(account, revision, store)
    })
    .await
}

pub(crate) async fn show(State(api): State<Api>, Name(name): Name) -> Result<Json<Value>, ApiError> {
    let Shown { record, revision } = api.editor().show::<AccountRecord>(&name).await?;
    // Written a moment ago, the placement may not be in the copy yet.
    let placement = api.editor().find::<PlacementRecord>(&record.address.to_string()).await?;
    let store = match placement {
        Some(placed) => Some(placed.record.store),
        None => store_by(&api.routing(), &record.address),
    };
    let schemes: Vec<String> = match directory::read_secret(api.world().engine.as_ref(), &record.address).await {
        Origin::Found(secret) => secret.passwords.iter().map(|hash| hash.scheme().to_owned()).collect(),
        Origin::NotFound => Vec::new(),
        Origin::Unavailable => return Err(ApiError::temporary("the passwords of the account cannot be read")),
    };
    let mut account = shown(record, revision, store);
    put(&mut account, "passwords", schemes.into());
    Ok(Json(account))
}

/// Adds a member to what is shown of a record, which is an object.
fn put(shown: &mut Value, name: &str, value: Value) {
    if let Some(members) = shown.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// Makes an account where the rules say, or at `store`.
pub(crate) async fn add(State(api): State<Api>, fields: Fields) -> Result<(StatusCode, Json<Value>), ApiError> {
    let mut fields =
        fields.only(&["address", "state", "quota_bytes", "quota_messages", "forward", "store", PASSWORD, HASHES])?;
    let store = fields.take_text("store")?.map(|name| StoreName::parse(&name)).transpose();
    let store = store.map_err(|error| ApiError::field("store", error))?;
    let passwords = passwords::take(&api, &mut fields).await?.unwrap_or_default();
    fields.put("id", api.fresh_id().to_string());
    fields.put("created", api.now());
    let new = NewAccount { account: fields.record()?, passwords, store };
    let placed = api.editor().add_account(&new).await.map_err(ApiError::of_request::<AccountRecord>)?;
    note::<AccountRecord>("added", &new.account.address);
    api.settle(placed.revision).await;
    let mut answer = shown(new.account, placed.revision, Some(placed.store));
    put(&mut answer, "steps", placed.steps.sentences().into());
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Changes an account. Another `address` renames it, which is a change of its own.
pub(crate) async fn set(State(api): State<Api>, name: Name, fields: Fields) -> Result<Json<Value>, ApiError> {
    let known = ["address", "state", "quota_bytes", "quota_messages", "forward", "revision", PASSWORD, HASHES];
    let mut fields = fields.only(&known)?;
    let Shown { record, revision } = api.editor().show::<AccountRecord>(&name.0).await?;
    refuse_other_revision::<AccountRecord>(&name.0, &mut fields, revision)?;
    if let Some(to) = fields.take_text("address")? {
        return rename(&api, &record.address, &to, &fields).await;
    }
    // All is checked before anything is written; the password, which is the more urgent, goes first.
    let passwords = passwords::take(&api, &mut fields).await?;
    let changes = (!fields.is_empty()).then(|| fields.over(&record, &[])).transpose()?;
    if let Some(passwords) = passwords {
        api.editor().set_passwords(&record.address, passwords).await?;
        note::<AccountRecord>("given new passwords", &record.address);
    }
    if let Some(account) = changes {
        let revision = api.editor().set_account(&account, revision).await?;
        note::<AccountRecord>("changed", &record.address);
        api.settle(revision).await;
    }
    show(State(api), name).await
}

async fn rename(api: &Api, from: &Address, to: &str, others: &Fields) -> Result<Json<Value>, ApiError> {
    if !others.is_empty() {
        return Err(ApiError::field("address", "a rename is a change of its own: leave the other fields out"));
    }
    let to = Address::parse(to).map_err(|error| ApiError::field("address", error))?;
    let renamed = api.editor().rename_account(from, &to).await;
    let revision = renamed.map_err(ApiError::of_request::<AccountRecord>)?;
    note::<AccountRecord>("renamed", format!("{from} to {to}"));
    api.settle(revision).await;
    show(State(api.clone()), Name(to.to_string())).await
}

/// Removes an account from the directory; says where its mail still is.
pub(crate) async fn remove(State(api): State<Api>, name: Name) -> Result<Json<Value>, ApiError> {
    let address = name.address()?;
    let placement = api.editor().find::<PlacementRecord>(&name.0).await?;
    let revision = api.editor().remove_account(&address).await?;
    note::<AccountRecord>("removed", &address);
    api.settle(revision).await;
    let store = placement.map(|placed| placed.record.store.to_string());
    Ok(Json(json!({ "removed": address.to_string(), "store": store })))
}

fn shown(account: AccountRecord, revision: Revision, store: Option<StoreName>) -> Value {
    let mut fields = fields_of(&account);
    fields.insert("store".to_owned(), store.map(|store| store.to_string()).into());
    with_revision(fields, revision)
}

/// Where an account is by this node's copy.
fn store_by(routing: &Routing, address: &Address) -> Option<StoreName> {
    routing.place_new_account(address, &mut Silent).ok()
}
