//! The workload of the tests: three rows move from a live table to its shadow.

mod faults;
mod power;
mod seam;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::{IoFault, IoMode, Recording, Seen, Vfs};

/// Where the rows of the workload may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    OneFile,
    /// The shadow table is in a file of its own, attached.
    TwoFiles,
}

/// An engine under test: sends its statements, and marks what was acknowledged.
type Engine = fn(&Connection, &Vfs, Layout) -> rusqlite::Result<()>;

/// A small database and the way to it.
struct Bench {
    dir: TempDir,
    layout: Layout,
    vfs: Vfs,
}

/// The keys in the live and in the shadow table.
type Rows = (Vec<i64>, Vec<i64>);

impl Bench {
    fn new(journal_mode: &str, layout: Layout) -> Self {
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
            layout,
            vfs: Vfs::register().unwrap(),
        };
        let plain = bench.plain();
        for schema in bench.schemas() {
            let unsynced = format!("PRAGMA {schema}.synchronous = OFF");
            plain.execute_batch(&unsynced).unwrap();
            let mode = format!("PRAGMA {schema}.journal_mode = {journal_mode}");
            let set: String = plain.query_row(&mode, [], |row| row.get(0)).unwrap();
            assert_eq!(set, journal_mode);
        }
        let shadow = bench.shadow();
        plain
            .execute_batch(&format!(
                "CREATE TABLE live (id INTEGER PRIMARY KEY, name TEXT UNIQUE, body TEXT);
                 CREATE TABLE {shadow} (id INTEGER PRIMARY KEY, name TEXT, body TEXT);
                 WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12)
                 INSERT INTO live SELECT i, 'name ' || i, hex(zeroblob(1500)) FROM n",
            ))
            .unwrap();
        bench
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("shop.db")
    }

    fn schemas(&self) -> &'static [&'static str] {
        match self.layout {
            Layout::OneFile => &["main"],
            Layout::TwoFiles => &["main", "other"],
        }
    }

    fn shadow(&self) -> &'static str {
        shadow(self.layout)
    }

    fn connect(&self, dir: &Path, vfs: Option<&str>) -> rusqlite::Result<Connection> {
        let path = dir.join("shop.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let connection = match vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
            None => Connection::open_with_flags(path, flags)?,
        };
        if self.layout == Layout::TwoFiles {
            let other = dir.join("other.db");
            connection.execute("ATTACH ?1 AS other", [other.to_str().unwrap()])?;
        }
        Ok(connection)
    }

    fn plain(&self) -> Connection {
        self.connect(self.dir.path(), None).unwrap()
    }

    /// Runs the engine once on the database as it is, as a process of its own.
    fn run(&self, engine: Engine, fault: Option<IoFault>, record: bool) -> (Seen, Recording) {
        self.vfs.arm(fault, record);
        // Whatever it answers: what counts is what it leaves.
        let _ = self
            .connect(self.dir.path(), Some(self.vfs.name()))
            .and_then(|connection| engine(&connection, &self.vfs, self.layout));
        (self.vfs.seen(), self.vfs.disarm())
    }

    /// Runs the engine on a copy of the database, with the rows that it leaves.
    fn on_a_copy(&self, engine: Engine, fault: Option<IoFault>) -> (Seen, Rows) {
        let copy = self.copy();
        let (seen, _) = copy.run(engine, fault, false);
        let rows = copy.judge(copy.dir.path());
        (seen, rows)
    }

    fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for entry in self.dir.path().read_dir().unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        Self {
            dir,
            layout: self.layout,
            vfs: Vfs::register().unwrap(),
        }
    }

    /// Opens a database through the default VFS, which recovers it, and says what is in it.
    fn judge(&self, dir: &Path) -> Rows {
        self.try_to_judge(dir).unwrap()
    }

    fn try_to_judge(&self, dir: &Path) -> rusqlite::Result<Rows> {
        let plain = self.connect(dir, None)?;
        for schema in self.schemas() {
            plain.execute_batch(&format!("PRAGMA {schema}.synchronous = OFF"))?;
            let sound: String =
                plain.query_row(&format!("PRAGMA {schema}.integrity_check"), [], |row| {
                    row.get(0)
                })?;
            if sound != "ok" {
                return Err(rusqlite::Error::InvalidColumnName(sound));
            }
        }
        let keys = |table: &str| -> rusqlite::Result<Vec<i64>> {
            let mut keys = plain.prepare(&format!("SELECT id FROM {table} ORDER BY id"))?;
            keys.query_map([], |row| row.get(0))?.collect()
        };
        Ok((keys("live")?, keys(self.shadow())?))
    }

    /// The names of the files in the directory.
    fn files(&self) -> Vec<String> {
        let entries = self.dir.path().read_dir().unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }
}

fn shadow(layout: Layout) -> &'static str {
    match layout {
        Layout::OneFile => "shadow",
        Layout::TwoFiles => "other.shadow",
    }
}

fn copy_rows(connection: &Connection, layout: Layout) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "INSERT INTO {} SELECT * FROM live WHERE id IN (2, 5, 11)",
        shadow(layout)
    ))
}

fn delete_rows(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM live WHERE id IN (2, 5, 11)")
}

/// Moves the rows in one transaction.
fn atomic(connection: &Connection, vfs: &Vfs, layout: Layout) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    copy_rows(connection, layout)?;
    delete_rows(connection)?;
    connection.execute_batch("COMMIT")?;
    vfs.mark(1);
    Ok(())
}

/// The control: commits between the copy and the delete.
fn careless(connection: &Connection, vfs: &Vfs, layout: Layout) -> rusqlite::Result<()> {
    copy_rows(connection, layout)?;
    vfs.mark(1);
    delete_rows(connection)?;
    vfs.mark(2);
    Ok(())
}

fn before() -> Rows {
    ((1..=12).collect(), Vec::new())
}

fn after() -> Rows {
    let stay = (1..=12).filter(|id| ![2, 5, 11].contains(id));
    (stay.collect(), vec![2, 5, 11])
}

fn fault(operation: u64, mode: IoMode) -> Option<IoFault> {
    Some(IoFault { operation, mode })
}

const MODES: [IoMode; 5] = [
    IoMode::Error,
    IoMode::ErrorForGood,
    IoMode::Full,
    IoMode::FullForGood,
    IoMode::Freeze,
];
