//! Trying again: after a deadlock, a lock timeout, a lost connection; never after a foreign key
//! error.

use crate::db::{DbError, DbErrorKind, Session};
use crate::error::{Error, Result};
use crate::exit::ExitCode;
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

fn given_up(attempt: u32, message: &str) -> Error {
    let message = format!("gave up after {} attempts: {message}", attempt + 1);
    Error::new(ExitCode::Stopped, message).hint(WHOLE)
}

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
        for attempt in 0.. {
            match read(self.session) {
                Ok(found) => return Ok(found),
                Err(error) if error.kind.may_pass_again() => {
                    self.wait(attempt, &error)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::internal("a question was asked without end"))
    }

    /// Runs a batch, again and again where that may help. The inner error is the database's last
    /// word on these families.
    pub(super) fn attempt(
        &mut self,
        batch: &Batch<'_>,
    ) -> Result<std::result::Result<Done, Refusal>> {
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
                        return Err(given_up(attempt, &message));
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
                kind if kind.refuses_rows() => return Ok(Err(error.into())),
                _ => return Err(error.into()),
            }
        }
        Err(Error::internal("a batch was tried without end"))
    }

    /// Waits before the next attempt, longer each time; where the connection is gone until there is another one.
    fn wait(&mut self, mut attempt: u32, error: &DbError) -> Result<()> {
        let lost = error.kind == DbErrorKind::Connection;
        let mut error = error.clone();
        loop {
            if attempt >= self.sql.options.retries {
                return Err(given_up(attempt, &error.message));
            }
            self.outcome.retries += 1;
            let pause = self.sql.options.backoff * (1 << attempt.min(8));
            self.observer.notice(&format!(
                "{error}; trying again in {} ms",
                pause.as_millis()
            ));
            self.stop.sleep(pause);
            if !lost {
                return Ok(());
            }
            if self.stop.requested() {
                let message = format!("told to stop while the connection was lost: {error}");
                return Err(Error::new(ExitCode::Stopped, message).hint(WHOLE));
            }
            match self.regain()? {
                Ok(()) => return Ok(()),
                Err(again) if again.kind.may_pass_again() => error = again,
                Err(other) => return Err(other.into()),
            }
            attempt += 1;
        }
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
        for attempt in 0.. {
            self.wait(attempt, &error)?;
            match self.is_gone(table, key) {
                Ok(gone) => return Ok(gone),
                Err(again) if again.kind.may_pass_again() => error = again,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::internal("a commit was asked about without end"))
    }

    /// Whether a row is gone. Where the connection that was lost is at its COMMIT still, the answer waits for it.
    pub(super) fn is_gone(&mut self, table: &str, key: &Key) -> Result<bool, DbError> {
        is_gone(self.session, self.sql, table, key, true)
    }
}
