//! The extended protocol of PostgreSQL: statements that are prepared, bound and executed.
//!
//! A client sends several messages before it wants to hear anything, and the server answers none of
//! them before a Flush or Sync. So an Execute passes the gate and goes to the server, but its reply is
//! read only at the next message that asks for one; the gate hears of it, then the client. At a Sync
//! that is when an implicit transaction has committed. Where a client sends several statements before
//! one Sync the proxy puts a Flush of its own between them: one statement is over before the next one
//! passes the gate.
//!
//! A refused or replaced Execute becomes a Parse, Bind and Execute under a name of the proxy's own; the
//! client hears only of the last one. In a transaction that has failed already the server refuses them
//! with its own error, 25P02. Rows of a replacement come in text form, whatever the client has asked for:
//! it is meant for statements without. An Execute that fetches more of the same portal counts as a statement
//! again.

use std::io;

use super::postgres::Connection;
use super::postgres_messages::{body, is_commit, message, prepared, refusal, string, two_strings};
use super::postgres_reply::{Hear, Until};
use super::watch::cut;
use crate::prove::gate::{Statement, Verdict};

impl Connection {
    /// Sees to a message of the extended protocol.
    pub(super) async fn extended(&mut self, given: &[u8]) -> io::Result<()> {
        match given[0] {
            b'S' => return self.sync(given).await,
            b'H' if self.executed.is_some() => return self.finish(given).await,
            _ if self.deaf => {}
            b'P' => {
                self.finish_executed().await?;
                if let Some((name, text)) = two_strings(body(given)) {
                    self.statements.insert(name.to_vec(), text.to_vec());
                }
                self.parses += 1;
            }
            b'B' => {
                self.finish_executed().await?;
                if let Some((portal, name)) = two_strings(body(given)) {
                    let text = self.statements.get(name).cloned().unwrap_or_default();
                    self.portals.insert(portal.to_vec(), text);
                }
                self.binds += 1;
            }
            b'E' => {
                self.finish_executed().await?;
                // The reply to the last one may have been an error.
                if !self.deaf {
                    return self.execute(given).await;
                }
            }
            b'C' => self.close(body(given)),
            _ => {}
        }
        self.server.send(given).await
    }

    fn close(&mut self, body: &[u8]) {
        let Some((kind, rest)) = body.split_first() else {
            return;
        };
        let known = match kind {
            b'S' => &mut self.statements,
            _ => &mut self.portals,
        };
        if let Some((name, _)) = string(rest) {
            known.remove(name);
        }
    }

    /// Takes an Execute past the gate.
    async fn execute(&mut self, given: &[u8]) -> io::Result<()> {
        let text = string(body(given)).and_then(|(portal, _)| self.portals.get(portal));
        let statement = self.statement(text.map(Vec::as_slice).unwrap_or_default());
        match self.watch.before(&statement).await? {
            Verdict::Pass | Verdict::Interrupt => self.server.send(given).await?,
            Verdict::CutBefore => return Err(cut()),
            Verdict::CutAfter => {
                // Without a Sync it would not be committed.
                self.server.send(given).await?;
                self.server.send(&message(b'S', &[])).await?;
                let outcome = self.reply(Until::Ready, Hear::No).await?;
                self.tell(&statement, outcome).await?;
                return Err(cut());
            }
            Verdict::Refuse(refused) => {
                self.rolls_back |= is_commit(&statement.sql);
                self.inject(&refusal(&refused)).await?;
            }
            Verdict::Replace(sql) => self.inject(&sql).await?,
        }
        self.executed = Some(statement);
        Ok(())
    }

    /// Has the server run another statement.
    async fn inject(&mut self, sql: &str) -> io::Result<()> {
        self.injected += 1;
        let name = format!("sexton_prove_{}", self.injected);
        self.server.send(&prepared(&name, sql)).await
    }

    /// Reads the reply to what was executed last, if it is still to be read.
    pub(super) async fn finish_executed(&mut self) -> io::Result<()> {
        match self.executed {
            Some(_) => self.finish(&message(b'H', &[])).await,
            None => Ok(()),
        }
    }

    async fn finish(&mut self, flush: &[u8]) -> io::Result<()> {
        self.server.send(flush).await?;
        let outcome = self.reply(Until::Executed, Hear::Yes).await?;
        if let Some(statement) = self.executed.take() {
            if let Some(status) = status_after(&statement, self.status, self.deaf) {
                self.status = status;
            }
            self.tell(&statement, outcome).await?;
        }
        self.release().await
    }

    async fn sync(&mut self, given: &[u8]) -> io::Result<()> {
        self.server.send(given).await?;
        let outcome = self.reply(Until::Ready, Hear::Yes).await?;
        if std::mem::take(&mut self.rolls_back) {
            self.roll_back().await?;
        }
        if let Some(statement) = self.executed.take() {
            self.tell(&statement, outcome).await?;
        }
        self.release().await
    }
}

/// The status after a statement, where the server has not told it yet.
fn status_after(statement: &Statement, status: u8, failed: bool) -> Option<u8> {
    let mut words = statement.sql.split_whitespace();
    let first = words.next()?.trim_end_matches(';').to_ascii_uppercase();
    let to = words.any(|word| word.eq_ignore_ascii_case("TO"));
    match (first.as_str(), status) {
        (_, b'T') if failed => Some(b'E'),
        _ if failed => None,
        ("BEGIN" | "START", b'I') => Some(b'T'),
        ("COMMIT" | "END" | "ABORT" | "ROLLBACK", _) if !to => Some(b'I'),
        ("ROLLBACK", b'E') => Some(b'T'),
        _ => None,
    }
}
