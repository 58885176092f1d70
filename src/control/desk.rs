//! Carries out what is asked of the servers over the control socket, in the same way and at the same
//! places as the console does.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::process;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::console::setting;
use crate::control::event_log::{EventLog, Reader, Since};
use crate::control::fault_rules::FaultRules;
use crate::control::held_list::HeldList;
use crate::control::since::since_of;
use crate::fault::faults::{Faults, Which};
use crate::fault::typed::octets_of;
use crate::relay::orders::{Order, QueueTarget};
use crate::relay::postmaster::{Answer, Request as RelayRequest};
use crate::servers::holds::{Cause, Decision, Holds, WhichHeld};
use crate::servers::settings::SettingName;
use crate::servers::supervisor::{Condition, Control};
use crate::watch::tally::Tally;

/// What can be asked.
const REQUESTS: [&str; 8] = ["status", "stop", "events", "set", "queue", "relay", "fault", "held"];

/// What requests are carried out with.
#[derive(Debug)]
pub struct Desk {
    /// The last events.
    pub log: Arc<EventLog>,
    /// What was counted.
    pub tally: Arc<Tally>,
    /// The servers and their settings.
    pub control: Control,
    /// The relay; `None` without mailboxes.
    pub relay: Option<mpsc::Sender<RelayRequest>>,
    /// Our domain.
    pub domain: Arc<str>,
    /// The faults that are played on purpose.
    pub faults: Arc<Faults>,
    /// What is held at breakpoints.
    pub holds: Arc<Holds>,
    /// Moves when their rules are changed here.
    pub fault_changes: watch::Sender<()>,
    /// Cancelled to end the program, as SIGTERM does.
    pub stop: CancellationToken,
}

/// How a request is answered.
#[derive(Debug)]
pub enum Reply {
    /// By one object.
    Once(Value),
    /// By one object, then by these events; then the connection ends.
    Events(Reader),
    /// By one object; the connection lasts as long as the process.
    Stopping(Value),
}

#[derive(Debug, Deserialize)]
struct Events {
    since: Option<String>,
    #[serde(default)]
    follow: bool,
}

#[derive(Debug, Deserialize)]
struct Set {
    name: String,
    value: Value,
}

#[derive(Debug, Deserialize)]
struct Queue {
    order: String,
    targets: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Decide {
    order: String,
    id: Option<Value>,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    order: String,
    rule: Option<String>,
    id: Option<Value>,
}

impl Desk {
    /// Carries out a request; an error is a sentence.
    pub async fn answer(&self, request: Value) -> Reply {
        let answered = self.carry_out(request).await;
        answered.unwrap_or_else(|why| Reply::Once(refusal(&why)))
    }

    async fn carry_out(&self, request: Value) -> Result<Reply, String> {
        let name = request.get("do").and_then(Value::as_str).unwrap_or_default().to_owned();
        match name.as_str() {
            "status" => Ok(Reply::Once(self.status())),
            "stop" => {
                self.stop.cancel();
                Ok(Reply::Stopping(json!({"ok": true, "pid": process::id()})))
            }
            "events" => self.events(&read(request)?).map(Reply::Events),
            "set" => self.set(&read(request)?).map(Reply::Once),
            "queue" => self.queue(read(request)?).await.map(Reply::Once),
            "relay" => self.run_relay().map(Reply::Once),
            "fault" => self.fault(&read(request)?).map(Reply::Once),
            "held" => self.held(&read(request)?).map(Reply::Once),
            // What is added stands here and in `REQUESTS`.
            _ => Err(format!(
                "there is no request {name:?}: \"do\" is one of {}",
                REQUESTS.join(", ")
            )),
        }
    }

    fn status(&self) -> Value {
        let counts = self.tally.counts();
        json!({
            "ok": true,
            "pid": process::id(),
            "version": env!("CARGO_PKG_VERSION"),
            "domain": &*self.domain,
            "profile": self.control.settings().view().choices.profile.name(),
            "ports": self.ports(),
            "sessions": {"open": counts.sessions_open, "total": counts.sessions_total},
            "sessions_of": {
                "echo": counts.sessions_echo,
                "smtp": counts.sessions_smtp,
                "pop3": counts.sessions_pop3,
            },
            "counters": {
                "messages": counts.messages,
                "refused": counts.refused,
                "faults": counts.faults,
            },
        })
    }

    /// The port of each server that runs; with an `s` behind the name, the one for TLS from the first
    /// octet.
    fn ports(&self) -> BTreeMap<String, u16> {
        let servers = self.control.servers.borrow();
        let running = servers.iter().filter(|server| server.condition == Condition::Running);
        let ports = running.flat_map(|server| {
            let name = server.service.name();
            let plain = server.addresses.first().map(|at| (name.to_owned(), at.port()));
            let tls = server.tls_addresses.first().map(|at| (format!("{name}s"), at.port()));
            [plain, tls].into_iter().flatten()
        });
        ports.collect()
    }

    fn events(&self, Events { since, follow }: &Events) -> Result<Reader, String> {
        let since = match since.as_deref() {
            None => Since::Start,
            Some(text) => since_of(text).map_err(|why| format!("since: {why}"))?,
        };
        let reader = self.log.reader(since);
        Ok(if *follow { reader } else { reader.until_now() })
    }

