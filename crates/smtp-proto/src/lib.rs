//! SMTP and LMTP, both ends, without sockets
