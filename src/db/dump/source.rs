//! The lines of a dump, wherever they come from: plain, compressed, or out of pg_restore.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

/// Lines at the beginning among which the one must be that says what wrote the dump.
const HEAD: usize = 16;

/// The longest of these lines, in bytes.
const HEAD_LINE: u64 = 64 << 10;

/// The longest line of a dump, in bytes: what a server takes for one packet at most.
pub(super) const LONGEST: u64 = 1 << 30;

/// Who wrote a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// mysqldump or mariadb-dump.
    Mysql,
    /// pg_dump.
    Postgres,
}

/// The lines of a dump.
pub(super) struct Source {
    /// The file, for messages.
    pub(super) name: String,
    /// The number of the line that was read last, from 1.
    pub(super) line: u64,
    pub(super) form: Form,
    reader: Box<dyn BufRead>,
    buffer: Vec<u8>,
    /// No line is longer.
    longest: u64,
    /// Whether the line in the buffer is to be given once more.
    again: bool,
    restore: Option<Restore>,
}

/// pg_restore at work, and where it says what is wrong.
struct Restore {
    child: Child,
    said: tempfile::NamedTempFile,
}

impl Drop for Restore {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Source {
    /// The dump in a file; `None` if it is a SQLite database, or no file at all.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        // What cannot be opened is told by whoever opens it as a database.
        if !path.is_file() {
            return Ok(None);
        }
        let Ok(mut file) = File::open(path) else {
            return Ok(None);
        };
        let name = path.display().to_string();
        let unreadable = |e| {
            Error::data(format!("{name}: cannot be read: {e}"))
                .hint("check the rights of the file, and that it was written whole")
        };
        let mut magic = [0; 16];
        let length = read_some(&mut file, &mut magic).map_err(unreadable)?;
        let magic = &magic[..length];
        if magic.is_empty() || magic == b"SQLite format 3\0" {
            return Ok(None);
        }
        if magic.starts_with(b"PGDMP") {
            let (reader, restore) = restore(path)?;
            return Self::new(name, reader, Some(restore)).map(Some);
        }
        let whole: Box<dyn Read> = Box::new(Cursor::new(magic.to_vec()).chain(file));
        Self::new(name, decoded(magic, whole)?, None).map(Some)
    }

    /// A dump in memory.
    pub(super) fn of_bytes(text: &[u8]) -> Result<Self> {
        Self::new("dump".into(), Box::new(Cursor::new(text.to_vec())), None)
    }

    fn new(name: String, reader: Box<dyn BufRead>, restore: Option<Restore>) -> Result<Self> {
        let mut source = Self {
            name,
            line: 0,
            form: Form::Mysql,
            reader,
            buffer: Vec::new(),
            longest: HEAD_LINE,
            again: false,
            restore,
        };
        let mut first = None;
        for _ in 0..HEAD {
            let Some(line) = source.next()? else { break };
            let line = String::from_utf8_lossy(line).trim().to_owned();
            if line.starts_with("-- MySQL dump") || line.starts_with("-- MariaDB dump") {
                source.longest = LONGEST;
                return Ok(source);
            }
            if line == "-- PostgreSQL database dump" {
                source.form = Form::Postgres;
                source.longest = LONGEST;
                return Ok(source);
            }
            // Only comments come before it.
            if !line.is_empty() && !line.starts_with("--") && !line.starts_with("/*") {
                first.get_or_insert((source.line, line));
                break;
            }
            if !line.is_empty() {
                first.get_or_insert((source.line, line));
            }
        }
        // pg_restore says of a broken file what is wrong with it.
        source.restored()?;
        let (line, text) = first.unwrap_or((1, String::new()));
        let name = &source.name;
        if text.starts_with("SQLite format 3\0") {
            return Err(
                Error::data(format!("{name} is a compressed SQLite database")).hint(
                    "unpack it first: sexton reads dumps compressed, and databases as they are",
                ),
            );
        }
        if text.contains(|c: char| c == char::REPLACEMENT_CHARACTER || c.is_control() && c != '\t')
        {
            return Err(Error::data(format!(
                "{name} is neither a SQLite database nor a dump, and no text: it does not begin as any of them"
            ))
            .hint(
                "check that this is the right file; an encrypted database has to be decrypted first, and of one that is \
                 damaged at its beginning only a backup helps",
            ));
        }
        // What is in it is not shown: it may be a configuration, with a password.
        Err(Error::data(format!(
            "{}: line {line} is none of a dump, and this is no SQLite database",
            source.name,
        ))
        .hint(
            "sexton reads SQLite files and what mysqldump, mariadb-dump and pg_dump (plain or custom) \
             write, with their comments, also as .gz and .zst",
        ))
    }

