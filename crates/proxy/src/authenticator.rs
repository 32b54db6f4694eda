//! Who is it? A name and a password against routing and hashes.

use crate::accounts::Accounts;
use crate::counts::{LoginCounts, LoginOutcome};
use crate::entry::{Entry, Found, may_act_as};
use crate::forms::LoginForms;
use crate::limits::{
    ACCOUNT_LOOKUP_MAX, FAILED_LOGIN_SPAN, ORIGIN_WAIT_MAX, PASSWORD_CHECK_COUNT_MAX, PASSWORD_HASHES_AT_ONCE,
    PASSWORD_HASHES_AT_ONCE_MAX,
};
use crate::log::{Escaped, FailedLogin};
use crate::origin::{LoginOrigin, NoVerdict, Question, Verdict};
use crate::scram::Scram;
use crate::turnstile::{Seat, Stranger, Turnstile};
use crate::verified::Verified;
use crate::vouched::Tokens;
use directory::{AccountState, BackendLogin, Existence, Login, LoginTarget, Origin, Routing, Silent, StoreAt};
use mail_types::{Address, StoreName};
use ports::{Clock, Credential, Holder, LoggedIn, Peer, Protocol, Spawn, Standing, Unavailable, Visitor, blocking};
use sasl::{Credentials, Exchange, Failure, Identity, Mechanism, Password, ScramKeys, Step, StoredPassword};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// Checks logins, for every protocol in which one can log in.
pub struct Authenticator {
    accounts: Arc<dyn Accounts>,
    /// Asked about names that have no account here.
    pub(crate) origin: Option<Arc<dyn LoginOrigin>>,
    pub(crate) clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    pub(crate) scram: Option<Scram>,
    pub(crate) tokens: Option<Tokens>,
    /// Spares costly hashes, where the site wants that.
    verified: Option<Arc<Verified>>,
    pub(crate) forms: LoginForms,
    /// Nobody's password, checked where there is none to check.
    nobody: StoredPassword,
    /// Places in the line for the pool, and at its head.
    checks: Arc<Semaphore>,
    hashers: Arc<Semaphore>,
    counts: Arc<LoginCounts>,
    turnstile: Arc<Turnstile>,
}

/// Who wants in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// In which protocol.
    pub protocol: Protocol,
    /// From where.
    pub peer: Peer,
    /// How many proxies behind this one it may pass.
    pub ttl: u8,
}

impl Client {
    /// One that came by no proxy, as far as is known.
    pub fn new(protocol: Protocol, peer: Peer) -> Self {
        Self { protocol, peer, ttl: ports::PROXY_TTL - 1 }
    }

    /// It came by a proxy that says how many it may pass. Strangers can say so, too, and only shorten their own way.
    pub(crate) fn lower_ttl(&mut self, told: u8) {
        self.ttl = self.ttl.min(told.saturating_sub(1));
    }
}

/// What became of a login.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The password is right; the store is to be asked.
    LoggedIn {
        /// Where the account is.
        store: StoreName,
        /// Who it is.
        who: LoggedIn,
    },
    /// The account is at a back-end of another make, which is to be asked.
    Visitor {
        /// The back-end.
        store: StoreName,
        /// Who it is.
        who: Visitor,
    },
    /// It failed, whether for a wrong password, an unknown user or a barred account. Final.
    WrongPassword,
    /// The password is right, but its owner may not act as whom the client named (RFC 4616 §2). Final.
    NotAuthorized,
    /// Nobody can say now.
    Unavailable,
    /// There are too many logins: nobody was asked.
    Limited,
}

/// Why a login failed: for the operator, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Malformed,
    UnknownUser,
    NoPassword,
    WrongPassword,
    /// The account has a password, but no keys of SCRAM.
    NoKeys,
    Barred(AccountState),
    NotAuthorized,
    /// The account's back-end said no.
    BackEnd,
    /// Who was asked in the directory's place said no.
    Origin,
    /// The token is worth nothing.
    Token,
    /// The client sees another TLS connection than we have.
    Binding,
}

/// What keeps somebody out.
pub(crate) enum Stop {
    Refused(Reason),
    Unavailable(Undecided),
}

