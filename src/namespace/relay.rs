//! Joins a namespace with what is outside: connections out of it are made again from here, those to its mirrored ports lead to
//! the machine's own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ipstack::{IpStack, IpStackConfig, IpStackStream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tun_rs::{AsyncDevice, SyncDevice};

use super::{Inside, MTU};

/// A datagram is answered within this time, or not at all.
const ANSWER: Duration = Duration::from_secs(30);

/// The relay of one namespace; it ends when dropped.
#[derive(Debug)]
pub struct Relay {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Joins `inside` with the network namespace of the calling thread.
    ///
    /// # Errors
    /// Where there can be no thread or runtime for it.
    pub fn start(inside: Inside) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("relay".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = join(inside) => {}
                    // Dropped is ended, too.
                    _ = ended => {}
                }
            });
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn join(inside: Inside) {
    for (listener, outside) in inside.ports.tcp {
        if let Ok(listener) = from_std(listener) {
            tokio::spawn(async move {
                while let Ok((within, _)) = listener.accept().await {
                    tokio::spawn(connect(within, outside));
                }
            });
        }
    }
    for (socket, outside) in inside.ports.udp {
        if socket.set_nonblocking(true).is_ok()
            && let Ok(socket) = UdpSocket::from_std(socket)
        {
            tokio::spawn(ask(Arc::new(socket), outside));
        }
    }
    if let Ok(device) = inside.outward
        && let Ok(device) = Device::new(device)
    {
        outward(device).await;
    }
    std::future::pending().await
}

fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn outward(device: Device) {
    let mut config = IpStackConfig::default();
    config.mtu_unchecked(MTU);
    let mut stack = IpStack::new(config, device);
    while let Ok(stream) = stack.accept().await {
        match stream {
            IpStackStream::Tcp(stream) => {
                let outside = stream.peer_addr();
                tokio::spawn(connect(stream, outside));
            }
            IpStackStream::Udp(stream) => {
                let outside = stream.peer_addr();
                tokio::spawn(pass(stream, outside));
            }
            // What is neither has no way out.
            IpStackStream::UnknownTransport(_) | IpStackStream::UnknownNetwork(_) => {}
        }
    }
}

/// One connection, as long as both ends want it.
async fn connect(mut within: impl AsyncRead + AsyncWrite + Unpin, outside: SocketAddr) {
    // Where nobody answers, dropping what is within tells it so.
    if let Ok(mut outside) = TcpStream::connect(outside).await {
        let _ = copy_bidirectional(&mut within, &mut outside).await;
        let _ = within.shutdown().await;
    }
}

/// The datagrams of one socket to one address, and what comes back.
async fn pass(mut within: impl AsyncRead + AsyncWrite + Unpin, outside: SocketAddr) {
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await else { return };
    if socket.connect(outside).await.is_err() {
        return;
    }
    let (mut out, mut back) = ([0; 65_536], [0; 65_536]);
    loop {
        let step = async {
            tokio::select! {
                read = within.read(&mut out) => match read {
                    Ok(length) if length > 0 => socket.send(out.get(..length)?).await.ok().map(|_| ()),
                    _ => None,
                },
                read = socket.recv(&mut back) => within.write_all(back.get(..read.ok()?)?).await.ok(),
            }
        };
        if !matches!(timeout(ANSWER, step).await, Ok(Some(()))) {
            return;
        }
    }
}

/// Questions to a name server on the loopback, each from a port of its own.
async fn ask(within: Arc<UdpSocket>, outside: SocketAddr) {
    let mut question = [0; 4096];
    while let Ok((length, from)) = within.recv_from(&mut question).await {
        let question = question.get(..length).unwrap_or_default().to_vec();
        let within = Arc::clone(&within);
        tokio::spawn(async move {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
            socket.send_to(&question, outside).await?;
            let mut answer = [0; 65_536];
            let length = timeout(ANSWER, socket.recv(&mut answer)).await??;
            within.send_to(answer.get(..length).unwrap_or_default(), from).await
        });
    }
}

/// The way out, as the stack reads and writes it: a packet at a time.
struct Device(AsyncDevice);

impl Device {
    fn new(device: SyncDevice) -> io::Result<Self> {
        AsyncDevice::new(device).map(Self)
    }
}

impl AsyncRead for Device {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_recv(context, buffer.initialize_unfilled()).map_ok(|length| buffer.advance(length))
    }
}

impl AsyncWrite for Device {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_send(context, packet)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
