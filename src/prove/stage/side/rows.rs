//! The rows of a world: its tables are created and filled, and put back before each run. On SQLite the bytes of the
//! files are; on a server tables are emptied and filled again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::super::tap::attach_shadows;
use super::super::super::vfs::PowerLoss;
use super::super::super::world::{World, foreign_keys};
use super::super::Script;
use super::super::ground::companions;
use super::{Side, run};
use crate::db::{Engine, Session, SqliteDriver, SqliteMode};
use crate::error::{Error, Result};

impl Side {
    /// Creates the tables and fills them.
    pub(in super::super) fn create(&mut self, world: &World) -> Result<()> {
        for (name, content) in world.databases() {
            let script = Script::new(content, self.engine, &self.main_url)?;
            if self.engine == Engine::Sqlite {
                self.create_sqlite(name, &script)?;
            } else {
                let session = self.session(name)?;
                for statement in script.create.iter().chain(&script.fill) {
                    run(session, statement)?;
                }
            }
        }
        self.templates = self.read_files()?;
        Ok(())
    }

    fn create_sqlite(&mut self, name: &'static str, script: &Script) -> Result<()> {
        let path = PathBuf::from(self.database(name).unwrap_or_default());
        for file in companions(&path) {
            drop(std::fs::remove_file(file));
        }
        let driver = SqliteDriver::open(&path, SqliteMode::Create)?;
        let mut session = Session::new(Box::new(driver), Engine::Sqlite, name);
        // Small pages: as many operations on files as a larger database would need.
        run(
            &mut session,
            "PRAGMA page_size = 1024; PRAGMA synchronous = OFF",
        )?;
        let shadows = self.database("shadows").map(PathBuf::from);
        if let (true, Some(shadows)) = (self.is_attached() && name == "main", shadows) {
            for file in companions(&shadows) {
                drop(std::fs::remove_file(file));
            }
            run(&mut session, &attach_shadows(&shadows))?;
            for database in ["main", "shadows"] {
                run(
                    &mut session,
                    &format!("PRAGMA {database}.journal_mode = WAL"),
                )?;
            }
            let prefix = &self.world.profile.shadow_prefix;
            for statement in &script.create {
                run(&mut session, &in_shadows(statement, prefix))?;
            }
        } else {
            for statement in &script.create {
                run(&mut session, statement)?;
            }
        }
        for statement in &script.fill {
            run(&mut session, statement)?;
        }
        if self.is_attached() && name == "main" {
            run(&mut session, "PRAGMA main.wal_checkpoint(TRUNCATE)")?;
            run(&mut session, "PRAGMA shadows.wal_checkpoint(TRUNCATE)")?;
        }
        Ok(())
    }

    /// Bytes of the SQLite files at the beginning of a run.
    pub(in super::super) fn size(&self) -> usize {
        self.templates.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    fn read_files(&self) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        if self.engine != Engine::Sqlite {
            return Ok(Vec::new());
        }
        let read = |(_, path): &(&str, String)| {
            let path = PathBuf::from(path);
            let bytes = std::fs::read(&path).map_err(|e| failed("read", &path, &e))?;
            Ok((path, bytes))
        };
        self.databases.iter().map(read).collect()
    }

    /// Puts the rows back.
    pub(in super::super) fn reset(&mut self, other: Option<&World>) -> Result<()> {
        self.mend()?;
        self.patiently(|side| side.restore(other))?;
        self.patiently(Self::spread)?;
        if self.shape.purges {
            self.rows = self.first_rows.clone().filter(|_| other.is_none());
            if self.rows.is_none() {
                self.state()?;
            }
            if other.is_none() && self.first_rows.is_none() {
                self.first_rows.clone_from(&self.rows);
            }
        }
        Ok(())
    }

    fn restore(&mut self, other: Option<&World>) -> Result<()> {
        if self.engine == Engine::Sqlite {
            self.close();
            if let Some(world) = other {
                for (name, content) in world.databases() {
                    let script = Script::new(content, self.engine, &self.main_url)?;
                    self.create_sqlite(name, &script)?;
                }
                return Ok(());
            }
            for (path, bytes) in &self.templates {
                for file in companions(path).skip(1) {
                    drop(std::fs::remove_file(file));
                }
                std::fs::write(path, bytes).map_err(|e| failed("write", path, &e))?;
            }
            return Ok(());
        }
        let world = Arc::clone(&self.world);
        for (name, content) in other.unwrap_or(&world).databases() {
            let script = Script::new(content, self.engine, &self.main_url)?;
            let tables: Vec<_> = content.schema.schema()?.tables.into_keys().collect();
            let engine = self.engine;
            let session = self.session(name)?;
            empty(session, &tables)?;
            let mut fill = script.fill;
            if engine == Engine::Mysql {
                // One round trip, and one commit.
                fill.insert(0, "START TRANSACTION".into());
                fill.push("COMMIT".into());
                fill = vec![fill.join("; ")];
            }
            for statement in fill {
                run(session, &statement)?;
            }
        }
        Ok(())
    }

    /// Leaves the files as a loss of power left them.
    pub(in super::super) fn lose_power(&mut self, loss: &PowerLoss) -> Result<()> {
        self.reset(None)?;
        let directory = self
            .templates
            .first()
            .and_then(|(path, _)| path.parent())
            .map(PathBuf::from)
            .unwrap_or_default();
        loss.write_to(&directory)
            .map_err(|e| failed("write to", &directory, &e))
    }
}

/// Deletes all rows of those tables that have any.
fn empty(session: &mut Session, tables: &[String]) -> Result<()> {
    let engine = session.engine();
    let asked: Vec<_> = tables
        .iter()
        .map(|t| format!("EXISTS (SELECT 1 FROM {})", engine.quote(t)))
        .collect();
    let filled = session.query_row(&format!("SELECT {}", asked.join(", ")))?;
    let filled = filled.unwrap_or_default();
    let (off, on) = foreign_keys(engine);
    let mut statements = vec![off.to_owned()];
    for (table, filled) in tables.iter().zip(filled) {
        if filled.is_true() {
            statements.push(format!("DELETE FROM {}", engine.quote(table)));
        }
    }
    statements.push(on.to_owned());
    if engine == Engine::Mysql {
        statements = vec![statements.join("; ")];
    }
    for statement in statements {
        run(session, &statement)?;
    }
    Ok(())
}

/// A CREATE statement of a shadow table with the attached database's name before it.
fn in_shadows(statement: &str, prefix: &str) -> String {
    statement.replacen(
        &format!("CREATE TABLE \"{prefix}"),
        &format!("CREATE TABLE shadows.\"{prefix}"),
        1,
    )
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::internal(format!("cannot {what} {}: {error}", path.display()))
}
