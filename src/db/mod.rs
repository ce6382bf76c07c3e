//! Sessions with a database: SQLite through rusqlite, MariaDB/MySQL and PostgreSQL through sqlx.
//!
//! One blocking [`Session`] type over a small [`Driver`] trait. A statement is a piece of SQL text
//! with its literals in it: it can be printed, counted and walked, needs no preparing, and meets no
//! limit on bound parameters. That is safe because every session is put into a mode in which a
//! string literal is `'...'` with quotes doubled and nothing else is special (see [`Engine`]).
//!
//! Architecture invariant: nothing here knows of families, markers or profiles.

mod answers;
mod denied;
mod driver;
mod dump;
mod engine;
mod error;
mod introspect;
mod key;
mod lock;
mod mysql;
mod open;
mod oslo;
mod postgres;
mod session;
mod spent;
mod sqlite;
mod target;
mod value;
mod version;
mod wire;

pub use driver::Driver;
pub use dump::{Dump, is_dump, open_dump, read_dump};
pub use engine::Engine;
pub use error::{DbError, DbErrorKind};
pub use introspect::introspect;
pub use key::{spell_key, split_key};
pub use lock::AdvisoryLock;
pub use mysql::MysqlDriver;
pub use open::{Access, open};
pub use oslo::{oslo_connection, oslo_has_connection};
pub use postgres::PostgresDriver;
pub use session::Session;
pub use spent::Spent;
pub(crate) use sqlite::Midway;
pub use sqlite::{SqliteDriver, SqliteMode, attach, refuse_wal_attach};
pub use target::{ConnectOptions, Target, Tls, TlsMode, same_place};
pub use value::Value;
pub use version::migration_version;
