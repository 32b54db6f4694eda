//! Accounts, mailboxes, UIDs, flags, MODSEQ: records and what applying them does