    fn set(&self, Set { name, value }: &Set) -> Result<Value, String> {
        let found = SettingName::ALL.into_iter().find(|setting| setting.name() == name);
        let found = found.ok_or_else(|| {
            let names = SettingName::ALL.map(SettingName::name).join(", ");
            format!("there is no setting {name}: there are {names}")
        })?;
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let view = self.control.set(setting::read(found, &value)?);
        Ok(json!({"ok": true, "words": setting::in_words(found, &view)}))
    }

    async fn queue(&self, Queue { order, targets }: Queue) -> Result<Value, String> {
        let order = match order.as_str() {
            "retry" => Order::Retry,
            "hold" => Order::Hold,
            "release" => Order::Release,
            "drop" => Order::Drop,
            _ => return Err(format!("there is no order {order:?}: retry, hold, release, drop")),
        };
        let target = |word: &String| word.parse().map_err(|never: Infallible| match never {});
        let targets: Result<BTreeSet<QueueTarget>, String> = targets.iter().map(target).collect();
        let (answer, mut answered) = Answer::awaited();
        self.ask_relay(RelayRequest::Ask(order, targets?, answer))?;
        let done = answered.recv().await.ok_or("the servers are ending")??;
        Ok(json!({"ok": true, "recipients": done.recipients, "messages": done.messages}))
    }

    fn run_relay(&self) -> Result<Value, String> {
        self.ask_relay(RelayRequest::Run)?;
        Ok(json!({"ok": true}))
    }

    fn fault(&self, Fault { order, rule, id }: &Fault) -> Result<Value, String> {
        let faults = &self.faults;
        let done = match order.as_str() {
            "list" => return listed(&FaultRules::of(faults)),
            "add" => {
                return self.add_fault(rule.as_deref().ok_or("there is no \"rule\" to add")?);
            }
            "remove" => faults.remove(which(id.as_ref())?),
            "on" => faults.switch(which(id.as_ref())?, true),
            "off" => faults.switch(which(id.as_ref())?, false),
            "reset" if id.is_none() => faults.reset(Which::All),
            "reset" => faults.reset(which(id.as_ref())?),
            _ => {
                let orders = "list, add, remove, on, off, reset";
                return Err(format!("there is no order {order:?}: {orders}"));
            }
        };
        done.map_err(|none| none.to_string())?;
        self.fault_changes.send_replace(());
        Ok(json!({"ok": true}))
    }

    fn held(&self, Decide { order, id, text }: &Decide) -> Result<Value, String> {
        let typed = || {
            let text = text.as_deref().ok_or("there is no \"text\" to say")?;
            octets_of(text).map_err(|error| error.to_string())
        };
        let decision = match order.as_str() {
            "list" => return listed(&HeldList::of(&self.holds)),
            "release" => Decision::Release(Cause::Operator),
            "kill" => Decision::Kill,
            "drop" => Decision::Drop,
            "edit" => Decision::Edit(typed()?),
            "answer" => Decision::Answer(typed()?),
            _ => {
                let orders = "list, release, kill, drop, edit, answer";
                return Err(format!("there is no order {order:?}: {orders}"));
            }
        };
        let which = match which(id.as_ref())? {
            Which::All if text.is_some() => return Err(format!("{order} is for one at a time")),
            Which::All => WhichHeld::All,
            Which::One(id) => WhichHeld::One(id),
        };
        self.holds.decide(which, &decision).map_err(|error| error.to_string())?;
        Ok(json!({"ok": true}))
    }

    fn add_fault(&self, rule: &str) -> Result<Value, String> {
        let were_faults = self.faults.is_active();
        let ids = self.faults.add(rule)?;
        // Those that were there at the start have been warned of.
        if ids.contains(&1) && !were_faults && self.is_open() {
            tracing::warn!("faults are played on purpose, for other machines too (--bind)");
        }
        self.fault_changes.send_replace(());
        Ok(json!({"ok": true, "ids": ids}))
    }

    /// Whether other machines can connect.
    fn is_open(&self) -> bool {
        let servers = self.control.servers.borrow();
        let mut addresses = servers.iter().flat_map(|server| &server.addresses);
        addresses.any(|address| !address.ip().to_canonical().is_loopback())
    }

    fn ask_relay(&self, request: RelayRequest) -> Result<(), String> {
        let relay = self.relay.as_ref().ok_or("there is no relay here")?;
        relay.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                "too many requests are waiting for the relay; try again".to_owned()
            }
            mpsc::error::TrySendError::Closed(_) => "the servers are ending".to_owned(),
        })
    }
}

/// The rules, as an answer.
fn listed(rules: &impl Serialize) -> Result<Value, String> {
    let mut answer = serde_json::to_value(rules).map_err(|error| error.to_string())?;
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("ok".to_owned(), true.into());
    }
    Ok(answer)
}

/// Which rules an order is for.
fn which(id: Option<&Value>) -> Result<Which, String> {
    match id {
        Some(Value::String(all)) if all == "all" => Ok(Which::All),
        Some(id) if id.is_u64() => Ok(Which::One(id.as_u64().unwrap_or_default())),
        _ => Err("\"id\" is a number, or \"all\"".to_owned()),
    }
}

/// Understands the fields of a request. Those that are not known are left out of account.
fn read<T: for<'a> Deserialize<'a>>(request: Value) -> Result<T, String> {
    serde_json::from_value(request).map_err(|error| error.to_string())
}

/// The answer to what is not carried out.
#[must_use]
pub fn refusal(why: &str) -> Value {
    json!({"ok": false, "error": why})
}
