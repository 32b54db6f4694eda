//! LIST in its basic and extended form (RFC 9051 §9 `list`, RFC 5258 §6, RFC 5819 §4).

use super::cursor::{Cursor, Fault, Parsed};
use crate::list::{ListCommand, ListReturn, ListSelection, StatusItem};

pub(super) fn list(cursor: &mut Cursor<'_>) -> Parsed<ListCommand> {
    let selection = if cursor.peek() == Some(b'(') {
        let selection = selection(cursor)?;
        cursor.sp()?;
        Some(selection)
    } else {
        None
    };
    let reference = cursor.reference()?;
    cursor.sp()?;
    let patterns = if cursor.peek() == Some(b'(') {
        cursor.list(PATTERN_COUNT_MAX, Cursor::pattern)?
    } else {
        vec![cursor.pattern()?]
    };
    if patterns.is_empty() {
        return Err(Fault::Bad("LIST without a pattern"));
    }
    let returns = if cursor.more() { Some(returns(cursor)?) } else { None };
    Ok(ListCommand { selection, reference, patterns, returns })
}

fn selection(cursor: &mut Cursor<'_>) -> Parsed<ListSelection> {
    let mut selection = ListSelection::default();
    cursor.list(OPTION_COUNT_MAX, |cursor| {
        match cursor.keyword()?.as_str() {
            "SUBSCRIBED" => selection.subscribed = true,
            "REMOTE" => selection.remote = true,
            "RECURSIVEMATCH" => selection.recursive_match = true,
            "SPECIAL-USE" => selection.special_use = true,
            _ => return Err(Fault::Bad("no such selection option of LIST")),
        }
        Ok(())
    })?;
    // RFC 5258 §3.1: RECURSIVEMATCH needs something to match recursively.
    if selection.recursive_match && !selection.subscribed && !selection.special_use {
        return Err(Fault::Bad("RECURSIVEMATCH stands beside SUBSCRIBED or SPECIAL-USE"));
    }
    Ok(selection)
}

fn returns(cursor: &mut Cursor<'_>) -> Parsed<ListReturn> {
    if cursor.keyword()? != "RETURN" {
        return Err(Fault::Bad("LIST ends with RETURN, or with its patterns"));
    }
    cursor.sp()?;
    let mut returns = ListReturn::default();
    cursor.list(OPTION_COUNT_MAX, |cursor| {
        match cursor.keyword()?.as_str() {
            "SUBSCRIBED" => returns.subscribed = true,
            "CHILDREN" => returns.children = true,
            "SPECIAL-USE" => returns.special_use = true,
            "STATUS" => {
                cursor.sp()?;
                returns.status = status_items(cursor)?;
            }
            _ => return Err(Fault::Bad("no such return option of LIST")),
        }
        Ok(())
    })?;
    Ok(returns)
}

/// `(MESSAGES UNSEEN)`, each once.
pub(super) fn status_items(cursor: &mut Cursor<'_>) -> Parsed<Vec<StatusItem>> {
    let mut items = Vec::new();
    cursor.list(STATUS_ITEM_COUNT_MAX, |cursor| {
        let item = StatusItem::from_name(&cursor.keyword()?).ok_or(Fault::Bad("no such item of STATUS"))?;
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    if items.is_empty() { Err(Fault::Bad("STATUS without an item")) } else { Ok(items) }
}

/// Ours: clients ask for two or three.
const PATTERN_COUNT_MAX: usize = 32;
/// Ours: there are fewer.
const OPTION_COUNT_MAX: usize = 16;
/// Ours: there are fewer.
const STATUS_ITEM_COUNT_MAX: usize = 32;
