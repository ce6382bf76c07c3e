//! Who answers at the address of a server that could not be reached as it was named: a URL of one kind at the port of
//! the other is an easy mistake, and the drivers only say that they did not understand.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::{ConnectOptions, Engine, Target};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A client's question whether PostgreSQL would encrypt; it answers with one letter.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The engine that answers there, if it is not the one that the target names.
pub(super) fn other_engine(target: &Target) -> Option<Engine> {
    match target {
        Target::Sqlite(_) => None,
        Target::Mysql(options) => is_postgres(options).then_some(Engine::Postgres),
        Target::Postgres(options) => greets_as_mysql(options).then_some(Engine::Mysql),
    }
}

fn reached(options: &ConnectOptions) -> Option<TcpStream> {
    if options.socket.is_some() {
        return None;
    }
    let place = (options.host.as_str(), options.port);
    let address = place.to_socket_addrs().ok()?.next()?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

/// MariaDB and MySQL speak first: a packet with the number 0, of version 10 or with an error.
fn greets_as_mysql(options: &ConnectOptions) -> bool {
    let mut head = [0; 5];
    let greeting = reached(options).and_then(|mut stream| stream.read_exact(&mut head).ok());
    greeting.is_some() && head[3] == 0 && matches!(head[4], 10 | 0xff)
}

fn is_postgres(options: &ConnectOptions) -> bool {
    let mut answer = [0; 8];
    let length = reached(options).and_then(|mut stream| {
        stream.write_all(&SSL_REQUEST).ok()?;
        stream.read(&mut answer).ok()
    });
    // A greeting is longer.
    length == Some(1) && matches!(answer[0], b'S' | b'N')
}