/// Why nobody can say: for the operator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Undecided {
    Routing,
    NoBackEnd,
    NobodyChecks,
    Hashes,
    UnreadableHash,
    Crowded,
    Stopping,
    Origin,
    Tokens,
    WantsPassword,
    NobodyJudges,
}

/// The passwords of an account.
#[derive(Default)]
pub(crate) struct Hashes {
    cheap: Vec<StoredPassword>,
    costly: Vec<StoredPassword>,
    /// Of SCRAM, which can ask for one password only.
    pub(crate) keys: Option<ScramKeys>,
    /// Some of them cannot be read: who knows whether the password is right.
    unreadable: bool,
}

impl Authenticator {
    /// Asks these accounts.
    pub fn new(accounts: Arc<dyn Accounts>, clock: Arc<dyn Clock>, spawn: Arc<dyn Spawn>) -> Self {
        let nobody = StoredPassword::parse(NOBODY).expect("a constant in the form that is written for accounts");
        let checks = Arc::new(Semaphore::new(PASSWORD_CHECK_COUNT_MAX));
        let hashers = Arc::new(Semaphore::new(PASSWORD_HASHES_AT_ONCE));
        let (counts, turnstile, forms) = (Arc::default(), Arc::default(), LoginForms::default());
        Self {
            accounts,
            origin: None,
            clock,
            spawn,
            scram: None,
            tokens: None,
            verified: None,
            forms,
            nobody,
            checks,
            hashers,
            counts,
            turnstile,
        }
    }

    /// With somebody to ask about names that have no account here.
    #[must_use]
    pub fn with_origin(mut self, origin: Option<Arc<dyn LoginOrigin>>) -> Self {
        self.origin = origin;
        self
    }

    /// With so many costly hashes computed at once: as many as there are cores for it. The pool has other work as well,
    /// which must not stand in line behind strangers' guesses.
    #[must_use]
    pub fn hashing_at_once(mut self, count: usize) -> Self {
        self.hashers = Arc::new(Semaphore::new(count.clamp(1, PASSWORD_HASHES_AT_ONCE_MAX)));
        self
    }

    /// With a memory of passwords that were found right.
    #[must_use]
    pub fn with_verified(mut self, verified: Option<Verified>) -> Self {
        self.verified = verified.map(Arc::new);
        self
    }

    /// With counters that somebody else reads too.
    #[must_use]
    pub fn with_counts(mut self, counts: Arc<LoginCounts>) -> Self {
        self.counts = counts;
        self
    }

    /// With limits.
    #[must_use]
    pub fn with_turnstile(mut self, turnstile: Arc<Turnstile>) -> Self {
        self.turnstile = turnstile;
        self
    }

    /// A place for a connection on which nobody is logged in.
    pub(crate) fn stranger(&self) -> Stranger {
        self.turnstile.stranger(self.clock.instant())
    }

    /// A client had to leave before it logged in.
    pub(crate) fn displaced(&self, client: &Client) {
        let (address, protocol) = (client.peer.address.ip().to_canonical(), client.protocol.name());
        tracing::debug!(target: "login", client = %address, protocol, "ended: too many connections without a login");
        self.counts.note(client.protocol, LoginOutcome::Limited);
    }

    /// A place among the sessions of an account whose owner has proved who he is, having come at `came`; nothing where there
    /// are too many, which takes as long as a wrong password.
    pub(crate) async fn seat(&self, client: &Client, account: &Address, came: Instant) -> Option<Seat> {
        let seat = self.turnstile.seat(account);
        if seat.is_none() {
            let (address, protocol) = (client.peer.address.ip().to_canonical(), client.protocol.name());
            tracing::warn!(target: "login", client = %address, protocol, %account, "too many sessions of one account");
            self.counts.note(client.protocol, LoginOutcome::Limited);
            self.wait_since(came).await;
        }
        seat
    }

    /// How logins ended so far.
    pub fn counts(&self) -> &LoginCounts {
        &self.counts
    }

    /// Checks what an exchange gave. A failure is logged and counted here, and takes [`FAILED_LOGIN_SPAN`]; what is still to
    /// be asked somewhere is logged and counted when it is known.
    pub async fn log_in(&self, client: &Client, credentials: Result<Credentials, Failure>) -> Outcome {
        let outcome = self.judge(client, credentials).await;
        if let Some(outcome) = LoginOutcome::of(&outcome) {
            self.counts.note(client.protocol, outcome);
        }
        outcome
    }

