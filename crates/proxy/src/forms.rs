//! Login forms: what a bare name means by where the client connected to, and what a back-end is told in a whole one's place.
//!
//! ```text
//!   anna           ─▶ 192.0.2.5 ─▶ anna@a.test ─▶ the back-end of a.test knows  anna
//!   anna           ─▶ 192.0.2.6 ─▶ anna@b.test ─▶ one for several domains knows anna@b.test
//!   anna@c.test    ─▶ 192.0.2.5 ─▶ anna@c.test
//! ```
//! A name that says its domain is never changed; and a back-end is told bare names of one domain only, or two accounts would be
//! one there.

use crate::authenticator::{Authenticator, Client};
use directory::Routing;
use mail_types::{Address, Domain, StoreName};
use sasl::{Credentials, Identity};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The forms of a site. Where there is none, a bare name is in the site's login domain, and a back-end is told addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginForms {
    domains: BTreeMap<IpAddr, Domain>,
    bare: BTreeMap<StoreName, Domain>,
}

impl LoginForms {
    /// A bare name means this domain for clients that connected to this address.
    #[must_use]
    pub fn with_domain_at(mut self, local: IpAddr, domain: Domain) -> Self {
        self.domains.insert(local.to_canonical(), domain);
        self
    }

    /// The back-end knows the users of this domain by their local parts.
    #[must_use]
    pub fn with_bare_names(mut self, store: StoreName, domain: Domain) -> Self {
        self.bare.insert(store, domain);
        self
    }

    /// What a bare name means at this address of ours.
    pub fn domain_at(&self, local: IpAddr) -> Option<&Domain> {
        self.domains.get(&local.to_canonical())
    }

    /// As what a back-end knows an account, unless its placement says another name.
    pub(crate) fn name_at(&self, store: &StoreName, address: &Address) -> String {
        match self.bare.get(store) {
            Some(domain) if domain == address.domain() && is_plain(address.local().as_str()) => {
                address.local().as_str().to_owned()
            }
            Some(_) | None => address.to_string(),
        }
    }

    fn whole(&self, routing: &Routing, client: &Client, name: String) -> String {
        match self.domain_at(client.peer.local.ip()) {
            Some(domain) => routing.login_name_in(&name, domain).into_owned(),
            None => name,
        }
    }
}

/// A local part that holds the sign of a domain would be another's address at a back-end.
fn is_plain(local: &str) -> bool {
    !local.contains(['@', '%'])
}

impl Authenticator {
    /// With these forms.
    #[must_use]
    pub fn with_forms(mut self, forms: LoginForms) -> Self {
        self.forms = forms;
        self
    }

    /// Who is meant here.
    pub(crate) fn meant(&self, client: &Client, identity: &Identity) -> Identity {
        let Identity { authorization, authentication } = identity.clone();
        let routing = self.routing();
        let whole = |name| self.forms.whole(&routing, client, name);
        Identity { authorization: authorization.map(whole), authentication: whole(authentication) }
    }

    /// The same, with a password.
    pub(crate) fn meant_by(&self, client: &Client, credentials: Credentials) -> Credentials {
        let Credentials { authorization, authentication, password } = credentials;
        let Identity { authorization, authentication } =
            self.meant(client, &Identity { authorization, authentication });
        Credentials { authorization, authentication, password }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_back_end_is_told_no_local_part_that_is_anothers_address() {
        let (store, domain) = (StoreName::parse("old").unwrap(), Domain::parse("a.test").unwrap());
        let forms = LoginForms::default().with_bare_names(store.clone(), domain);
        let told = |address: &str| forms.name_at(&store, &Address::parse(address).unwrap());
        assert_eq!(told("john@a.test"), "john");
        assert_eq!(told("john@b.test"), "john@b.test");
        assert_eq!(told("\"john@b.test\"@a.test"), "\"john@b.test\"@a.test");
        assert_eq!(told("john%b.test@a.test"), "john%b.test@a.test");
    }
}
