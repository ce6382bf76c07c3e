//! Reading the replies of a PostgreSQL server.

use std::io;

use super::peer::{KEPT, fill_either};
use super::postgres::{Connection, IDLE, whole};
use super::postgres_messages::{affected, body, error};

/// Where a reply ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// At ReadyForQuery.
    Ready,
    /// Behind the reply to an Execute; the server is not ready before a Sync.
    Executed,
}

/// Whether the client gets to hear a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hear {
    Yes,
    No,
}

/// What a reply says.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) error: Option<(String, String)>,
    pub(super) affected: u64,
}

impl Connection {
    /// Reads a reply to its end. What the client may hear of it is then held, all or the last part.
    pub(super) async fn reply(&mut self, until: Until, hear: Hear) -> io::Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut copying = false;
        loop {
            let Some(message) = whole(&mut self.server)? else {
                if copying {
                    if fill_either(&mut self.client, &mut self.server).await? {
                        self.copy_data().await?;
                    }
                } else if let Err(error) = self.server.fill().await {
                    // After a fatal error it hangs up without a word.
                    if outcome.error.is_none() {
                        return Err(error);
                    }
                    (self.gone, self.status) = (true, IDLE);
                    return Ok(outcome);
                }
                continue;
            };
            let tag = message[0];
            let known = self.note(&message);
            if known && (hear == Hear::Yes || tag == b'G') {
                self.held.extend_from_slice(&message);
            }
            match tag {
                b'C' => {
                    let rows = affected(body(&message));
                    outcome.affected = outcome.affected.saturating_add(rows);
                }
                b'E' if outcome.error.is_none() => outcome.error = Some(error(body(&message))),
                // COPY FROM STDIN: the client has something to say now, and in the extended
                // protocol it is for the client to go on after an error too.
                b'G' => copying = true,
                // A replication stream.
                b'W' => return Err(io::ErrorKind::InvalidData.into()),
                _ => {}
            }
            let end = match until {
                Until::Ready => tag == b'Z',
                Until::Executed => matches!(tag, b'C' | b'I' | b's' | b'E'),
            };
            if end {
                return Ok(outcome);
            }
            let rows = matches!(tag, b'D' | b'd') && self.held.len() >= KEPT;
            if rows || tag == b'G' || copying && tag == b'E' {
                self.release().await?;
            }
            if copying {
                self.copy_data().await?;
            }
        }
    }

    /// Passes on what a client says during COPY FROM STDIN.
    async fn copy_data(&mut self) -> io::Result<()> {
        while matches!(
            self.client.unread().first(),
            Some(b'd' | b'c' | b'f' | b'H' | b'S')
        ) && let Some(message) = whole(&mut self.client)?
        {
            self.server.send(&message).await?;
        }
        Ok(())
    }

    /// Takes note of what a message of the server means for the session; whether the client is meant.
    pub(super) fn note(&mut self, message: &[u8]) -> bool {
        let unanswered = match message[0] {
            b'1' => &mut self.parses,
            b'2' => &mut self.binds,
            b'E' => {
                self.deaf = true;
                (self.parses, self.binds) = (0, 0);
                return true;
            }
            b'Z' => {
                self.deaf = false;
                self.status = body(message).first().copied().unwrap_or(IDLE);
                if self.status == IDLE {
                    self.portals.clear();
                }
                return true;
            }
            _ => return true,
        };
        let meant = *unanswered > 0;
        *unanswered = unanswered.saturating_sub(1);
        meant
    }
}