    /// The store, or a back-end, has let somebody in; `session` is what the back-end calls it, too.
    pub(crate) fn admitted(&self, client: &Client, holder: &Holder, session: Option<&str>) {
        let (address, protocol) = (client.peer.address.ip().to_canonical(), client.protocol.name());
        let Holder { account, store } = holder;
        tracing::info!(target: "login", client = %address, protocol, %account, %store, session, "logged in");
        self.counts.note(client.protocol, LoginOutcome::Success);
    }

    /// A back-end did not let a visitor in, who had come at `began`; the answer takes [`FAILED_LOGIN_SPAN`], too.
    pub(crate) async fn turned_away(&self, client: &Client, account: &Address, text: &str, began: Instant) {
        tracing::debug!(target: "login", %account, text, "the back-end said no");
        self.counts.note(client.protocol, LoginOutcome::Failure);
        self.refuse(client, &account.to_string(), Reason::BackEnd, began).await;
    }

    /// Another session has the maildrop, or, where a back-end says so, the user has too many: `text` is what it said.
    pub(crate) fn in_use(&self, client: &Client, holder: &Holder, text: Option<&str>) {
        let Holder { account, store } = holder;
        tracing::info!(target: "login", %account, %store, text, "the maildrop is in use");
        self.counts.note(client.protocol, LoginOutcome::Unavailable);
    }

    /// Nobody could be let in: the store, or the back-end, is not available. Whoever came with a password that nobody has
    /// checked, at `came`, hears so no sooner than of a wrong one.
    pub(crate) async fn unasked(&self, client: &Client, holder: &Holder, why: &Unavailable, came: Option<Instant>) {
        let Holder { account, store } = holder;
        let (address, protocol) = (client.peer.address.ip().to_canonical(), client.protocol.name());
        tracing::warn!(target: "login", client = %address, protocol, %account, %store, %why, "no session at the store");
        self.counts.note(client.protocol, LoginOutcome::Unavailable);
        if let Some(came) = came {
            self.wait_since(came).await;
        }
    }

    async fn judge(&self, client: &Client, credentials: Result<Credentials, Failure>) -> Outcome {
        let began = self.clock.instant();
        if self.is_one_too_many(client, began).await {
            return Outcome::Limited;
        }
        let credentials = credentials.map(|credentials| self.meant_by(client, credentials));
        let user = credentials.as_ref().map_or("", |credentials| &credentials.authentication);
        let decided = match &credentials {
            Ok(credentials) => self.decide(client, credentials).await,
            Err(Failure::Binding) => Err(Stop::Refused(Reason::Binding)),
            Err(_) => Err(Stop::Refused(Reason::Malformed)),
        };
        self.outcome(client, user, decided, began).await
    }

    /// Whether this login is over a limit; it is counted then, and takes its time.
    pub(crate) async fn is_one_too_many(&self, client: &Client, began: Instant) -> bool {
        if self.turnstile.may_log_in(client.peer.address.ip(), began) {
            return false;
        }
        let (address, protocol) = (client.peer.address.ip().to_canonical(), client.protocol.name());
        tracing::warn!(target: "login", client = %address, protocol, "too many logins");
        self.counts.note(client.protocol, LoginOutcome::Limited);
        self.wait_since(began).await;
        true
    }

