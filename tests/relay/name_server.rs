//! A name server in the test process, over UDP and TCP at one port of 127.0.0.1.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// What is answered to one question.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// These records of the name that was asked for.
    Records(Vec<RData>),
    /// The name exists, but not with such a record.
    NoData,
    NxDomain,
    ServFail,
    Refused,
    /// Nothing.
    Silence,
    /// Nothing that makes sense.
    Garbage,
    /// Over UDP only that it is too long; over TCP this.
    OverTcp(Vec<RData>),
}

pub(crate) fn mx(preference: u16, host: &str) -> RData {
    RData::MX(MX::new(preference, name(host)))
}

pub(crate) fn alias(of: &str) -> RData {
    RData::CNAME(CNAME(name(of)))
}

pub(crate) fn at(address: &str) -> RData {
    match address.parse().expect("an address") {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

type Zone = Arc<dyn Fn(&str, RecordType) -> Answer + Send + Sync>;

pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    questions: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl NameServer {
    /// One that knows `zone`: names come in lower case and without the dot at their end.
    pub(crate) async fn of(
        zone: impl Fn(&str, RecordType) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::on(same_port().await, zone)
    }

    /// The same at the port of `other` and at another address of this machine.
    pub(crate) async fn beside(
        other: &Self,
        zone: impl Fn(&str, RecordType) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 2], other.address.port()));
        let udp = UdpSocket::bind(address).await.expect("a port");
        let tcp = TcpListener::bind(address).await.expect("a port");
        Self::on((udp, tcp), zone)
    }

    fn on(
        (udp, tcp): (UdpSocket, TcpListener),
        zone: impl Fn(&str, RecordType) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let address = udp.local_addr().expect("an address");
        let zone: Zone = Arc::new(zone);
        let questions = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&questions);
        let counting: Zone = Arc::new(move |name, kind| {
            counted.fetch_add(1, Relaxed);
            zone(name, kind)
        });
        let tasks = [
            tokio::spawn(answer_udp(udp, Arc::clone(&counting))),
            tokio::spawn(answer_tcp(tcp, counting)),
        ];
        Self { address, questions, tasks }
    }

    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Relaxed)
    }
}

async fn same_port() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = udp.local_addr().expect("an address");
        if let Ok(tcp) = TcpListener::bind(address).await {
            return (udp, tcp);
        }
    }
}

async fn answer_udp(udp: UdpSocket, zone: Zone) {
    let mut datagram = [0; 4_096];
    while let Ok((octets, from)) = udp.recv_from(&mut datagram).await {
        if let Some(answer) = answer(&datagram[..octets], &zone, Route::Udp) {
            let _ = udp.send_to(&answer, from).await;
        }
    }
}

async fn answer_tcp(tcp: TcpListener, zone: Zone) {
    while let Ok((stream, _)) = tcp.accept().await {
        tokio::spawn(serve_tcp(stream, Arc::clone(&zone)));
    }
}

async fn serve_tcp(mut stream: TcpStream, zone: Zone) -> io::Result<()> {
    loop {
        let mut question = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut question).await?;
        if let Some(answer) = answer(&question, &zone, Route::Tcp) {
            let octets = u16::try_from(answer.len()).expect("an answer of 64 KiB");
            stream.write_u16(octets).await?;
            stream.write_all(&answer).await?;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Udp,
    Tcp,
}

fn answer(question: &[u8], zone: &Zone, route: Route) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let query = question.queries.first()?;
    let asked = query.name().to_ascii().to_ascii_lowercase();
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.add_query(query.clone());
    answer.metadata.recursion_available = true;
    match (zone(asked.trim_end_matches('.'), query.query_type()), route) {
        (Answer::Records(records), _) | (Answer::OverTcp(records), Route::Tcp) => {
            answer.add_answers(of(query, records));
        }
        (Answer::OverTcp(_), Route::Udp) => answer.metadata.truncation = true,
        (Answer::NoData, _) => {}
        (Answer::NxDomain, _) => answer.metadata.response_code = ResponseCode::NXDomain,
        (Answer::ServFail, _) => answer.metadata.response_code = ResponseCode::ServFail,
        (Answer::Refused, _) => answer.metadata.response_code = ResponseCode::Refused,
        (Answer::Silence, _) => return None,
        (Answer::Garbage, _) => return Some(question.to_vec().ok()?.into_iter().rev().collect()),
    }
    answer.to_vec().ok()
}

fn of(query: &Query, records: Vec<RData>) -> impl Iterator<Item = Record> {
    let name = query.name().clone();
    records.into_iter().map(move |record| Record::from_rdata(name.clone(), 60, record))
}
