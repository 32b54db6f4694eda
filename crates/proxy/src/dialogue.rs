//! AUTHENTICATE and AUTH, whatever the protocol: an exchange from its first message to what becomes of it.

use crate::authenticator::{Authenticator, Client, Outcome};
use crate::scram::Asked;
use sasl::{ChannelBinding, Exchange, Failure, Mechanism, Step};

/// An exchange that may be under way.
#[derive(Default)]
pub(crate) struct Dialogue {
    waiting: Option<Exchange>,
    /// Of SCRAM: whose keys the client was asked to prove.
    asked: Option<Asked>,
}

/// What comes next.
pub(crate) enum Turn {
    /// The client is to answer this.
    Challenge(Vec<u8>),
    /// The exchange is over.
    Over(Outcome),
}

impl Dialogue {
    /// Begins with what the client sent along with the mechanism's name, if it did. `binding` is there where -PLUS is
    /// offered.
    pub(crate) async fn begin(
        &mut self,
        who: (&Authenticator, &Client),
        mechanism: Mechanism,
        initial: Option<&[u8]>,
        binding: Option<ChannelBinding>,
    ) -> Turn {
        self.forget();
        self.go_on(who, Exchange::start_on(mechanism, initial, binding)).await
    }

    /// Goes on with the client's answer.
    pub(crate) async fn answer(&mut self, who: (&Authenticator, &Client), response: &[u8]) -> Turn {
        let exchange = self.waiting.take().expect("the machine asks for a response behind a challenge only");
        self.go_on(who, exchange.step(response)).await
    }

    /// The client gave it up, or TLS has begun.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
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
                Step::Done(credentials) => authenticator.log_in(client, Ok(credentials)).await,
                Step::Failed(failure) => authenticator.log_in(client, Err(failure)).await,
                // Not offered here: nobody has proved anything.
                Step::External(_) => authenticator.log_in(client, Err(Failure::Malformed)).await,
            };
            self.asked = None;
            return Turn::Over(outcome);
        }
    }
}
