//! Dumps: what mysqldump, mariadb-dump and pg_dump write, read as a database.
//!
//! The rows go, line by line, into a temporary SQLite database that is gone with the session; the schema is
//! that of the dump, in the words of the engine that it came from. Nothing is kept in memory but one line of
//! the dump, so that its size does not matter. Whatever is not understood ends the reading: a dump that was
//! cut off or is of something else must never look like a clean database.

mod ddl;
mod lexer;
mod load;
mod mysql;
mod postgres;
mod source;

use std::path::Path;

use super::{Engine, Session};
use crate::error::{Error, Result};
use crate::schema::Schema;
use load::Loader;
use source::{Form, Source};

/// A dump, read.
pub struct Dump {
    /// A session with its rows, which can be read only.
    pub session: Session,
    /// Its schema.
    pub schema: Schema,
}

/// Reads the dump in this file; `None` if the file is a SQLite database, or there is none.
///
/// # Errors
///
/// Exit code 65 if it is neither, if it is cut off, or at the first line that is not understood.
pub fn open_dump(path: &Path) -> Result<Option<Dump>> {
    let Some(mut source) = Source::open(path)? else {
        return Ok(None);
    };
    let mut loader = Loader::new()?;
    let engine = match source.form {
        Form::Mysql => {
            mysql::read(&mut source, &mut loader)?;
            Engine::Mysql
        }
        Form::Postgres => {
            postgres::read(&mut source, &mut loader)?;
            Engine::Postgres
        }
    };
    source.finish()?;
    let (session, schema) = loader.finish(&path.display().to_string(), engine)?;
    Ok(Some(Dump { session, schema }))
}

/// Reads a dump that is in memory, for fuzzing: whatever is in it, this ends.
///
/// # Errors
///
/// As [`open_dump`].
pub fn read_dump(text: &[u8]) -> Result<Schema> {
    let mut source = Source::of_bytes(text)?;
    let mut loader = Loader::new()?;
    match source.form {
        Form::Mysql => mysql::read(&mut source, &mut loader)?,
        Form::Postgres => postgres::read(&mut source, &mut loader)?,
    }
    Ok(loader.finish("dump", Engine::Mysql)?.1)
}

/// Whether this file is a dump, without reading it whole.
///
/// # Errors
///
/// Exit code 65 if it is neither a dump nor a SQLite database.
pub fn is_dump(path: &Path) -> Result<bool> {
    Source::open(path).map(|source| source.is_some())
}

fn bad(source: &Source, what: impl std::fmt::Display) -> Error {
    Error::data(format!("{}: line {}: {what}", source.name, source.line)).hint(
        "give a whole dump of mysqldump, mariadb-dump or pg_dump, as they write it by default",
    )
}
