//! Killing a statement in its middle: a row in its way, and somebody who waits until it waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::super::injector::Ambush;
use super::super::super::victim::Victim;
use super::{PATIENCE, own_id, run};
use crate::db::{DbErrorKind, Engine, Session, Value};
use crate::error::{Error, Result};

/// Inserts the row over `holder` without a commit, and kills whoever comes to wait for it, its
/// statement or its whole session. `None` if the row cannot be inserted: it is there already.
///
/// The row stays until the victim waits no more: without it the statement would go on.
pub(super) fn ambush(
    mut holder: Session,
    mut watcher: Session,
    victim: &Victim,
    session: bool,
) -> Result<Option<Ambush>> {
    let engine = holder.engine();
    run(&mut holder, "BEGIN")?;
    match holder.execute(&victim.insert(engine)) {
        Ok(_) => {}
        Err(error) if error.kind == DbErrorKind::Connection => return Err(error.into()),
        Err(_) => return Ok(None),
    }
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    let own: Vec<_> = [&mut holder, &mut watcher]
        .into_iter()
        .map(|s| s.query_count(own_id(engine)))
        .collect::<std::result::Result<_, _>>()?;
    let thread = std::thread::spawn(move || -> Result<bool> {
        let mut killed = false;
        while !killed && !told.load(Ordering::SeqCst) {
            let Some(id) = waiting(&mut watcher, &own)? else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            watcher.execute(&kill(engine, id, session))?;
            let patience = Instant::now() + PATIENCE;
            while waiting(&mut watcher, &own)?.is_some() {
                if Instant::now() > patience {
                    return Err(Error::internal(
                        "a statement that was killed goes on waiting",
                    ));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            killed = true;
        }
        run(&mut holder, "ROLLBACK")?;
        Ok(killed)
    });
    Ok(Some(Box::new(move || {
        over.store(true, Ordering::SeqCst);
        let lost = |_| Error::internal("the thread that kills statements panicked");
        thread.join().map_err(lost)?
    })))
}

/// The connection whose statement waits for a lock. The server is ours: there is one at most.
fn waiting(watcher: &mut Session, own: &[i64]) -> Result<Option<i64>> {
    let others = |column: &str| {
        let own: Vec<_> = own.iter().map(ToString::to_string).collect();
        format!("{column} NOT IN ({})", own.join(", "))
    };
    let sql = match watcher.engine() {
        Engine::Postgres => format!(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active' \
             AND datname LIKE 'sexton%' AND {}",
            others("pid")
        ),
        // Not INNODB_TRX: it is renewed only when nobody has looked at it for a tenth of a second.
        Engine::Mysql | Engine::Sqlite => format!(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Query' AND DB LIKE \
             'sexton%' AND {} AND EXISTS (SELECT 1 FROM information_schema.GLOBAL_STATUS WHERE \
             VARIABLE_NAME = 'INNODB_ROW_LOCK_CURRENT_WAITS' AND VARIABLE_VALUE > 0)",
            others("ID")
        ),
    };
    let row = watcher.query_row(&sql)?;
    Ok(row.and_then(|row| row.first().and_then(Value::as_int)))
}

fn kill(engine: Engine, id: i64, session: bool) -> String {
    match (engine, session) {
        (Engine::Postgres, true) => format!("SELECT pg_terminate_backend({id})"),
        (Engine::Postgres, false) => format!("SELECT pg_cancel_backend({id})"),
        (Engine::Mysql | Engine::Sqlite, true) => format!("KILL CONNECTION {id}"),
        (Engine::Mysql | Engine::Sqlite, false) => format!("KILL QUERY {id}"),
    }
}
