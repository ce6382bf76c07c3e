//! Trying again: after a deadlock, a lock timeout, a lost connection; never after a foreign key
//! error.

use std::time::Instant;

use crate::db::{DbError, DbErrorKind, Session};
use crate::error::{Error, Result};
use crate::exit::ExitCode;
use crate::plural::several;
use crate::schema::Member;

use super::batch::{Batch, Done, Failure, is_gone};
use super::forest::Key;
use super::roots::Roots;
use super::run::Run;

/// The database's last word on some families.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) too_large: bool,
    pub(super) why: String,
}

impl Refusal {
    pub(super) fn of(why: String) -> Self {
        Self {
            too_large: false,
            why,
        }
    }
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        Self {
            too_large: error.kind == DbErrorKind::TooLarge,
            why: error.message,
        }
    }
}

/// What to do after a run that could not go on.
const WHOLE: &str = "what was committed is whole; run again to go on";

impl Run<'_> {
    /// Reads candidates; again where the connection was lost.
    pub(super) fn refill(
        &mut self,
        roots: &mut Roots,
        member: &Member,
        window: usize,
    ) -> Result<bool> {
        let sql = self.sql;
        self.reading(|session| roots.refill(session, sql, member, window))
    }

    /// Reads outside of a transaction; again where the connection was lost.
    pub(super) fn reading<T>(
        &mut self,
        mut read: impl FnMut(&mut Session) -> Result<T, DbError>,
    ) -> Result<T> {
        let mut attempt = 0;
        loop {
            match read(self.session) {
                Ok(found) => {
                    self.held_up = None;
                    return Ok(found);
                }
                Err(error) if error.kind.may_pass_again() => {
                    attempt = self.wait(attempt, &error)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Runs a batch, again and again where that may help. The inner error is the database's last
    /// word on these families.
    pub(super) fn attempt(
        &mut self,
        batch: &Batch<'_>,
    ) -> Result<std::result::Result<Done, Refusal>> {
        let (mut mismatches, mut attempt) = (0, 0);
        loop {
            let failure = match batch.run(self.session) {
                Ok(done) => {
                    self.held_up = None;
                    return Ok(Ok(done));
                }
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
                        return Ok(Err(Refusal::of(format!(
                            "{table}: {expected} rows were read, {found} were there to write"
                        ))));
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
                        return Err(self.given_up(attempt, &message));
                    }
                    attempt += 1;
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
                    attempt = self.wait(attempt, &error)?;
                }
                kind if kind.refuses_rows() => return Ok(Err(error.into())),
                _ => return Err(error.into()),
            }
        }
    }

    fn given_up(&self, attempt: u32, message: &str) -> Error {
        let label = self.session.label();
        let message = format!(
            "gave up after {}: {label}: {message}",
            several(u64::from(attempt) + 1, "attempt")
        );
        Error::new(ExitCode::Stopped, message).hint(WHOLE)
    }

    /// That somebody asked for the end while there was nothing to be done.
    fn told_to_stop(&self, why: &str, error: &DbError) -> Error {
        let message = format!(
            "told to stop while {why}: {}: {error}",
            self.session.label()
        );
        Error::new(ExitCode::Stopped, message).hint(WHOLE)
    }

    /// Waits before the next attempt, longer each time; where the connection is gone until there is another one. The
    /// number of the next attempt: a lock that others hold is waited for in pieces, and they do not count.
    fn wait(&mut self, mut attempt: u32, error: &DbError) -> Result<u32> {
        if error.is_lock_timeout() {
            let since = *self.held_up.get_or_insert_with(Instant::now);
            if since.elapsed() < self.sql.options.lock_patience {
                self.outcome.retries += 1;
                let (label, waited) = (self.session.label(), since.elapsed().as_secs());
                let text =
                    format!("{label}: waiting for a lock of another session, {waited} s so far");
                self.observer.notice(&text);
                // A server may be set up to refuse at once.
                self.stop.sleep(self.sql.options.backoff);
                return match self.stop.requested() {
                    true => Err(self.told_to_stop("others held a lock", error)),
                    false => Ok(attempt),
                };
            }
        }
        let lost = error.kind == DbErrorKind::Connection;
        let mut error = error.clone();
        loop {
            if attempt >= self.sql.options.retries {
                return Err(self.given_up(attempt, &error.message));
            }
            self.outcome.retries += 1;
            let pause = self.sql.options.backoff * (1 << attempt.min(8));
            self.observer.notice(&format!(
                "{}: {error}; trying again in {} ms",
                self.session.label(),
                pause.as_millis()
            ));
            self.stop.sleep(pause);
            attempt += 1;
            if !lost {
                return Ok(attempt);
            }
            if self.stop.requested() {
                return Err(self.told_to_stop("the connection was lost", &error));
            }
            match self.regain()? {
                Ok(()) => return Ok(attempt),
                Err(again) if again.kind.may_pass_again() => error = again,
                Err(other) => return Err(self.shut_out(&other)),
            }
        }
    }

    /// The database was lost in the middle, and there is no way back in: a user that is gone, a database.
    fn shut_out(&self, error: &DbError) -> Error {
        let label = self.session.label();
        let message =
            format!("the connection to {label} was lost, and another one is refused: {error}");
        Error::new(ExitCode::Stopped, message)
            .hint(format!("mend what the database complains of; {WHOLE}"))
    }

    /// Connects anew, with the lock that keeps a second archiver out. The inner error is the database's.
    fn regain(&mut self) -> Result<Result<(), DbError>> {
        let regained = self.session.reconnect();
        match self.lock {
            Some(lock) if regained.is_ok() => lock.ensure(self.session),
            _ => Ok(regained),
        }
    }

    /// Whether a row is gone, asked for as long as it takes to be connected again: it tells whether
    /// a COMMIT whose answer was lost has happened.
    pub(super) fn is_gone_after(
        &mut self,
        mut error: DbError,
        table: &str,
        key: &Key,
    ) -> Result<bool> {
        let mut attempt = 0;
        loop {
            attempt = self.wait(attempt, &error)?;
            match self.is_gone(table, key) {
                Ok(gone) => return Ok(gone),
                Err(again) if again.kind.may_pass_again() => error = again,
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Whether a row is gone. Where the connection that was lost is at its COMMIT still, the answer waits for it.
    pub(super) fn is_gone(&mut self, table: &str, key: &Key) -> Result<bool, DbError> {
        is_gone(self.session, self.sql, table, key, true)
    }
}
