//! The store role: mailboxes behind LMTP, IMAP and POP3
