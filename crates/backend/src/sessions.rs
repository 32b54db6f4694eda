//! Sessions at stores of other nodes: a call, a login as the account, and from then on octets pass.

#[cfg(test)]
mod tests;
pub(crate) mod track;

use crate::breakers::{Breakers, LEFT_ALONE};
use crate::{Inside, Nodes, Reach};
use bytes::Bytes;
use imap_proto::client as imap;
use machine::Machine;
use mail_types::{NodeName, StoreName};
use pop3_proto::Mode;
use ports::{
    BoxFuture, Call, Callee, Caller, Clock, Elsewhere, Handover, ImapHandover, LoggedIn, Passage, Pop3Handover,
    SessionHandover, Track, Unavailable,
};
use std::sync::Arc;
use std::time::Duration;
use track::{ImapTrack, Pop3Track};

/// Hands sessions over to the nodes of their stores.
pub struct Sessions {
    nodes: Arc<dyn Nodes>,
    imap: Arc<dyn Caller<imap::Client>>,
    pop3: Arc<dyn Caller<pop3_proto::Client>>,
    clock: Arc<dyn Clock>,
    breakers: Arc<Breakers>,
}

/// How long a node may take from the call to its answer to the login: the client waits meanwhile, without a word.
pub const SESSION_LOGIN_MAX: Duration = Duration::from_secs(10);

/// What a node said to the login.
enum Verdict {
    /// Welcome.
    Welcome(Bytes),
    /// Another session has the maildrop.
    InUse,
    /// No. It is the caller who was refused: whether the client is who it says was found out before.
    Refused(String),
}

/// A node that a store is on.
struct There {
    name: NodeName,
    callee: Callee,
}

impl Sessions {
    /// Calls with these.
    pub fn new(
        nodes: Arc<dyn Nodes>,
        imap: Arc<dyn Caller<imap::Client>>,
        pop3: Arc<dyn Caller<pop3_proto::Client>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let breakers = Breakers::new(Arc::clone(&clock));
        Self { nodes, imap, pop3, clock, breakers }
    }

    async fn enter_imap(&self, store: &StoreName, who: &LoggedIn) -> Result<ImapHandover, Unavailable> {
        let there = self.reach(store, Inside::Imap)?;
        let login = imap::Login::External { authorization: who.address.to_string() };
        let client = imap::Client::new(login, self.clock.instant());
        let (verdict, call) = self.ask(&*self.imap, &there, who, client, of_imap).await?;
        match verdict {
            Verdict::Welcome(welcome) => {
                Ok(Handover::There(elsewhere(welcome, call, imap::Client::take_unread, ImapTrack::default())))
            }
            Verdict::InUse => Err(there.unavailable("it says that another session is in the way")),
            Verdict::Refused(why) => Err(there.unavailable(why)),
        }
    }

    async fn enter_pop3(
        &self,
        store: &StoreName,
        who: &LoggedIn,
        mode: Mode,
    ) -> Result<Option<Pop3Handover>, Unavailable> {
        let there = self.reach(store, Inside::Pop3)?;
        let login = pop3_proto::Login::External { authorization: who.address.to_string() };
        let client = pop3_proto::Client::new(login, self.clock.instant()).in_mode(mode);
        let (verdict, call) = self.ask(&*self.pop3, &there, who, client, of_pop3).await?;
        match verdict {
            Verdict::Welcome(welcome) => {
                let elsewhere = elsewhere(welcome, call, pop3_proto::Client::take_unread, Pop3Track::default());
                Ok(Some(Handover::There(elsewhere)))
            }
            Verdict::InUse => Ok(None),
            Verdict::Refused(why) => Err(there.unavailable(why)),
        }
    }

    fn reach(&self, store: &StoreName, protocol: Inside) -> Result<There, Unavailable> {
        match self.nodes.reach(store, protocol) {
            Reach::Node { name, callee } => Ok(There { name, callee }),
            Reach::Nowhere(why) => Err(Unavailable { what: format!("the store {store}"), why }),
        }
    }

