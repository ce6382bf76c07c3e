//! Trying again: after a deadlock, a lock timeout, a lost connection; never after a foreign key
//! error.

use crate::db::{DbError, DbErrorKind};
use crate::error::{Error, Result};
use crate::schema::Member;

use super::batch::{Batch, Done, Failure};
use super::forest::Key;
use super::roots::Roots;
use super::run::Run;

impl Run<'_> {
    /// Reads candidates; again where the connection was lost.
    pub(super) fn refill(
        &mut self,
        roots: &mut Roots,
        member: &Member,
        window: usize,
    ) -> Result<bool> {
        for attempt in 0.. {
            match roots.refill(self.session, self.sql, member, window) {
                Ok(any) => return Ok(any),
                Err(error) if error.kind.may_pass_again() => {
                    self.wait(attempt, &error)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::internal("candidates were read without end"))
    }

    /// Runs a batch, again and again where that may help. The inner error is the database's last
    /// word on these families.
    pub(super) fn attempt(
        &mut self,
        batch: &Batch<'_>,
    ) -> Result<std::result::Result<Done, String>> {
        let mut mismatches = 0;
        for attempt in 0.. {
            let failure = match batch.run(self.session) {
                Ok(done) => return Ok(Ok(done)),
                Err(failure) => failure,
            };
            let error = match failure {
                Failure::Fatal(error) => return Err(error),
                Failure::Mismatch {
                    table,
                    expected,
                    found,
                } => {
                    mismatches += 1;
                    if mismatches > 3 {
                        return Ok(Err(format!(
                            "{table}: {expected} rows were read, {found} were there to write"
                        )));
                    }
                    self.outcome.retries += 1;
                    continue;
                }
                Failure::Ambiguous(error, table, key, done) => {
                    let again = attempt < self.sql.options.retries;
                    let message = error.to_string();
                    if self.is_gone_after(error, &table, &key)? {
                        return Ok(Ok(*done));
                    }
                    if !again {
                        return Err(Error::unavailable(format!(
                            "gave up after {} attempts: {message}",
                            attempt + 1
                        )));
                    }
                    continue;
                }
                Failure::Refused(error) => error,
            };
            match error.kind {
                kind if kind.may_pass_again() => {
                    if let Some(reason) = self.stop.reason() {
                        self.halt(reason);
                        return Ok(Ok(Done::default()));
                    }
                    self.wait(attempt, &error)?;
                }
                kind if kind.refuses_rows() => return Ok(Err(error.to_string())),
                _ => return Err(error.into()),
            }
        }
        Err(Error::internal("a batch was tried without end"))
    }

    /// Waits before the next attempt, longer each time; reconnects where the connection is gone.
    fn wait(&mut self, attempt: u32, error: &DbError) -> Result<()> {
        if attempt >= self.sql.options.retries {
            return Err(Error::unavailable(format!(
                "gave up after {} attempts: {error}",
                attempt + 1
            ))
            .hint("what was committed is whole; run again to go on"));
        }
        self.outcome.retries += 1;
        let pause = self.sql.options.backoff * (1 << attempt.min(8));
        self.observer.notice(&format!(
            "{error}; trying again in {} ms",
            pause.as_millis()
        ));
        self.stop.sleep(pause);
        if error.kind == DbErrorKind::Connection {
            // A failed reconnect shows as the next attempt's error, and is waited for like it.
            if self.session.reconnect().is_ok()
                && let Some(lock) = self.lock
            {
                lock.ensure(self.session)?;
            }
        }
        Ok(())
    }

    /// Whether a row is gone, asked for as long as it takes to be connected again: it tells whether
    /// a COMMIT whose answer was lost has happened.
    fn is_gone_after(&mut self, mut error: DbError, table: &str, key: &Key) -> Result<bool> {
        for attempt in 0.. {
            self.wait(attempt, &error)?;
            match self.is_gone(table, key) {
                Ok(gone) => return Ok(gone),
                Err(again) if again.kind == DbErrorKind::Connection => error = again,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::internal("a commit was asked about without end"))
    }

    pub(super) fn is_gone(&mut self, table: &str, key: &Key) -> Result<bool, DbError> {
        let Some(member) = self.sql.graph.member(table) else {
            return Ok(false);
        };
        let statement = format!(
            "SELECT COUNT(*) FROM {} t WHERE {}",
            self.sql.engine.quote(table),
            self.sql.key_in("t", &member.key, std::slice::from_ref(key))
        );
        Ok(self.session.query_count(&statement)? == 0)
    }
}
