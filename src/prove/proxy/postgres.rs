//! A connection between an engine and a PostgreSQL server.
//!
//! Encryption is declined, a request to cancel and the login are passed on as they are. Then it goes
//! message by message: a Query and an Execute pass the gate, everything else does not; the extended
//! protocol is in [`super::postgres_extended`]. A message that is not known closes the connection.
//!
//! A refused statement is replaced by one that fails, so that the transaction fails with it. Two cases
//! take more. A COMMIT that is refused leaves no transaction behind: a ROLLBACK is sent after it. And a
//! transaction that has failed already takes no other statement: then the proxy itself answers.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::peer::{KEPT, Peer, deadline, fill_either, pause};
use super::postgres_messages::{
    Startup, body, error, is_commit, message_end, query, ready, refusal, refusal_response, startup,
    string,
};
use super::postgres_reply::{Hear, Outcome, Until};
use super::watch::{Case, Watch, cut, malformed};
use crate::prove::gate::{Reply, Statement, Verdict};

/// The status of a session that is in no transaction.
pub(super) const IDLE: u8 = b'I';

/// The status of a session whose transaction has failed.
const FAILED: u8 = b'E';

pub(super) struct Connection {
    pub(super) client: Peer,
    pub(super) server: Peer,
    pub(super) watch: Watch,
    /// The status of the session, as ReadyForQuery has it.
    pub(super) status: u8,
    /// The texts of what is prepared, by name.
    pub(super) statements: HashMap<Vec<u8>, Vec<u8>>,
    /// And of what is bound.
    pub(super) portals: HashMap<Vec<u8>, Vec<u8>>,
    /// The statement that was executed last and whose reply has not been read.
    pub(super) executed: Option<Arc<Statement>>,
    /// After an error in the extended protocol the server hears nothing until a Sync.
    pub(super) deaf: bool,
    /// A COMMIT was refused: at the next Sync the transaction has to go.
    pub(super) rolls_back: bool,
    /// The client's own Parse and Bind messages that are not answered yet; any other answer is to one
    /// of the proxy's.
    pub(super) parses: usize,
    pub(super) binds: usize,
    /// How many statements the proxy has prepared.
    pub(super) injected: u64,
    /// The server has hung up.
    pub(super) gone: bool,
    /// The part of the reply that the client has not got yet.
    pub(super) held: Vec<u8>,
}

/// Leads a conversation to its end.
pub(super) async fn converse(mut client: Peer, upstream: SocketAddr, case: Case) -> io::Result<()> {
    let first = loop {
        match startup(client.unread()).map_err(malformed)? {
            None => client.fill().await?,
            Some((Startup::Encrypt, end)) => {
                client.consume(end);
                client.send(b"N").await?;
            }
            Some((Startup::Cancel, end)) => {
                let message = client.take(end);
                let mut server = Peer::connect(upstream).await?;
                server.send(&message).await?;
                // It hangs up when it has understood.
                return server.fill().await;
            }
            Some((Startup::Session, end)) => break client.take(end),
        }
    };
    let server = begin(upstream, &first).await?;
    let mut connection = Connection {
        client,
        server,
        watch: case.watch(),
        status: IDLE,
        statements: HashMap::new(),
        portals: HashMap::new(),
        executed: None,
        deaf: false,
        rolls_back: false,
        parses: 0,
        binds: 0,
        injected: 0,
        gone: false,
        held: Vec::new(),
    };
    connection.login().await?;
    while connection.message().await? {}
    Ok(())
}

/// Begins a session on the server. One that is starting up, or still shutting down, says so and hangs
/// up: it counts as not there yet.
async fn begin(upstream: SocketAddr, first: &[u8]) -> io::Result<Peer> {
    let deadline = deadline();
    loop {
        let mut server = Peer::connect_until(upstream, deadline).await?;
        server.send(first).await?;
        let answer = loop {
            match message_end(server.unread()).map_err(malformed)? {
                Some(end) => break &server.unread()[..end],
                None => server.fill().await?,
            }
        };
        let away = answer[0] == b'E' && error(body(answer)).0 == "57P03";
        if !away || !pause(deadline).await {
            return Ok(server);
        }
    }
}

/// The next message from a side, if all of it is there.
pub(super) fn whole(peer: &mut Peer) -> io::Result<Option<Vec<u8>>> {
    let end = message_end(peer.unread()).map_err(malformed)?;
    Ok(end.map(|end| peer.take(end)))
}

