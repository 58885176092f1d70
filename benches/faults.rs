//! What the loop of the servers pays for faults and breakpoints that are not there: the same
//! conversation without the module, with it and no rule, and with rules that match nothing. In one
//! run and in turn, as ratios to the loop without the module.
//!
//! `cargo bench --bench faults`
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mailconsole::fault::faults::Faults;
use mailconsole::servers::channel::{Channel, Place};
use mailconsole::servers::echo::EchoServer;
use mailconsole::servers::holds::Holds;
use mailconsole::servers::listener::Server;
use mailconsole::servers::serve::serve;
use mailconsole::watch::connection_log::ConnectionLog;
use mailconsole::watch::event::ConnectionName;
use mailconsole::watch::observers::Observers;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// How often each is measured.
const ROUNDS: usize = 15;

/// Commands that are sent at once; their replies are read before the next are sent.
const AT_ONCE: usize = 100;

/// How often so many are sent in one conversation.
const TIMES: usize = 2_000;

/// What ECHO repeats: as cheap as a command can be, so that nothing hides what the module costs.
const COMMAND: &[u8] = b"ECHO hello\r\n";
const REPLY: usize = b"+OK hello\r\n".len();

fn main() {
    let runtime = Builder::new_current_thread().build().unwrap();
    println!("{} ECHO commands, {AT_ONCE} at once, over a pipe in memory", AT_ONCE * TIMES);
    let variants: [(&str, &dyn Fn(Channel) -> Channel); 3] = [
        ("no rule / without the module", &|channel| with(channel, &[], &[])),
        ("a rule of another server / without the module", &|channel| {
            with(channel, &["smtp.rcpt : 451 later"], &["pop3.retr"])
        }),
        ("a rule that never matches / without the module", &|channel| {
            with(channel, &["echo.line client=192.0.2.1 : cut"], &[])
        }),
    ];
    // Once for nothing: the first conversation pays for the memory.
    let _ = seconds(&runtime, |channel| channel);
    for (name, module) in variants {
        let mut ratios: Vec<f64> = (0..ROUNDS)
            .map(|_| seconds(&runtime, module) / seconds(&runtime, |channel| channel))
            .collect();
        ratios.sort_by(f64::total_cmp);
        let (least, median, most) = (ratios[0], ratios[ROUNDS / 2], ratios[ROUNDS - 1]);
        println!("{name}: {median:.3} ({least:.3}-{most:.3})");
    }
}

fn with(channel: Channel, rules: &[&str], breakpoints: &[&str]) -> Channel {
    let (faults, holds) = (Faults::new(0, false), Holds::default());
    for rule in rules {
        faults.add(rule).unwrap();
    }
    for breakpoint in breakpoints {
        holds.add(breakpoint).unwrap();
    }
    channel.with_faults(Arc::new(faults)).with_holds(Arc::new(holds))
}

/// How long one conversation takes.
fn seconds(runtime: &Runtime, module: impl Fn(Channel) -> Channel) -> f64 {
    runtime.block_on(async {
        let (mut ours, theirs) = duplex(1 << 16);
        let server = EchoServer { author: "ann".into() };
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let name = ConnectionName { id: 1, number: 1, service: EchoServer::PROTOCOL };
        let log = ConnectionLog::opened(name, peer, Observers::none(), None);
        let channel = Channel::new(theirs.into(), log, Place::default(), CancellationToken::new());
        let (session, service) = server.open(peer);
        let conversation = tokio::spawn(serve(module(channel), session, service, Arc::default()));
        let mut greeting = [0; 4_096];
        assert!(ours.read(&mut greeting).await.unwrap() > 0);
        let (commands, mut replies) = (COMMAND.repeat(AT_ONCE), vec![0; REPLY * AT_ONCE]);
        let began = Instant::now();
        for _ in 0..TIMES {
            ours.write_all(&commands).await.unwrap();
            ours.read_exact(&mut replies).await.unwrap();
        }
        let seconds = began.elapsed().as_secs_f64();
        assert!(replies.ends_with(b"hello\r\n"), "{}", String::from_utf8_lossy(&replies));
        drop(ours);
        conversation.await.unwrap();
        seconds
    })
}
