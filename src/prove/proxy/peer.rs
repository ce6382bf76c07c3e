//! One side of a proxied connection: a socket, and what came from it and is not used up yet.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How long a server that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to leave it alone in between.
const PAUSE: Duration = Duration::from_millis(20);

/// How much of a reply is kept before it is passed on in parts. Its end always waits for the gate.
pub(super) const KEPT: usize = 256 << 10;

/// The least and the most to make room for at a time. The buffer grows with what has come, never
/// with what a length promises.
const ROOM: std::ops::RangeInclusive<usize> = 8 << 10..=1 << 20;

/// The most that may wait to become whole: a statement or a row of MariaDB/MySQL and PostgreSQL is
/// 1 GiB at most.
const LIMIT: usize = (1 << 30) + (1 << 20);

pub(super) struct Peer {
    stream: TcpStream,
    buffer: Vec<u8>,
    used: usize,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        // A statement is a round trip of small packets.
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            used: 0,
        })
    }

    /// Connects to a server, which may be just restarting.
    pub(super) async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_until(address, deadline()).await
    }

    /// The same, for a limited time.
    pub(super) async fn connect_until(address: SocketAddr, deadline: Instant) -> io::Result<Self> {
        loop {
            let attempt = timeout(PATIENCE, TcpStream::connect(address)).await;
            let error = match attempt {
                // While nobody listens on a port, a connection to it may get this very port for its
                // own end and find itself.
                Ok(Ok(stream)) if stream.local_addr()? == address => io::ErrorKind::TimedOut.into(),
                Ok(Ok(stream)) => return Self::new(stream),
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            if !pause(deadline).await {
                return Err(error);
            }
        }
    }

    /// What has come and is not used up.
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    /// Uses up so many bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.used = self.used.saturating_add(count).min(self.buffer.len());
    }

    /// Takes out so many bytes.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let bytes = self.unread()[..count.min(self.unread().len())].to_vec();
        self.consume(count);
        bytes
    }

    /// Waits for more; an error at the end. What a cancelled call has read is not lost.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        loop {
            self.stream.readable().await?;
            if self.try_fill()? {
                return Ok(());
            }
        }
    }

    /// Reads what is there, if anything is.
    pub(super) fn try_fill(&mut self) -> io::Result<bool> {
        self.make_room()?;
        match self.stream.try_read_buf(&mut self.buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    fn make_room(&mut self) -> io::Result<()> {
        if self.used == self.buffer.len() {
            self.used = 0;
            self.buffer.clear();
            // One large row must not stay for the rest of the connection.
            self.buffer.shrink_to(*ROOM.end());
        } else if self.used > self.buffer.len() / 2 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        if self.buffer.len() > LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too long"));
        }
        let room = self.buffer.len().clamp(*ROOM.start(), *ROOM.end());
        self.buffer.reserve(room);
        Ok(())
    }
}

/// Until when a server is waited for.
pub(super) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// Whether there is time to try again; if there is, after a while.
pub(super) async fn pause(deadline: Instant) -> bool {
    let again = Instant::now() < deadline;
    if again {
        sleep(PAUSE).await;
    }
    again
}

/// Waits for more from either side; whether it was the first.
pub(super) async fn fill_either(a: &mut Peer, b: &mut Peer) -> io::Result<bool> {
    match select(pin!(a.fill()), pin!(b.fill())).await {
        Either::Left((filled, _)) => filled.map(|()| true),
        Either::Right((filled, _)) => filled.map(|()| false),
    }
}
