//! POP3, the server's end, without sockets
