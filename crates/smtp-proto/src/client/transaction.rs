//! One message on its way: what each recipient was told.

use super::event::Outcome;
use crate::dot::DotEncoder;
use crate::reply::Reply;

#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) mail_refused: Option<Reply>,
    recipients: Vec<Recipient>,
    pub(super) stage: Stage,
}

#[derive(Debug, Default)]
pub(super) enum Stage {
    /// MAIL and RCPT go out.
    #[default]
    Envelope,
    /// No more recipients: DATA, or the RSET that gives up, is out or waits to go.
    Sealed,
    /// 354 came: the text goes out.
    Text(DotEncoder),
    /// The final dot is out.
    Ended,
}

#[derive(Debug)]
enum Recipient {
    Asked,
    Accepted,
    Over(Outcome),
}

impl Transaction {
    pub(super) fn add(&mut self) -> usize {
        self.recipients.push(Recipient::Asked);
        self.recipients.len() - 1
    }

    /// How many recipients there are.
    pub(super) fn len(&self) -> usize {
        self.recipients.len()
    }

    pub(super) fn on_rcpt(&mut self, index: usize, reply: &Reply) {
        // Behind a refused MAIL the answer to RCPT says only that; the reason is MAIL's.
        let reply = self.mail_refused.as_ref().filter(|_| !reply.code().is_positive()).unwrap_or(reply);
        if let Some(recipient) = self.recipients.get_mut(index) {
            *recipient = if reply.code().is_positive() {
                Recipient::Accepted
            } else {
                Recipient::Over(Outcome::of(reply.clone()))
            };
        }
    }

    /// The numbers of those who wait for the message.
    pub(super) fn accepted(&self) -> impl Iterator<Item = usize> {
        let numbered = self.recipients.iter().enumerate();
        numbered.filter(|(_, recipient)| matches!(recipient, Recipient::Accepted)).map(|(index, _)| index)
    }

    pub(super) fn conclude(&mut self, index: usize, outcome: Outcome) {
        if let Some(recipient) = self.recipients.get_mut(index) {
            *recipient = Recipient::Over(outcome);
        }
    }

    /// One answer for all who wait.
    pub(super) fn conclude_all(&mut self, outcome: &Outcome) {
        for recipient in &mut self.recipients {
            match recipient {
                Recipient::Asked | Recipient::Accepted => *recipient = Recipient::Over(outcome.clone()),
                Recipient::Over(_) => {}
            }
        }
    }

    /// What each was told; who was told nothing has `missing`.
    pub(super) fn into_outcomes(self, missing: &Outcome) -> Vec<Outcome> {
        let outcome = |recipient| match recipient {
            Recipient::Asked | Recipient::Accepted => missing.clone(),
            Recipient::Over(outcome) => outcome,
        };
        self.recipients.into_iter().map(outcome).collect()
    }
}
