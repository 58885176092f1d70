//! What other programs see of running servers and may ask of them: events, and the control socket in
//! the directory of the mailboxes, for both ends of it.

pub mod client;
pub mod desk;
pub mod event_json;
pub mod event_log;
pub mod event_words;
pub mod fault_rules;
pub mod held_list;
pub mod kept_octets;
pub mod place;
pub mod since;
pub mod socket;
