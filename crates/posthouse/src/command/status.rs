//! `posthouse status`

use super::Run;
use super::client::{Client, Target};
use super::failure::Failure;
use super::screen::Screen;
use super::table::{plain, sheet};
use admin::{BackEndFacts, BackEndState, ListenerFacts, MapFacts, NodeState, QueueFacts, StatusJson, StoreFacts};
use mail_types::UnixTime;

/// `posthouse status`
#[derive(Debug, clap::Args)]
pub struct Status {
    /// As JSON, one object.
    #[arg(long)]
    json: bool,
}

impl Run for Status {
    async fn run(self, node: &Client, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        let status: StatusJson = node.get(Target::of("status")).await?;
        match self.json {
            true => screen.say(serde_json::to_string(&status).expect("texts and numbers are valid JSON"))?,
            false => sheet(&lines(&status)).iter().try_for_each(|line| screen.say(line))?,
        }
        for flaw in &status.directory.unreadable {
            screen.remark(format_args!("posthouse: {} cannot be read: {}", plain(&flaw.key), plain(&flaw.error)))?;
        }
        for difference in &status.node.map_differences {
            screen.remark(format_args!("posthouse: {}", plain(difference)))?;
        }
        let (told, all) = (status.node.map_differences.len(), status.node.map_difference_count);
        if all > told {
            screen.remark(format_args!("posthouse: and {} more accounts are elsewhere than a map says", all - told))?;
        }
        Ok(0)
    }
}

fn lines(status: &StatusJson) -> Vec<(String, String)> {
    let StatusJson { node, directory } = status;
    let mut lines = vec![
        ("node".to_owned(), format!("{}, version {}", node.name, node.version)),
        ("running since".to_owned(), UnixTime::from_secs(node.started).to_string()),
        ("state".to_owned(), state(node.state, node.sessions)),
        ("roles".to_owned(), node.roles.join(", ")),
    ];
    for ListenerFacts { name, address, store } in &node.listeners {
        let store = store.as_ref().map(|store| format!(" (store {store})")).unwrap_or_default();
        lines.push((format!("listens {name}"), format!("{address}{store}")));
    }
    for StoreFacts { name, accounts, trouble } in &node.stores {
        let mut text =
            accounts.map_or("does not answer".to_owned(), |count| format!("{count} accounts with mailboxes"));
        if let Some(trouble) = trouble {
            text = format!("{text}; {trouble}");
        }
        lines.push((format!("store {name}"), text));
    }
    if let Some(queue) = &node.queue {
        let QueueFacts { messages, recipients, held, oldest } = queue;
        let mut text = format!("messages {messages}, recipients {recipients}, held {held}");
        if let Some(oldest) = oldest {
            text = format!("{text}; the oldest since {}", UnixTime::from_secs(*oldest));
        }
        lines.push(("retry queue".to_owned(), text));
    }
    let away = if directory.reachable { "" } else { "; does not answer, the copy goes on" };
    let copy = match directory.revision {
        Some(revision) => format!(
            "domains {}, rules {}, stores {} (revision {revision}){away}",
            directory.domains, directory.rules, directory.stores
        ),
        None => format!("not loaded yet{away}"),
    };
    lines.push(("directory".to_owned(), copy));
    if let Some(trouble) = &node.directory_trouble {
        lines.push(("directory file".to_owned(), format!("{trouble}; what was read before stays in service")));
    }
    lines.extend(node.back_ends.iter().map(|host| (format!("back-end {}", host.store), of_back_end(host))));
    lines.extend(node.remarks.iter().map(|remark| (remark.about.clone(), remark.text.clone())));
    lines.extend(node.maps.iter().map(|map| (format!("{} {}", map.kind, map.path), of_map(map))));
    lines
}

fn of_back_end(host: &BackEndFacts) -> String {
    let BackEndFacts { protocol, host, state, failed, why, .. } = host;
    if host.is_empty() {
        return format!("{protocol} cannot be called: {}", why.as_deref().unwrap_or("it has no host"));
    }
    let state = match (state, failed) {
        (BackEndState::Up, _) => "answers",
        (BackEndState::LeftAlone, _) => "does not answer",
        (BackEndState::Unknown, None) => "not called yet",
        // What failed may have been the matter of one client: nobody leaves it alone for that.
        (BackEndState::Unknown, Some(_)) => "has not answered yet",
    };
    let last = failed
        .zip(why.as_deref())
        .map_or_else(String::new, |(at, why)| format!("; last failure {}: {why}", UnixTime::from_secs(at)));
    format!("{protocol} at {host} {state}{last}")
}

fn of_map(map: &MapFacts) -> String {
    let mut ignored =
        if map.ignored > 0 { format!(", {} lines deserve a look (see the log)", map.ignored) } else { String::new() };
    if map.remote > 0 {
        ignored += &format!(", {} lead out of the site", map.remote);
    }
    match (map.entries, &map.trouble) {
        (Some(entries), None) => format!("entries {entries}{ignored}"),
        (Some(entries), Some(trouble)) => {
            format!("entries {entries}{ignored}; {trouble}; what was read before stays in service")
        }
        (None, trouble) => {
            let why = trouble.as_deref().unwrap_or("not read yet");
            format!("{why}; until it is read, mail waits: any address may be in it")
        }
    }
}

fn state(state: NodeState, sessions: usize) -> String {
    let plural = if sessions == 1 { "" } else { "s" };
    match state {
        NodeState::Serving => format!("serving, {sessions} session{plural}"),
        NodeState::Draining => format!("draining, {sessions} session{plural} left"),
    }
}