    /// What was decided, as the gates take it; a failure is logged, and takes its time.
    pub(crate) async fn outcome(
        &self,
        client: &Client,
        user: &str,
        decided: Result<Entry, Stop>,
        began: Instant,
    ) -> Outcome {
        match decided {
            Ok(Entry::Here { store, account, address }) => {
                Outcome::LoggedIn { store, who: LoggedIn { account, address: Arc::new(address), peer: client.peer } }
            }
            Ok(Entry::BackEnd { store, address, user, credential, standing }) => {
                let user = user.unwrap_or_else(|| self.forms.name_at(&store, &address));
                let (address, peer, ttl) = (Arc::new(address), client.peer, client.ttl);
                Outcome::Visitor { store, who: Visitor { address, user, credential, standing, peer, ttl } }
            }
            Err(Stop::Refused(reason)) => {
                self.refuse(client, user, reason, began).await;
                match reason {
                    Reason::NotAuthorized => Outcome::NotAuthorized,
                    Reason::Malformed
                    | Reason::UnknownUser
                    | Reason::NoPassword
                    | Reason::WrongPassword
                    | Reason::NoKeys
                    | Reason::BackEnd
                    | Reason::Origin
                    | Reason::Token
                    | Reason::Binding
                    | Reason::Barred(_) => Outcome::WrongPassword,
                }
            }
            Err(Stop::Unavailable(why)) => {
                let (address, protocol) = (client.peer.address.ip().to_canonical(), client.protocol.name());
                tracing::warn!(target: "login", client = %address, protocol, user = %Escaped(user), %why, "login undecided");
                // Nobody asks the next question at the speed of the wire.
                self.wait_since(began).await;
                Outcome::Unavailable
            }
        }
    }

    async fn refuse(&self, client: &Client, user: &str, reason: Reason, began: Instant) {
        tracing::warn!(target: "login", "{}", FailedLogin { client, user, reason });
        self.wait_since(began).await;
    }

    /// Routing as it is now.
    pub(crate) fn routing(&self) -> Arc<Routing> {
        self.accounts.routing()
    }

    async fn decide(&self, client: &Client, credentials: &Credentials) -> Result<Entry, Stop> {
        if let Some(origin) = &self.origin
            && let Some(address) = self.routing().login_stranger(&credentials.authentication)
        {
            return self.by_origin(&**origin, address, client, credentials).await;
        }
        let found = self.find(&credentials.authentication)?;
        let hashes = match &found {
            Found::Account { address, .. }
            | Found::Barred { address, .. }
            | Found::AtBackEnd { address, existence: Existence::Known, .. } => self.hashes(address).await?,
            Found::AtBackEnd { existence: Existence::AskStore, .. } | Found::Nobody => Hashes::default(),
        };
        let none = hashes.is_empty();
        let identity = identity_of(credentials);
        if let Found::AtBackEnd { login: BackendLogin::Master, existence: Existence::AskStore, .. } = &found {
            return Err(Stop::Unavailable(Undecided::NobodyChecks));
        }
        if let Found::AtBackEnd { login: BackendLogin::Password, .. } = &found
            && none
        {
            // The back-end alone has the password: until it has found it right, nobody hears more than that it is wrong.
            return match found.enter(&identity, Credential::Password(credentials.password.clone())) {
                Err(Stop::Refused(Reason::NotAuthorized)) => Err(Stop::Refused(Reason::WrongPassword)),
                entered => entered,
            };
        }
        // Asked in every other case: whoever is refused below has waited as long as for a wrong password.
        let matches = self.verify(hashes, &credentials.password).await?;
        let refused = |reason| Err(Stop::Refused(reason));
        match found {
            Found::Nobody => refused(Reason::UnknownUser),
            Found::Barred { state, .. } => refused(Reason::Barred(state)),
            Found::Account { .. } | Found::AtBackEnd { .. } if none => refused(Reason::NoPassword),
            Found::Account { .. } | Found::AtBackEnd { .. } if !matches => refused(Reason::WrongPassword),
            Found::Account { .. } | Found::AtBackEnd { .. } => {
                found.enter(&identity, Credential::Password(credentials.password.clone()))
            }
        }
    }

    /// Lets in, at a back-end, whom somebody else knows.
    async fn by_origin(
        &self,
        origin: &dyn LoginOrigin,
        address: Address,
        client: &Client,
        credentials: &Credentials,
    ) -> Result<Entry, Stop> {
        let Credentials { authentication: user, password, .. } = credentials;
        if !may_act_as(&identity_of(credentials), &address) {
            return Err(Stop::Refused(Reason::WrongPassword));
        }
        match origin.ask(Question { user, password, client }).await {
            Ok(Verdict::Welcome { store, user: other, password: shown }) => {
                let routing = self.routing();
                let Some(StoreAt::Foreign { login, .. }) = routing.store_at(&store) else {
                    tracing::error!(target: "login", account = %address, %store, "the origin's store is no back-end");
                    return Err(Stop::Unavailable(Undecided::Origin));
                };
                let credential = match login {
                    BackendLogin::Password => Credential::Password(shown.unwrap_or_else(|| password.clone())),
                    BackendLogin::Master => Credential::Word,
                };
                let user = Some(other.unwrap_or_else(|| user.clone()));
                Ok(Entry::BackEnd { store, address, user, credential, standing: Standing::Known })
            }
            Ok(Verdict::Refused { text, wait }) => {
                tracing::debug!(target: "login", account = %address, text, "the origin said no");
                self.clock.sleep(wait.min(ORIGIN_WAIT_MAX)).await;
                Err(Stop::Refused(Reason::Origin))
            }
            Err(NoVerdict(why)) => {
                tracing::warn!(target: "login", account = %address, why, "the origin gives no verdict");
                Err(Stop::Unavailable(Undecided::Origin))
            }
        }
    }