impl Connection {
    /// Passes on what both sides say until the server is ready. If it will not be, it hangs up.
    async fn login(&mut self) -> io::Result<()> {
        loop {
            // Statements that are sent ahead wait.
            while self.client.unread().first() == Some(&b'p')
                && let Some(message) = whole(&mut self.client)?
            {
                self.server.send(&message).await?;
            }
            while let Some(message) = whole(&mut self.server)? {
                self.client.send(&message).await?;
                if message[0] == b'Z' {
                    return Ok(());
                }
            }
            fill_either(&mut self.client, &mut self.server).await?;
        }
    }

    /// Waits for the client's next message. What the server says meanwhile is passed on.
    async fn next_message(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(message) = whole(&mut self.client)? {
                return Ok(message);
            }
            if self.executed.is_some() {
                // Its reply waits for the gate, and the client for nothing before it goes on.
                self.client.fill().await?;
            } else if !fill_either(&mut self.client, &mut self.server).await? {
                self.pass_on().await?;
            }
        }
    }

    /// Passes on what has come from the server.
    async fn pass_on(&mut self) -> io::Result<()> {
        while let Some(message) = whole(&mut self.server)? {
            if self.note(&message) {
                self.held.extend_from_slice(&message);
            }
        }
        self.release().await
    }

    /// Sees to one message; whether there may be more.
    async fn message(&mut self) -> io::Result<bool> {
        let message = self.next_message().await?;
        match message[0] {
            b'Q' if !self.deaf => {
                self.finish_executed().await?;
                self.query(&message).await?;
            }
            b'F' if !self.deaf => {
                // A function by its number, a relic: it has no text.
                self.finish_executed().await?;
                self.server.send(&message).await?;
                self.reply(Until::Ready, Hear::Yes).await?;
                self.release().await?;
            }
            b'P' | b'B' | b'E' | b'D' | b'C' | b'H' | b'S' => self.extended(&message).await?,
            // What is left of a COPY that has failed, and what a deaf server ignores.
            b'd' | b'c' | b'f' | b'Q' | b'F' => self.server.send(&message).await?,
            b'X' => return self.server.send(&message).await.map(|()| false),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        // A client that sends much ahead must not find the server with nobody to listen.
        if self.executed.is_none() && self.server.try_fill()? {
            self.pass_on().await?;
        }
        Ok(true)
    }

    /// Takes a Query past the gate.
    async fn query(&mut self, message: &[u8]) -> io::Result<()> {
        let text = string(body(message)).map(|(text, _)| text);
        let statement = self.statement(text.unwrap_or_default());
        let verdict = self.watch.before(&statement).await?;
        let hear = match verdict {
            Verdict::CutAfter => Hear::No,
            _ => Hear::Yes,
        };
        let outcome = match &verdict {
            Verdict::CutBefore => return Err(cut()),
            Verdict::Refuse(refused) if self.status == FAILED => {
                self.held.extend_from_slice(&refusal_response(refused));
                self.held.extend_from_slice(&ready(self.status));
                Outcome {
                    error: Some((refused.code.clone(), refused.message.clone())),
                    affected: 0,
                }
            }
            sent => {
                match sent {
                    Verdict::Refuse(refused) => self.server.send(&query(&refusal(refused))).await?,
                    Verdict::Replace(sql) => self.server.send(&query(sql)).await?,
                    _ => self.server.send(message).await?,
                }
                self.reply(Until::Ready, hear).await?
            }
        };
        if matches!(verdict, Verdict::Refuse(_)) && is_commit(&statement.sql) {
            self.roll_back().await?;
        }
        self.tell(&statement, outcome).await?;
        if hear == Hear::No {
            return Err(cut());
        }
        self.release().await
    }

    pub(super) fn statement(&self, text: &[u8]) -> Arc<Statement> {
        self.watch.statement(text, self.status != IDLE)
    }

    /// Tells the gate of a reply.
    pub(super) async fn tell(
        &self,
        statement: &Arc<Statement>,
        outcome: Outcome,
    ) -> io::Result<()> {
        let reply = Reply {
            error: outcome.error,
            affected: outcome.affected,
            in_transaction: self.status != IDLE,
        };
        self.watch.after(statement, reply).await
    }

    /// Gives the client what was held.
    pub(super) async fn release(&mut self) -> io::Result<()> {
        self.client.send(&self.held).await?;
        self.held.clear();
        self.held.shrink_to(KEPT);
        Ok(())
    }

    /// Ends a failed transaction whose COMMIT was refused, behind a held ReadyForQuery.
    pub(super) async fn roll_back(&mut self) -> io::Result<()> {
        if self.gone || self.status != FAILED {
            return Ok(());
        }
        self.held.truncate(self.held.len() - ready(FAILED).len());
        self.server.send(&query("ROLLBACK")).await?;
        self.reply(Until::Ready, Hear::No).await?;
        self.held.extend_from_slice(&ready(self.status));
        Ok(())
    }
}
