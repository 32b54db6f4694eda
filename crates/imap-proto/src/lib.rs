//! IMAP, the server's end, without sockets