    /// The next line, without its end; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>> {
        if std::mem::take(&mut self.again) {
            return Ok(Some(&self.buffer));
        }
        self.buffer.clear();
        let most = self.longest;
        let mut limited = std::io::Read::take(&mut self.reader, most);
        match limited.read_until(b'\n', &mut self.buffer) {
            Ok(0) => return Ok(None),
            Ok(n) if n as u64 == most => {
                let (name, line) = (&self.name, self.line + 1);
                let what = format!("a line of more than {most} bytes");
                return Err(Error::data(format!("{name}: line {line}: {what}")).hint(
                    "a dump is made of lines; mysqldump's are no longer than max_allowed_packet",
                ));
            }
            Ok(_) => self.line += 1,
            Err(error) => {
                let (name, line) = (&self.name, self.line + 1);
                let what = match error.kind() {
                    ErrorKind::UnexpectedEof => "it is cut off here".to_owned(),
                    _ => error.to_string(),
                };
                return Err(Error::data(format!("{name}: line {line}: {what}"))
                    .hint("compressed files end with a sum over all of them: fetch it again"));
            }
        }
        if self.buffer.ends_with(b"\n") {
            self.buffer.pop();
        }
        Ok(Some(&self.buffer))
    }

    /// The line that was read last, from there on.
    pub(super) fn buffer_from(&self, at: usize) -> &[u8] {
        &self.buffer[at..]
    }

    /// The line that was read last is to be the next one, too.
    pub(super) fn back(&mut self) {
        self.again = true;
    }

    /// The next line as text.
    pub(super) fn text(&mut self) -> Result<Option<String>> {
        let line = self.next()?;
        Ok(line.map(|line| String::from_utf8_lossy(line).into_owned()))
    }

    /// Ends what made the lines.
    ///
    /// # Errors
    ///
    /// Exit code 65 if that failed.
    pub(super) fn finish(&mut self) -> Result<()> {
        // To the very end: there are the sums of compressed files, and what somebody has added.
        while let Some(line) = self.text()? {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with("--") && !line.starts_with('\\') {
                let what =
                    "there is more after the line that ends the dump: give each dump by itself";
                return Err(
                    Error::data(format!("{}: line {}: {what}", self.name, self.line))
                        .hint("one database in one dump, as mysqldump and pg_dump write it"),
                );
            }
        }
        self.restored()
    }

    /// Ends pg_restore, if it was at work.
    fn restored(&mut self) -> Result<()> {
        let Some(mut restore) = self.restore.take() else {
            return Ok(());
        };
        // It would wait for its lines to be read.
        drop(std::mem::replace(
            &mut self.reader,
            Box::new(Cursor::new(Vec::new())),
        ));
        let status = restore.child.wait();
        let said = std::fs::read_to_string(restore.said.path()).unwrap_or_default();
        match status {
            Ok(status) if status.success() => Ok(()),
            _ => {
                let said = said
                    .lines()
                    .next()
                    .unwrap_or("pg_restore failed without a word");
                Err(Error::data(format!("{}: {said}", self.name))
                    .hint("use a pg_restore that is not older than the pg_dump that wrote it"))
            }
        }
    }
}

/// As much as there is of a beginning.
fn read_some(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            n => length += n,
        }
    }
    Ok(length)
}

fn decoded(magic: &[u8], file: Box<dyn Read>) -> Result<Box<dyn BufRead>> {
    Ok(match magic {
        [0x1f, 0x8b, ..] => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::stream::read::Decoder::new(file).map_err(|e| {
                Error::data(format!("a zstd stream that does not begin: {e}"))
                    .hint("write the dump anew, or unpack it with zstd -d")
            })?;
            Box::new(BufReader::new(decoder))
        }
        _ => Box::new(BufReader::new(file)),
    })
}

/// pg_restore, which knows every version of its own format.
fn restore(path: &Path) -> Result<(Box<dyn BufRead>, Restore)> {
    let said = tempfile::NamedTempFile::new().map_err(|e| {
        Error::internal(format!("cannot make a temporary file: {e}"))
            .hint("make room there, or name another directory in TMPDIR")
    })?;
    let mut last = None;
    for program in programs() {
        let errors = said.reopen().map_err(|e| {
            Error::internal(format!("cannot open a temporary file: {e}"))
                .hint("make room there, or name another directory in TMPDIR")
        })?;
        let child = Command::new(&program)
            .args(["-f", "-", "--no-owner", "--no-privileges", "--"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn();
        match child {
            Ok(mut child) => {
                if let Some(output) = child.stdout.take() {
                    let reader = Box::new(BufReader::new(output));
                    return Ok((reader, Restore { child, said }));
                }
            }
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or_else(String::new, |e| format!(": {e}"));
    Err(Error::unavailable(format!(
        "{}: a dump in the custom format of pg_dump is read through pg_restore, which cannot be run{why}",
        path.display()
    ))
    .hint("install PostgreSQL's client programs, or write a plain dump"))
}

fn programs() -> Vec<PathBuf> {
    let mut programs = vec![PathBuf::from("pg_restore")];
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut versions: Vec<_> = versions.flatten().map(|e| e.path()).collect();
    versions.sort();
    programs.extend(versions.into_iter().rev().map(|v| v.join("bin/pg_restore")));
    programs
}
