//! What bearer tokens are worth: their issuer is asked about each, or has said once with which keys it signs.
//!
//! ```text
//!                ┌ introspection.rs  RFC 7662: ask, and remember the verdict for a while (cache.rs) ┐
//!  token ─▶ OAuth┤                                                                                  ├ claims ─▶ claims.rs: for us,
//!                └ jwt.rs  RFC 7519: signed with a key (jwk.rs) of the issuer's set (jwks.rs)       ┘           now, and for whom?
//! ```
//! Refused is a token about which there is certainty; whatever keeps us from it is no verdict.

mod cache;
mod claims;
mod introspection;
mod jwk;
mod jwks;
mod jwt;
#[cfg(test)]
mod tests;

use super::Node;
use super::questions::Questions;
use super::web::Web;
use crate::config::{self, Judge};
use cache::{Cache, Fingerprint};
use claims::{Named, Rules};
use introspection::Introspection;
use jwks::KeySet;
use jwt::Jwt;
use net::Shutdown;
use ports::{BoxFuture, Clock};
use proxy::{Client, NoVerdict, TokenOrigin, TokenVerdict, Tokens};
use sasl::Secret;
use std::sync::Arc;

/// What the gates are told, where the node takes tokens. Its issuer's keys are kept while it runs.
pub(super) fn of(node: &Node, shutdown: &Shutdown) -> Option<Tokens> {
    let proxy = node.config.proxy.as_ref()?;
    let told = proxy.oauth.clone()?;
    let origin = OAuth::new(&told, Arc::clone(&node.system.clock));
    if let Way::Keys(keys) = &origin.way {
        let (keys, shutdown, again) = (Arc::clone(keys), shutdown.clone(), node.settings.subscribe());
        node.system.spawn.task(Box::pin(async move {
            tokio::select! {
                () = keys.keep(again) => {}
                () = shutdown.draining() => {}
            }
        }));
    }
    Some(Tokens { origin: Arc::new(origin), advice: told.advice })
}

/// One issuer.
struct OAuth {
    way: Way,
    rules: Rules,
    clock: Arc<dyn Clock>,
    questions: Questions,
}

/// How it is learnt what a token says.
enum Way {
    Asking(Box<Introspection>, Cache),
    Keys(Arc<KeySet>),
}

/// Why a token is worth nothing, for operators.
#[derive(Debug, PartialEq, Eq)]
struct Refusal(String);

/// What is certain of a token, or that nothing is.
type Judged<T> = Result<Result<T, Refusal>, NoVerdict>;

impl OAuth {
    fn new(told: &config::OAuth, clock: Arc<dyn Clock>) -> Self {
        let (Judge::Introspection { server, .. } | Judge::Keys { server }) = &told.judge;
        let web = Web::new(server);
        let questions = Questions::new(web.shown().to_owned(), told.timeout, Arc::clone(&clock));
        let way = match &told.judge {
            Judge::Introspection { credentials, cache, .. } => {
                let web = web.introduced_by("client_id and client_secret, or bearer_file");
                Way::Asking(Box::new(Introspection::new(web, credentials.clone())), Cache::new(*cache))
            }
            Judge::Keys { .. } => Way::Keys(Arc::new(KeySet::new(web, Arc::clone(&clock)))),
        };
        Self { way, rules: Rules::of(told), clock, questions }
    }

    async fn worth(&self, token: &Secret, client: &Client) -> Result<TokenVerdict, NoVerdict> {
        let client = client.peer.address.ip();
        match &self.way {
            Way::Asking(issuer, cache) => {
                let fingerprint = Fingerprint::of(token);
                if let Some(known) = cache.find(&fingerprint, self.clock.instant()) {
                    return Ok(known);
                }
                let named = self.questions.ask(client, self.asked(issuer, token)).await?;
                let left = named.as_ref().ok().and_then(|named| named.left(self.clock.now()));
                let verdict = verdict(named);
                cache.keep(fingerprint, verdict.clone(), self.clock.instant(), left);
                Ok(verdict)
            }
            Way::Keys(keys) => {
                let jwt = match Jwt::parse(token) {
                    Ok(jwt) => jwt,
                    Err(refusal) => return Ok(verdict(Err(refusal))),
                };
                let fitting = match keys.known_to_fit(&jwt) {
                    Some(fitting) => Ok(fitting),
                    // In line with others who bring keys that nobody knows; whose key is known waits for none of them.
                    None => self.questions.ask(client, keys.find(&jwt)).await?,
                };
                let claims = fitting.and_then(|fitting| jwt.claims(&fitting));
                Ok(verdict(claims.and_then(|claims| self.rules.judge(&claims, self.clock.now()))))
            }
        }
    }

    async fn asked(&self, issuer: &Introspection, token: &Secret) -> Judged<Named> {
        let claims = issuer.claims(token).await?;
        Ok(claims.and_then(|claims| self.rules.judge(&claims, self.clock.now())))
    }
}

impl TokenOrigin for OAuth {
    fn ask<'a>(&'a self, token: &'a Secret, client: &'a Client) -> BoxFuture<'a, Result<TokenVerdict, NoVerdict>> {
        Box::pin(self.worth(token, client))
    }
}

fn verdict(named: Result<Named, Refusal>) -> TokenVerdict {
    match named {
        Ok(named) => TokenVerdict::Valid { user: named.user },
        Err(Refusal(why)) => TokenVerdict::Refused { why },
    }
}
