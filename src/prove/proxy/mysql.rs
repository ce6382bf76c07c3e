//! A connection between an engine and a MariaDB or MySQL server.
//!
//! The login is passed on as it is, but for capabilities that nobody may agree on: with them the
//! proxy could not read on. Then it goes command by command: a text (COM_QUERY) and the execution of
//! a prepared statement (COM_STMT_EXECUTE) pass the gate, everything else does not. A command of
//! which the proxy does not know how its reply ends closes the connection.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use super::mysql_packets::{
    HEADER, capability, fragment, fragments, long, packet, packet_end, query, refusal, status,
    tame_greeting, tame_response,
};
use super::mysql_reply::{Expect, Outcome, ReplyParser};
use super::peer::{KEPT, Peer, fill_either};
use super::watch::{Case, Watch, cut, malformed};
use crate::prove::gate::{Reply, Verdict};

/// The id that MariaDB takes for the statement that was prepared last.
const LAST_PREPARED: u32 = u32::MAX;

/// The commands of the protocol that are known here, by what is done with them.
mod command {
    pub(super) const QUIT: u8 = 0x01;
    pub(super) const QUERY: u8 = 0x03;
    pub(super) const FIELD_LIST: u8 = 0x04;
    pub(super) const STATISTICS: u8 = 0x09;
    pub(super) const PING: u8 = 0x0e;
    pub(super) const CHANGE_USER: u8 = 0x11;
    pub(super) const STMT_PREPARE: u8 = 0x16;
    pub(super) const STMT_EXECUTE: u8 = 0x17;
    pub(super) const STMT_SEND_LONG_DATA: u8 = 0x18;
    pub(super) const STMT_CLOSE: u8 = 0x19;
    pub(super) const STMT_FETCH: u8 = 0x1c;
    pub(super) const STMT_BULK_EXECUTE: u8 = 0xfa;
    /// Answered like a query: INIT_DB, CREATE_DB, DROP_DB, REFRESH, SHUTDOWN, PROCESS_INFO,
    /// PROCESS_KILL, DEBUG, PING, STMT_RESET, SET_OPTION, RESET_CONNECTION.
    pub(super) const LIKE_A_QUERY: [u8; 12] = [
        0x02, 0x05, 0x06, 0x07, 0x08, 0x0a, 0x0c, 0x0d, PING, 0x1a, 0x1b, 0x1f,
    ];
}

/// Whether the client gets to hear a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hear {
    /// It does; the numbers of the packets are raised by this.
    Yes(u8),
    No,
}

struct Connection {
    client: Peer,
    server: Peer,
    watch: Watch,
    deprecate_eof: bool,
    in_transaction: bool,
    prepared: HashMap<u32, Vec<u8>>,
    last_prepared: u32,
    /// The part of the reply that the client has not got yet.
    held: Vec<u8>,
}

/// Leads a conversation to its end.
pub(super) async fn converse(mut client: Peer, upstream: SocketAddr, case: Case) -> io::Result<()> {
    let mut server = Peer::connect(upstream).await?;
    let mut greeting = next_packet(&mut server).await?;
    let offered = match greeting.get(HEADER) {
        // Too many connections, for one.
        Some(0xff) => return client.send(&greeting).await,
        _ => tame_greeting(&mut greeting[HEADER..]).map_err(malformed)?,
    };
    client.send(&greeting).await?;
    let mut response = next_packet(&mut client).await?;
    let agreed = offered & tame_response(&mut response[HEADER..]).map_err(malformed)?;
    server.send(&response).await?;
    let mut connection = Connection {
        client,
        server,
        watch: case.watch(),
        deprecate_eof: agreed & capability::DEPRECATE_EOF != 0,
        in_transaction: false,
        prepared: HashMap::new(),
        last_prepared: 0,
        held: Vec::new(),
    };
    connection.login().await?;
    while connection.command().await? {}
    Ok(())
}

async fn next_packet(peer: &mut Peer) -> io::Result<Vec<u8>> {
    loop {
        if let Some(end) = packet_end(peer.unread()) {
            return Ok(peer.take(end));
        }
        peer.fill().await?;
    }
}

impl Connection {
    /// Passes on what both sides say until the server is content. If it is not, it hangs up.
    async fn login(&mut self) -> io::Result<()> {
        loop {
            while let Some(end) = packet_end(self.client.unread()) {
                let packet = self.client.take(end);
                self.server.send(&packet).await?;
            }
            while let Some(end) = packet_end(self.server.unread()) {
                let packet = self.server.take(end);
                self.client.send(&packet).await?;
                if matches!(packet.get(HEADER), Some(0 | 0xff)) {
                    return Ok(());
                }
            }
            fill_either(&mut self.client, &mut self.server).await?;
        }
    }

