//! Events for a system log: RFC 5424 messages over UDP (RFC 5426), TCP (RFC 6587, octet counting) or a Unix socket.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Output, Sink, line};
use crate::model::event::Event;
use crate::model::{Severity, Timestamp};

/// "Security/authorization messages" (RFC 5424 section 6.2.1).
const FACILITY: u8 = 10;
/// Nobody waits longer for a server.
const PATIENCE: Duration = Duration::from_secs(3);
/// A server that is gone is asked again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// Where a system log listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `udp://host:port`
    Udp(String),
    /// `tcp://host:port`
    Tcp(String),
    /// A path, such as `/dev/log`.
    Unix(PathBuf),
}

impl Address {
    /// From `udp://host[:514]`, `tcp://host[:601]`, `unix:///path` or a path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let with_port = |host: &str, port: u16| {
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            (!host.is_empty()).then(|| if has_port { host.to_owned() } else { format!("{host}:{port}") })
        };
        match text.split_once("://") {
            Some(("udp", host)) => with_port(host, 514).map(Self::Udp),
            Some(("tcp", host)) => with_port(host, 601).map(Self::Tcp),
            Some(("unix", path)) if !path.is_empty() => Some(Self::Unix(path.into())),
            None if text.starts_with('/') => Some(Self::Unix(text.into())),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(host) => write!(f, "udp://{host}"),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
            Self::Unix(path) => write!(f, "{}", super::clean(&path.to_string_lossy())),
        }
    }
}

/// Writes each event as one message: the line of ndjson behind the header.
pub(super) struct Syslog {
    out: Output,
    host: String,
    message: Vec<u8>,
}

impl Syslog {
    pub(super) fn new(out: Output) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
        Self { out, host: if host.is_empty() { "-".to_owned() } else { host }, message: Vec::new() }
    }
}

impl Sink for Syslog {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let (kind, severity, time) = match event {
            Event::Leak(leak) => ("leak", level(leak.severity), Some(leak.time)),
            Event::Again(again) => ("again", 6, Some(again.last)),
            Event::Lost(_) => ("lost", 4, None),
            Event::Summary(_) => ("summary", 6, None),
        };
        self.message.clear();
        write!(
            self.message,
            "<{}>1 {} {} leaktap {} {kind} - ",
            FACILITY * 8 + severity,
            time.map_or_else(|| "-".to_owned(), stamp),
            self.host,
            std::process::id()
        )?;
        line(event, &mut self.message)?;
        self.message.pop();
        self.out.write_all(&self.message)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The numerical code of RFC 5424 section 6.2.1: critical, error, warning, notice, informational.
fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

/// At most six digits of fraction are allowed (RFC 5424 section 6.2.3).
fn stamp(time: Timestamp) -> String {
    let micros = time.as_nanos() / 1000 * 1000;
    Timestamp::from_nanos(micros).to_string().replace("000Z", "Z")
}

/// A connection that is made when it is needed; each write is one message.
pub(super) struct Wire {
    address: Address,
    connection: Option<Connection>,
    again: Instant,
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Unix(UnixDatagram),
}

impl Wire {
    pub(super) fn new(address: Address) -> Self {
        Self { address, connection: None, again: Instant::now() }
    }

    fn connect(&self) -> io::Result<Connection> {
        match &self.address {
            Address::Udp(host) => {
                let target = host.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
                let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(target)?;
                Ok(Connection::Udp(socket))
            }
            Address::Tcp(host) => {
                let target = host.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
                let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Connection::Tcp(stream))
            }
            Address::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(PATIENCE))?;
                socket.connect(path)?;
                Ok(Connection::Unix(socket))
            }
        }
    }
}

impl Write for Wire {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let sent = match self.connection.as_mut() {
            None if Instant::now() < self.again => return Err(io::ErrorKind::NotConnected.into()),
            None => self.connect().and_then(|mut connection| {
                connection.send(message)?;
                self.connection = Some(connection);
                Ok(())
            }),
            Some(connection) => connection.send(message),
        };
        match sent {
            Ok(()) => Ok(message.len()),
            Err(error) => {
                self.connection = None;
                self.again = Instant::now() + AGAIN;
                // A server that went is a fault here, not a reader that has seen enough.
                Err(io::Error::new(io::ErrorKind::NotConnected, error))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message).map(|_| ()),
            Self::Unix(socket) => socket.send(message).map(|_| ()),
            Self::Tcp(stream) => {
                let mut frame = format!("{} ", message.len()).into_bytes();
                frame.extend_from_slice(message);
                stream.write_all(&frame)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::super::example;
    use super::*;

    #[test]
    fn an_address_is_a_scheme_and_a_host_or_a_path() {
        for (text, shown) in [
            ("udp://192.0.2.1", Some("udp://192.0.2.1:514")),
            ("tcp://log.example:1514", Some("tcp://log.example:1514")),
            ("udp://[2001:db8::1]:514", Some("udp://[2001:db8::1]:514")),
            ("unix:///dev/log", Some("/dev/log")),
            ("/dev/log", Some("/dev/log")),
            ("log.example", None),
            ("tls://log.example", None),
            ("udp://", None),
            ("", None),
        ] {
            assert_eq!(Address::parse(text).map(|address| address.to_string()).as_deref(), shown, "{text}");
        }
    }

    fn messages(out: Output) {
        let mut sink = Syslog { host: "host".into(), ..Syslog::new(out) };
        for event in &example::events()[..2] {
            sink.event(event).unwrap();
        }
        sink.finish().unwrap();
    }

    #[test]
    fn each_way_carries_whole_messages() {
        let begins = |text: &[u8]| {
            let text = String::from_utf8(text.to_vec()).unwrap();
            assert!(text.starts_with("<82>1 2026-11-22T05:22:00.123456Z host leaktap "), "{text}");
            assert!(text.contains(" leak - {\"v\":1,\"type\":\"leak\"") && text.ends_with('}'), "{text}");
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut bytes = [0; 1 << 16];

        let unix = UnixDatagram::bind(&path).unwrap();
        messages(Box::new(Wire::new(Address::Unix(path))));
        let length = unix.recv(&mut bytes).unwrap();
        begins(&bytes[..length]);

        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        messages(Box::new(Wire::new(Address::Udp(udp.local_addr().unwrap().to_string()))));
        let length = udp.recv(&mut bytes).unwrap();
        begins(&bytes[..length]);

        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        messages(Box::new(Wire::new(Address::Tcp(tcp.local_addr().unwrap().to_string()))));
        let mut text = Vec::new();
        tcp.accept().unwrap().0.read_to_end(&mut text).unwrap();
        let space = text.iter().position(|&byte| byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&text[..space]).unwrap().parse().unwrap();
        begins(&text[space + 1..space + 1 + length]);
        assert!(text[space + 1 + length].is_ascii_digit(), "the next message follows");
    }

    #[test]
    fn a_dead_server_is_an_error_and_no_clean_end() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut wire = Wire::new(Address::Tcp(port.to_string()));
        for _ in 0..2 {
            assert_eq!(wire.write(b"x").unwrap_err().kind(), io::ErrorKind::NotConnected);
        }
    }
}
