//! The relay: an SMTP client that delivers queued mail to the mail hosts of its domains
//! (docs/protocol.md 5).
//!
//! [`envelope`], [`reply`], [`conversation`], [`text`], [`mx`], [`backoff`], [`outcomes`] and
//! [`notification`] do no I/O. [`resolver`], [`route`], [`channel`], [`client`] and [`delivery_agent`]
//! use the network and do not depend on the queue; [`run`] connects queue and network.

pub mod asked;
pub mod backoff;
pub mod channel;
pub mod client;
pub mod connection_error;
pub mod conversation;
pub mod delivery_agent;
pub mod envelope;
pub mod hosts;
pub mod jobs;
pub mod limits;
pub mod mx;
pub mod notification;
pub mod orders;
pub mod outcomes;
pub mod owed;
pub mod postmaster;
pub mod progress;
pub mod queue_target;
pub mod queued;
pub mod reply;
pub mod resolver;
pub mod route;
pub mod run;
pub mod selection;
pub mod status;
pub mod text;
pub mod timeouts;
pub mod tls;
pub mod verdict;
