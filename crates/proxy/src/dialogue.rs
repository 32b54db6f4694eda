//! AUTHENTICATE and AUTH, whatever the protocol: what is offered on a connection, and an exchange from its first message to what
//! becomes of it.

use crate::authenticator::{Authenticator, Client, Outcome};
use crate::scram::Asked;
use ports::TlsFacts;
use sasl::{ChannelBinding, Exchange, Mechanism, Step};

/// An exchange that may be under way.
pub(crate) struct Dialogue {
    facts: TlsFacts,
    /// As they were when TLS began, or the connection did: a client that was told of them may come by them.
    offered: Vec<Mechanism>,
    /// Where -PLUS is among them.
    binding: Option<ChannelBinding>,
    waiting: Option<Exchange>,
    /// Of SCRAM: whose keys the client was asked to prove.
    asked: Option<Asked>,
    /// What the client hears once it has read why its token was refused.
    refused: Option<Outcome>,
    /// Until a back-end has let in who was led to it by a token.
    rebuff: Option<Rebuff>,
}

/// What a client hears before the failure of its token (RFC 7628 §3.2.2), and what becomes of its answer.
pub(crate) struct Rebuff {
    challenge: Vec<u8>,
    exchange: Exchange,
}

/// What comes next.
pub(crate) enum Turn {
    /// The client is to answer this.
    Challenge(Vec<u8>),
    /// The exchange is over.
    Over(Outcome),
}

impl Dialogue {
    /// On a connection of which TLS says so much.
    pub(crate) fn on(authenticator: &Authenticator, facts: TlsFacts) -> Self {
        let (scram, binding) = authenticator.scram(facts.binding);
        let mut offered = Vec::new();
        if authenticator.takes_certificate(facts.certificate.as_ref()) {
            offered.push(Mechanism::External);
        }
        offered.extend_from_slice(scram);
        if authenticator.takes_tokens() {
            offered.extend([Mechanism::OAuthBearer, Mechanism::XOAuth2]);
        }
        Self { facts, offered, binding, waiting: None, asked: None, refused: None, rebuff: None }
    }

    /// The mechanisms that are offered beside those of [`Mechanism::ALL`], the best first.
    pub(crate) fn offered(&self) -> &[Mechanism] {
        &self.offered
    }

    /// Begins with what the client sent along with the mechanism's name, if it did. The mechanism is one that is offered.
    pub(crate) async fn begin(
        &mut self,
        who: (&Authenticator, &Client),
        mechanism: Mechanism,
        initial: Option<&[u8]>,
    ) -> Turn {
        self.forget();
        self.go_on(who, Exchange::start_on(mechanism, initial, self.binding)).await
    }

    /// Goes on with the client's answer.
    pub(crate) async fn answer(&mut self, who: (&Authenticator, &Client), response: &[u8]) -> Turn {
        let exchange = self.waiting.take().expect("the machine asks for a response behind a challenge only");
        self.go_on(who, exchange.step(response)).await
    }

    /// The client gives it up. True where that is a failed login: it had read why its token was refused.
    pub(crate) fn cancel(&mut self) -> bool {
        let refused = self.refused.is_some();
        self.forget();
        refused
    }

    /// What the client is to hear if the back-end that it is led to now does not let it in; nothing where that is a failure and
    /// no more.
    pub(crate) fn rebuff(&mut self) -> Option<Rebuff> {
        self.rebuff.take()
    }

    /// It did not: gives the challenge. The failure comes behind the client's answer.
    pub(crate) fn rebuffed(&mut self, rebuff: Rebuff) -> Vec<u8> {
        self.tell(rebuff, Outcome::WrongPassword)
    }

    fn tell(&mut self, Rebuff { challenge, exchange }: Rebuff, failed: Outcome) -> Vec<u8> {
        (self.waiting, self.refused) = (Some(exchange), Some(failed));
        challenge
    }

    fn forget(&mut self) {
        (self.waiting, self.asked, self.refused, self.rebuff) = (None, None, None, None);
    }

    async fn go_on(&mut self, (authenticator, client): (&Authenticator, &Client), mut step: Step) -> Turn {
        loop {
            let outcome = match step {
                Step::Challenge { challenge, exchange } => {
                    self.waiting = Some(exchange);
                    return Turn::Challenge(challenge);
                }
                Step::Scram(claim) => match authenticator.keys(client, claim.identity()).await {
                    Ok((keys, nonce, asked)) => {
                        self.asked = Some(asked);
                        step = claim.challenge(keys, &nonce);
                        continue;
                    }
                    Err(outcome) => outcome,
                },
                Step::Proved(identity) => authenticator.proved(client, &identity, self.asked.take()).await,
                Step::Unproved(identity) => authenticator.unproved(client, &identity, self.asked.take()).await,
                Step::Bearer(bearer) => {
                    let outcome = authenticator.borne(client, &bearer).await;
                    // RFC 7628 §3.2.2: first why, so that the client can get another token; the failure behind its answer.
                    let rebuff = || {
                        let (challenge, exchange) = bearer.refused(&authenticator.advice());
                        Rebuff { challenge, exchange }
                    };
                    match outcome {
                        failed @ (Outcome::WrongPassword | Outcome::NotAuthorized) => {
                            return Turn::Challenge(self.tell(rebuff(), failed));
                        }
                        visitor @ Outcome::Visitor { .. } => {
                            self.rebuff = Some(rebuff());
                            visitor
                        }
                        outcome @ (Outcome::LoggedIn { .. } | Outcome::Unavailable | Outcome::Limited) => outcome,
                    }
                }
                Step::External(whom) => authenticator.certified(client, self.facts.certificate.as_ref(), whom).await,
                Step::Done(credentials) => authenticator.log_in(client, Ok(credentials)).await,
                Step::Failed(failure) => match (self.refused.take(), self.asked.take()) {
                    // Logged and counted before.
                    (Some(outcome), _) => outcome,
                    (None, Some(asked)) => authenticator.made_no_proof(client, asked).await,
                    (None, None) => authenticator.log_in(client, Err(failure)).await,
                },
            };
            self.asked = None;
            return Turn::Over(outcome);
        }
    }
}
