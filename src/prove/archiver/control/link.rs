//! A session that survives what passes.

use crate::db::{DbError, DbErrorKind, Session};
use crate::error::Result;
use crate::prove::archiver::Door;

/// How often something is tried again.
pub(super) const RETRIES: u32 = 3;

/// A session with a database, made again where it is lost.
pub(super) struct Link {
    session: Session,
}

impl Link {
    pub(super) fn open(door: &Door) -> Result<Self> {
        let mut tries = 0;
        loop {
            match door.open() {
                Ok(session) => return Ok(Self { session }),
                Err(error) if tries >= RETRIES => return Err(error),
                Err(_) => tries += 1,
            }
        }
    }

    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// After an error that passes: rolled back, or connected again. Where that fails too, the next
    /// statement will say so.
    pub(super) fn recover(&mut self, error: &DbError) {
        match error.kind {
            DbErrorKind::Connection => drop(self.session.reconnect()),
            _ => drop(self.session.rollback()),
        }
    }

    /// Does what may be done twice, again while the error is one that passes.
    pub(super) fn again<T>(
        &mut self,
        mut work: impl FnMut(&mut Session) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let mut tries = 0;
        loop {
            match work(&mut self.session) {
                Err(error) if passes(&error) && tries < RETRIES => {
                    self.recover(&error);
                    tries += 1;
                }
                Err(error) => {
                    self.recover(&error);
                    return Err(error);
                }
                done => return done,
            }
        }
    }
}

/// Whether it may go better next time.
pub(super) fn passes(error: &DbError) -> bool {
    matches!(error.kind, DbErrorKind::Retryable | DbErrorKind::Connection)
}
