//! What we are compared with: programs of others where they are installed, and two small servers
//! of one epoll loop each, which are this program once more in a process of its own.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::Uid;

use crate::cores::Cores;
use crate::process::Server;

/// The first argument of this program where it is to be a peer.
const PEER: &str = "peer";

/// Connections that may wait for smtp-sink.
const BACKLOG: &str = "4000";

/// Serves as a peer, if the arguments say so.
pub(crate) fn serve_if_asked() {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    match words[..] {
        [PEER, "echo"] => serve::<Echo>(),
        [PEER, "sink"] => serve::<Sink>(),
        [PEER, "popa3d", program] => serve_by_processes(Path::new(program)),
        _ => {}
    }
}

/// This program as a peer.
pub(crate) fn ourselves(peer: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([PEER, peer]);
    command
}

/// A program of somebody else's, if it is installed.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A server that says what an SMTP server says, and throws the mail away.
#[derive(Debug)]
pub(crate) enum MailSink {
    /// Postfix's.
    Postfix(PathBuf),
    /// Ours, because that one is not installed.
    StandIn,
}

impl MailSink {
    pub(crate) fn find() -> Self {
        installed("smtp-sink").map_or(Self::StandIn, Self::Postfix)
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Postfix(_) => "smtp-sink",
            Self::StandIn => "our sink",
        }
    }

    pub(crate) fn start(&self, cores: &Cores) -> Server {
        let Self::Postfix(program) = self else {
            return Server::start(&mut ourselves("sink"), cores);
        };
        let port = free_port();
        let mut command = Command::new(program);
        // As root it insists on being told who it is to be.
        if Uid::effective().is_root() {
            command.args(["-u", "nobody"]);
        }
        command.args(["-h", "localhost", &format!("127.0.0.1:{port}"), BACKLOG]);
        Server::start_on(port, &mut command, cores)
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    listener
}

/// What is said on one connection.
trait Conversation: Default {
    const GREETING: &'static [u8];

    /// Appends the answer to what has come.
    fn answer(&mut self, arrived: &[u8], answer: &mut Vec<u8>);
}

/// All connections in one thread, as a C program would do it: read, answer, wait.
fn serve<C: Conversation>() -> ! {
    let listener = listen();
    listener.set_nonblocking(true).unwrap();
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, u64::MAX)).unwrap();
    let mut connections: HashMap<u64, (TcpStream, C)> = HashMap::new();
    let mut ids = 0..u64::MAX;
    let (mut buffer, mut answer) = (vec![0; 64 * 1024], Vec::new());
    let mut events = [EpollEvent::empty(); 256];
    loop {
        let ready = epoll.wait(&mut events, EpollTimeout::NONE).unwrap();
        for event in &events[..ready] {
            let id = event.data();
            let Some((stream, conversation)) = connections.get_mut(&id) else {
                while let Ok((mut stream, _)) = listener.accept() {
                    let id = ids.next().unwrap();
                    stream.set_nodelay(true).unwrap();
                    stream.write_all(C::GREETING).unwrap();
                    stream.set_nonblocking(true).unwrap();
                    epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, id)).unwrap();
                    connections.insert(id, (stream, C::default()));
                }
                continue;
            };
            answer.clear();
            match stream.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Ok(octets @ 1..) => conversation.answer(&buffer[..octets], &mut answer),
                Ok(0) | Err(_) => drop(connections.remove(&id)),
            }
            // Answers are short, and asked for one by one: they always fit.
            if let Some((stream, _)) = connections.get_mut(&id)
                && !answer.is_empty()
                && stream.write_all(&answer).is_err()
            {
                connections.remove(&id);
            }
        }
    }
}

/// Sends everything back.
#[derive(Default)]
struct Echo;

impl Conversation for Echo {
    const GREETING: &'static [u8] = b"";

    fn answer(&mut self, arrived: &[u8], answer: &mut Vec<u8>) {
        answer.extend_from_slice(arrived);
    }
}

/// Takes mail from clients that wait for each answer, and forgets it.
#[derive(Default)]
struct Sink {
    /// The last octets that came, enough to see the end of a line or of a text.
    last: Vec<u8>,
    in_text: bool,
}

impl Conversation for Sink {
    const GREETING: &'static [u8] = b"220 sink\r\n";

    fn answer(&mut self, arrived: &[u8], answer: &mut Vec<u8>) {
        const END_OF_TEXT: &[u8] = b"\r\n.\r\n";
        let begins_text = !self.in_text && self.last.is_empty() && arrived.starts_with(b"DATA");
        self.last.extend_from_slice(&arrived[arrived.len().saturating_sub(END_OF_TEXT.len())..]);
        self.last.drain(..self.last.len().saturating_sub(END_OF_TEXT.len()));
        let end: &[u8] = if self.in_text { END_OF_TEXT } else { b"\r\n" };
        if !self.last.ends_with(end) {
            return;
        }
        answer.extend_from_slice(match (begins_text, arrived) {
            (true, _) => b"354 go\r\n",
            (false, b"QUIT\r\n") => b"221 bye\r\n",
            (false, _) => b"250 OK\r\n",
        });
        self.in_text = begins_text;
        self.last.clear();
    }
}

/// A process for each connection, as inetd does it.
fn serve_by_processes(program: &Path) -> ! {
    let listener = listen();
    loop {
        let (stream, _) = listener.accept().unwrap();
        // An answer in two small pieces would wait for the client's acknowledgement in between.
        stream.set_nodelay(true).unwrap();
        let input = Stdio::from(std::os::fd::OwnedFd::from(stream.try_clone().unwrap()));
        let output = Stdio::from(std::os::fd::OwnedFd::from(stream));
        let mut command = Command::new(program);
        let mut child = command.stdin(input).stdout(output).stderr(Stdio::null()).spawn().unwrap();
        thread::spawn(move || child.wait().unwrap());
    }
}