    pub(crate) fn find(&self, name: &str) -> Result<Found, Stop> {
        let routing = self.accounts.routing();
        match routing.login(name, &mut Silent) {
            Login::Account(LoginTarget { store, account, address, user, existence }) => {
                match (routing.store_at(&store), account) {
                    (Some(StoreAt::Foreign { login, tokens, .. }), _) => {
                        Ok(Found::AtBackEnd { store, address, user, existence, login, tokens })
                    }
                    (_, Some(id)) => Ok(Found::Account { store, id, address }),
                    // The domain leaves it to its back-end to say who exists, and the store is none.
                    (_, None) => Err(Stop::Unavailable(Undecided::NoBackEnd)),
                }
            }
            Login::Unknown => Ok(Found::Nobody),
            Login::Refused { address, state } => Ok(Found::Barred { address, state }),
            Login::Unavailable => Err(Stop::Unavailable(Undecided::Routing)),
        }
    }

    pub(crate) async fn hashes(&self, address: &Address) -> Result<Hashes, Stop> {
        let secret = tokio::select! {
            secret = self.accounts.secret(address) => secret,
            () = self.clock.sleep(ACCOUNT_LOOKUP_MAX) => Origin::Unavailable,
        };
        let passwords = match secret {
            Origin::Found(secret) => secret.passwords,
            Origin::NotFound => Vec::new(),
            Origin::Unavailable => return Err(Stop::Unavailable(Undecided::Hashes)),
        };
        let mut hashes = Hashes::default();
        let mut keys = Vec::new();
        for password in passwords {
            match StoredPassword::parse(password.expose()) {
                Ok(stored) if stored.scram_keys().is_some() => keys.push(stored),
                Ok(stored) if stored.is_costly() => hashes.costly.push(stored),
                Ok(stored) => hashes.cheap.push(stored),
                Err(error) => {
                    tracing::error!(account = %address, %error, "a stored password cannot be read");
                    hashes.unreadable = true;
                }
            }
        }
        hashes.keys = keys.first().and_then(StoredPassword::scram_keys).cloned();
        // Beside a hash, keys are of the same password; to check both would tell that there are keys, and cost twice.
        if hashes.is_empty() {
            hashes.costly = keys;
        }
        Ok(hashes)
    }

    /// Whether any of the hashes is that of the password. Where it is none of the cheap ones, at least one costly hash is
    /// computed, on the bounded pool.
    async fn verify(&self, hashes: Hashes, password: &Password) -> Result<bool, Stop> {
        let unavailable = |why| Err(Stop::Unavailable(why));
        if hashes.cheap.iter().any(|stored| stored.verify(password)) {
            return Ok(true);
        }
        let verified = self.verified.clone();
        let now = self.clock.instant();
        let is_known =
            |stored: &StoredPassword| verified.as_ref().is_some_and(|known| known.has(stored, password, now));
        if hashes.costly.iter().any(is_known) {
            return Ok(true);
        }
        let Ok(place) = Arc::clone(&self.checks).try_acquire_owned() else { return unavailable(Undecided::Crowded) };
        // Never closed, so this is a permit.
        let Ok(turn) = Arc::clone(&self.hashers).acquire_owned().await else {
            return unavailable(Undecided::Stopping);
        };
        let costly = if hashes.costly.is_empty() { vec![self.nobody.clone()] } else { hashes.costly };
        let password = password.clone();
        let work = move || {
            // Given back when the work is done, also where nobody waits for it any more.
            let _both = (place, turn);
            let fits = costly.iter().find(|stored| stored.verify(&password));
            if let (Some(stored), Some(verified)) = (fits, &verified) {
                verified.note(stored, &password, now);
            }
            fits.is_some()
        };
        match blocking(&*self.spawn, work).await {
            Some(true) => Ok(true),
            Some(false) if hashes.unreadable => unavailable(Undecided::UnreadableHash),
            Some(false) => Ok(false),
            None => unavailable(Undecided::Stopping),
        }
    }

