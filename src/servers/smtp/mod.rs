//! The SMTP server.
