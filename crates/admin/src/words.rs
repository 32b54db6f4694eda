//! The JSON words of the API, for both of its ends.

use crate::state::NodeFacts;
use directory::RouteJson;
use directory::import::ImportReport;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorJson {
    /// What is wrong, in a sentence for an operator.
    pub error: String,
    /// The field of the request that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The same request may be granted later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub temporary: bool,
}

/// A page of records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListJson {
    /// The records, each with its `revision`.
    pub items: Vec<Value>,
    /// Records that cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableJson>,
    /// What to give as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableJson {
    /// Its key.
    pub key: String,
    /// Why.
    pub error: String,
}

/// What a change of rules, a domain or the site keeps where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinsJson {
    /// How many accounts were pinned, or would be.
    pub pinned: usize,
    /// The first of them: `address stays at store`.
    pub first: Vec<String>,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// What an operator should know of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What `POST /v1/route` is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteQuestion {
    /// Addresses, or login names.
    pub addresses: Vec<String>,
    /// Whether they log in; else mail is delivered to them.
    #[serde(default)]
    pub login: bool,
    /// The address of the node that a client has connected to, where names log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<std::net::IpAddr>,
}

/// What it answers, in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteAnswer {
    /// An answer for each.
    pub routes: Vec<RouteJson>,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportJson {
    /// The lists, cut after [`crate::REPORT_LINES_MAX`] lines each.
    #[serde(flatten)]
    pub report: ImportReport,
    /// How many lines were cut off.
    #[serde(default)]
    pub left_out: usize,
    /// Why nothing was written, where that was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far the running import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressJson {
    /// Whether there is one.
    pub running: bool,
    /// Records written.
    pub done: usize,
    /// Records that the file has; 0 while it is being read.
    pub total: usize,
}

/// What `GET /v1/status` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusJson {
    /// The node.
    #[serde(flatten)]
    pub node: NodeFacts,
    /// Its copy of the directory.
    pub directory: DirectoryJson,
}

/// A node's copy of the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryJson {
    /// As of which revision; `null` while nothing was loaded.
    pub revision: Option<u64>,
    /// Whether the engine answers now; else the copy goes on.
    pub reachable: bool,
    /// How many domains it has.
    pub domains: usize,
    /// How many rules.
    pub rules: usize,
    /// How many stores.
    pub stores: usize,
    /// Records that cannot be read, the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableJson>,
}