    /// Waits for the next command. What the server says unasked, that it shuts down for one, is
    /// passed on.
    async fn next_command(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = packet_end(self.client.unread()) {
                return Ok(self.client.take(end));
            }
            if !fill_either(&mut self.client, &mut self.server).await? {
                let unasked = self.server.take(usize::MAX);
                self.client.send(&unasked).await?;
            }
        }
    }

    /// Sees to one command; whether there may be more.
    async fn command(&mut self) -> io::Result<bool> {
        let packet = self.next_command().await?;
        let payload = &packet[HEADER..];
        let expect = match payload.first() {
            Some(&command::QUERY) => {
                self.statement(&text(&packet), &packet).await?;
                return Ok(true);
            }
            Some(&(command::STMT_EXECUTE | command::STMT_BULK_EXECUTE)) => {
                let text = self.text_of(payload);
                self.statement(&text, &packet).await?;
                return Ok(true);
            }
            Some(&command::STMT_PREPARE) => Expect::Prepared,
            Some(&command::STATISTICS) => Expect::Single,
            Some(&(command::FIELD_LIST | command::STMT_FETCH)) => Expect::Rows,
            Some(byte) if command::LIKE_A_QUERY.contains(byte) => Expect::Results,
            Some(&command::STMT_SEND_LONG_DATA) => {
                return self.server.send(&packet).await.map(|()| true);
            }
            Some(&command::STMT_CLOSE) => {
                if let Some(id) = long(payload, 1) {
                    self.prepared.remove(&id);
                }
                return self.server.send(&packet).await.map(|()| true);
            }
            Some(&command::CHANGE_USER) => {
                self.server.send(&packet).await?;
                self.in_transaction = false;
                self.prepared.clear();
                return self.login().await.map(|()| true);
            }
            Some(&command::QUIT) => return self.server.send(&packet).await.map(|()| false),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        self.server.send(&packet).await?;
        let outcome = self.reply(expect, Hear::Yes(0)).await?;
        if let Some(id) = outcome.prepared {
            self.prepared.insert(id, text(&packet));
            self.last_prepared = id;
        }
        self.client.send(&self.held).await?;
        Ok(true)
    }

    /// The text of the prepared statement that is to be executed.
    fn text_of(&self, payload: &[u8]) -> Vec<u8> {
        let id = long(payload, 1).map(|id| match id {
            LAST_PREPARED => self.last_prepared,
            id => id,
        });
        let text = id.and_then(|id| self.prepared.get(&id));
        text.cloned().unwrap_or_default()
    }

    /// Takes a statement past the gate.
    async fn statement(&mut self, text: &[u8], command: &[u8]) -> io::Result<()> {
        let statement = self.watch.statement(text, self.in_transaction);
        let verdict = self.watch.before(&statement).await?;
        let instead = match &verdict {
            Verdict::Pass | Verdict::CutAfter | Verdict::Interrupt => None,
            Verdict::CutBefore => return Err(cut()),
            Verdict::Refuse(refused) => {
                if refused.rolls_back {
                    self.aside(&query("ROLLBACK")).await?;
                }
                Some(query(&refusal(refused)))
            }
            Verdict::Replace(sql) => Some(query(sql)),
        };
        let sent = instead.as_deref().unwrap_or(command);
        let hear = match verdict {
            Verdict::CutAfter => Hear::No,
            // The client counts from its own packets, not from those that were sent for them.
            _ => Hear::Yes(count(command).wrapping_sub(count(sent))),
        };
        self.server.send(sent).await?;
        let outcome = self.reply(Expect::Results, hear).await?;
        if outcome.error.is_some() {
            // An error does not tell what has become of the transaction. A server that is gone has
            // none.
            let ping = self.aside(&packet(0, &[command::PING])).await;
            self.in_transaction &= ping.is_ok_and(|ping| ping.status.is_some());
        }
        let reply = Reply {
            error: outcome
                .error
                .map(|(code, message)| (code.to_string(), message)),
            affected: outcome.affected,
            in_transaction: self.in_transaction,
        };
        self.watch.after(&statement, reply).await?;
        if hear == Hear::No {
            return Err(cut());
        }
        self.client.send(&self.held).await
    }

    /// Has the server run a command of the proxy's own.
    async fn aside(&mut self, command: &[u8]) -> io::Result<Outcome> {
        let held = std::mem::take(&mut self.held);
        self.server.send(command).await?;
        let outcome = self.reply(Expect::Results, Hear::No).await;
        self.held = held;
        outcome
    }

    /// Reads a reply to its end. What the client may hear of it is then held, all or the last part.
    async fn reply(&mut self, expect: Expect, hear: Hear) -> io::Result<Outcome> {
        self.held.clear();
        self.held.shrink_to(KEPT);
        let mut parser = ReplyParser::new(expect, self.deprecate_eof);
        let (mut last, mut goes_on) = (false, false);
        while !last || goes_on {
            let Some(part) = fragment(self.server.unread()) else {
                self.server.fill().await?;
                continue;
            };
            if !goes_on {
                last = parser.feed(part.payload).map_err(malformed)?;
            }
            goes_on = part.goes_on();
            let end = HEADER + part.payload.len();
            let sequence = part.sequence;
            if let Hear::Yes(offset) = hear {
                let number = self.held.len() + HEADER - 1;
                self.held.extend_from_slice(&self.server.unread()[..end]);
                self.held[number] = sequence.wrapping_add(offset);
                if !last && self.held.len() >= KEPT {
                    self.client.send(&self.held).await?;
                    self.held.clear();
                }
            }
            self.server.consume(end);
        }
        let outcome = parser.outcome();
        if let Some(status) = outcome.status {
            self.in_transaction = status & status::IN_TRANSACTION != 0;
        }
        Ok(outcome)
    }
}

/// The text behind the first byte of a command.
fn text(packet: &[u8]) -> Vec<u8> {
    // A very long one has headers inside.
    let mut parts: Vec<_> = fragments(packet).map(|f| f.payload).collect();
    if let Some(first) = parts.first_mut() {
        *first = first.get(1..).unwrap_or_default();
    }
    parts.concat()
}

/// How many fragments a packet has, as the numbers of fragments count.
fn count(packet: &[u8]) -> u8 {
    fragments(packet).fold(0, |count, _| count.wrapping_add(1))
}