    async fn wait_since(&self, began: Instant) {
        let passed = self.clock.instant().saturating_duration_since(began);
        self.clock.sleep(FAILED_LOGIN_SPAN.saturating_sub(passed)).await;
    }
}

/// What LOGIN, and USER with PASS, carry: the same as the mechanism LOGIN.
pub(crate) fn credentials(user: &[u8], password: &[u8]) -> Result<Credentials, Failure> {
    let mut step = Exchange::start(Mechanism::Login, Some(user));
    if let Step::Challenge { exchange, .. } = step {
        step = exchange.step(password);
    }
    match step {
        Step::Done(credentials) => Ok(credentials),
        Step::Failed(failure) => Err(failure),
        // LOGIN leads to none of these.
        Step::Challenge { .. }
        | Step::External(_)
        | Step::Bearer(_)
        | Step::Scram(_)
        | Step::Proved(_)
        | Step::Unproved(_) => Err(Failure::Malformed),
    }
}

fn identity_of(credentials: &Credentials) -> Identity {
    let Credentials { authorization, authentication, .. } = credentials;
    Identity { authorization: authorization.clone(), authentication: authentication.clone() }
}

impl Hashes {
    fn is_empty(&self) -> bool {
        self.cheap.is_empty() && self.costly.is_empty() && !self.unreadable
    }
}

impl Reason {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownUser => "unknown-user",
            Self::NoPassword => "no-password",
            Self::WrongPassword => "wrong-password",
            Self::NoKeys => "no-keys",
            // Active is no reason; the word would be right all the same.
            Self::Barred(AccountState::NoLogin | AccountState::Active) => "no-login",
            Self::Barred(AccountState::Disabled) => "disabled",
            Self::NotAuthorized => "not-authorized",
            Self::BackEnd => "back-end",
            Self::Origin => "origin",
            Self::Token => "bad-token",
            Self::Binding => "not-bound",
        }
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Routing => "routing is not available",
            Self::NoBackEnd => "a store of ours cannot say who exists",
            Self::NobodyChecks => {
                "the back-end takes a master only, and in an unchecked domain nobody has the user's password"
            }
            Self::Hashes => "the directory does not give the password hashes",
            Self::UnreadableHash => "a stored password cannot be read",
            Self::Crowded => "too many passwords wait to be checked",
            Self::Stopping => "the program is stopping",
            Self::Tokens => "nobody says what the token is worth",
            Self::WantsPassword => "the back-end wants the user's own password, and there is none",
            Self::NobodyJudges => "there is no issuer to ask, and where the account is nobody judges a token",
            Self::Origin => "who is asked in the directory's place gives no verdict",
        })
    }
}

/// With the cost of the hashes that we write, and the digest of no password that anybody knows.
const NOBODY: &str =
    "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$cG9zdGhvdXNlIG5vYm9keQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_costs_what_an_account_costs() {
        let password = Password::new(b"guess".to_vec()).unwrap();
        let written = StoredPassword::hash_argon2id(&password, b"some 16 octets !").unwrap().to_string();
        let cost = |text: &str| text.rsplitn(3, '$').last().unwrap().to_owned();
        assert_eq!(cost(NOBODY), cost(&written));
        let nobody = StoredPassword::parse(NOBODY).unwrap();
        assert!(nobody.is_costly() && !nobody.verify(&password));
    }

    #[test]
    fn what_is_no_name_or_no_password() {
        assert!(credentials(b"alice", b"secret").is_ok());
        for (user, password) in [(&b""[..], &b"x"[..]), (b"a\xff", b"x"), (b"a\r\nb", b"x"), (b"a", b""), (b"a", b"\0")]
        {
            assert!(credentials(user, password).is_err(), "{user:?} {password:?}");
        }
    }
}
