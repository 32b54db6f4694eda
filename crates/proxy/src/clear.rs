//! Passwords and connections that others can read (RFC 8314 §3).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Whether a listener can turn a connection to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// It can: STARTTLS and STLS are offered on connections that began without TLS.
    Offered,
    /// It has no certificate.
    NotOffered,
}

/// From where a password may come without TLS.
#[derive(Clone)]
pub struct ClearLogins(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl ClearLogins {
    /// From nowhere.
    pub fn nowhere() -> Self {
        Self::from_where(|_| false)
    }

    /// From this machine: nobody else can listen there.
    pub fn loopback() -> Self {
        Self::from_where(|address| address.is_loopback())
    }

    /// From the addresses for which `allowed` holds. It is asked with IPv4 addresses as such, not mapped into IPv6.
    pub fn from_where(allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(allowed))
    }

    /// Whether a client at this address may.
    pub fn allows(&self, address: IpAddr) -> bool {
        (self.0)(address.to_canonical())
    }
}

impl fmt::Debug for ClearLogins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearLogins(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_the_address_it_maps() {
        let loopback = ClearLogins::loopback();
        for (address, allowed) in [("127.0.0.1", true), ("::ffff:127.0.0.1", true), ("::1", true), ("192.0.2.1", false)]
        {
            assert_eq!(loopback.allows(address.parse().unwrap()), allowed, "{address}");
        }
        assert!(!ClearLogins::nowhere().allows("127.0.0.1".parse().unwrap()));
    }
}