    /// Calls, logs in, and hears the verdict, within [`SESSION_LOGIN_MAX`].
    async fn ask<M: Machine>(
        &self,
        caller: &dyn Caller<M>,
        there: &There,
        who: &LoggedIn,
        client: M,
        verdict: fn(M::Event) -> Verdict,
    ) -> Result<(Verdict, Box<dyn Call<M>>), Unavailable> {
        let Some(attempt) = self.breakers.attempt(&there.callee) else { return Err(there.unavailable(LEFT_ALONE)) };
        let asked = async {
            let mut call = caller.call(&there.callee, Some(who.peer), client).await?;
            match call.next().await {
                Ok(Some(event)) => Ok((verdict(event), call)),
                Ok(None) => Err(there.unavailable("it ended the conversation")),
                Err(broken) => Err(there.unavailable(broken)),
            }
        };
        let answer = tokio::select! {
            answer = asked => answer,
            () = self.clock.sleep(SESSION_LOGIN_MAX) => Err(there.unavailable("it took too long to let us in")),
        };
        match &answer {
            Ok(_) => attempt.succeeded(),
            Err(unavailable) => attempt.failed(&unavailable.why),
        }
        answer
    }
}

impl SessionHandover for Sessions {
    fn imap<'a>(&'a self, store: &'a StoreName, who: LoggedIn) -> BoxFuture<'a, Result<ImapHandover, Unavailable>> {
        Box::pin(async move { self.enter_imap(store, &who).await })
    }

    fn pop3<'a>(
        &'a self,
        store: &'a StoreName,
        who: LoggedIn,
        mode: Mode,
    ) -> BoxFuture<'a, Result<Option<Pop3Handover>, Unavailable>> {
        Box::pin(async move { self.enter_pop3(store, &who, mode).await })
    }
}

impl There {
    fn unavailable(&self, why: impl ToString) -> Unavailable {
        Unavailable { what: format!("the node {} at {}", self.name, self.callee), why: why.to_string() }
    }
}

fn of_imap(event: imap::Event) -> Verdict {
    match event {
        // A node tells what it offers in the code of its welcome.
        imap::Event::LoggedIn { welcome, .. } => Verdict::Welcome(welcome),
        // Nobody asks a node for it: TLS came first.
        imap::Event::StartTls => Verdict::Refused("it starts TLS within TLS".to_owned()),
        imap::Event::Offered => Verdict::Refused("it was asked for nothing".to_owned()),
        imap::Event::Refused { code: None, text, .. } => Verdict::Refused(format!("it refused us: {text}")),
        imap::Event::Refused { code: Some(code), text, .. } => {
            Verdict::Refused(format!("it refused us: [{code}] {text}"))
        }
        imap::Event::Closed(closing) => Verdict::Refused(closing.to_string()),
    }
}

fn of_pop3(event: pop3_proto::ClientEvent) -> Verdict {
    use pop3_proto::{ClientEvent, ResponseCode};
    match event {
        ClientEvent::LoggedIn { welcome } => Verdict::Welcome(welcome),
        // Nobody asks a node for it: TLS came first.
        ClientEvent::StartTls => Verdict::Refused("it starts TLS within TLS".to_owned()),
        ClientEvent::Offered => Verdict::Refused("it was asked for nothing".to_owned()),
        ClientEvent::Refused { refusal, .. } => match refusal.code() {
            // RFC 2449 §8.1.2.
            Some(ResponseCode::InUse) => Verdict::InUse,
            Some(code) => Verdict::Refused(format!("it refused us: [{}] {}", code.name(), refusal.text())),
            None => Verdict::Refused(format!("it refused us: {}", refusal.text())),
        },
        ClientEvent::Closed(closing) => Verdict::Refused(closing.to_string()),
    }
}

fn elsewhere<M: Machine>(
    welcome: Bytes,
    call: Box<dyn Call<M>>,
    take_unread: fn(&mut M) -> Bytes,
    track: impl Track + 'static,
) -> Elsewhere {
    let (wire, mut client) = call.into_parts();
    let passage = Passage { wire, unsent: Bytes::new(), unsaid: take_unread(&mut client), track: Box::new(track) };
    Elsewhere { welcome, session: None, passage }
}
