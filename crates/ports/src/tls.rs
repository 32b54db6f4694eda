//! What TLS says of the other end.

use sasl::ChannelBinding;
use std::sync::Arc;

/// What TLS says of a client, for whoever lets it log in. Nothing, in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// What only the two ends of this connection know: a login can be bound to it.
    pub binding: Option<ChannelBinding>,
    /// What the client has proved to be, where it was asked for a certificate and has one from an authority that is trusted.
    pub certificate: Option<ClientCertificate>,
}

/// A client's certificate that was verified, as far as a login needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The mail addresses of its holder (RFC 5280 §4.2.1.6, `rfc822Name`), in the order of the certificate; perhaps none.
    pub addresses: Arc<[String]>,
}
