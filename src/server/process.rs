//! Processes of a private server: found, started, watched, ended.
//!
//! Everything goes by process id. The one thing the standard library cannot promise is that a child
//! ends with its parent; a small shell on the other end of a pipe ([`Watchdog`]) does that.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Result};

/// How often a state that comes by itself is looked at again.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// Longest wait for killed processes to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(30);

/// Waits for a line, then becomes the server. So the watchdog knows the process id before the
/// server exists, and a parent that dies in between leaves nothing.
const GATE: &str = r#"read -r go && exec "$@" </dev/null"#;

/// Reads `server PID`, `server` (there is none now) and `release` from the owner. At the end of
/// file the owner is dead: kill the server and its children, then remove the directory. The server
/// is stopped before its children are listed, so that it cannot add one meanwhile.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM
server=
while read -r word value; do
  case $word in
    server) server=$value ;;
    release) exit 0 ;;
  esac
done
if [ -n "$server" ]; then
  kill -STOP "$server"
  for stat in /proc/[0-9]*/stat; do
    read -r pid name state parent rest <"$stat" && [ "$parent" = "$server" ] && kill -KILL "$pid"
  done
  kill -KILL "$server"
fi
tries=0
while rm -rf -- "$1"; [ -e "$1" ] && [ "$tries" -lt 100 ]; do
  tries=$((tries + 1))
  sleep 0.1
done
"#;

/// Whether this process runs as root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The first executable called `name` in `directories`, in that order.
pub(super) fn find_program(name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    directories
        .iter()
        .map(|directory| directory.join(name))
        .find(|path| {
            fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        })
}

/// The directories of PATH, then those where systems keep servers and which are often not in it.
pub(super) fn program_directories() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = [
        "/usr/sbin",
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/bin",
        "/usr/libexec",
    ];
    std::env::split_paths(&path)
        .chain(usual.iter().map(PathBuf::from))
        .collect()
}

/// A port on 127.0.0.1 that nobody listens on now.
///
/// It lies below the range from which the kernel takes the ports of outgoing connections, so that
/// it is still free when a killed server wants it back.
pub fn free_port() -> Result<u16> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time begin at different places.
    let start = (std::process::id().wrapping_mul(97) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + offset) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(
        Error::unavailable("no free port between 20000 and 32000 on 127.0.0.1")
            .hint("end what listens on them, and run again"),
    )
}

/// Runs a program to its end; its standard output, or an error with the last of what it said.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| {
        Error::unavailable(format!("cannot run {name}: {e}"))
            .hint("check that it is installed and executable")
    })?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.trim_end().to_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = last_lines(&format!("{stdout}\n{stderr}"));
    Err(Error::unavailable(format!(
        "{name} ended with {}: {said}",
        output.status
    )).hint("look at what it says, and try again; docs/prove.md names what the private servers need"))
}

/// The last lines that say something, as one line.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    lines[lines.len().saturating_sub(4)..].join(" | ")
}

/// Removes a directory when this process ends in a way that runs no destructors, after killing the
/// server that lives in it.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Watches over `directory`.
    ///
    /// The shell is in a process group of its own and ignores the signals of a terminal: Ctrl-C
    /// must not end it before it has done its work.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "sexton-watchdog"])
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| Error::internal(format!("cannot start a watchdog shell: {e}")))?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let pipe = self
            .pipe
            .as_mut()
            .ok_or_else(|| Error::internal("the watchdog has no pipe"))?;
        pipe.write_all(line.as_bytes())
            .map_err(|e| Error::internal(format!("the watchdog shell is gone: {e}")))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // A watchdog that is gone already is no longer a concern of this process.
        let _ = self.tell("release\n");
        self.pipe = None;
        let _ = self.shell.wait();
    }
}

/// A server process under a watchdog.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Child,
}

impl ServerProcess {
    /// Starts `command`, which must not fork away, with its output appended to `log`.
    pub(super) fn start(command: &Command, log: &Path, watchdog: &mut Watchdog) -> Result<Self> {
        let failed = |e: std::io::Error| {
            let name = command.get_program().to_string_lossy();
            Error::unavailable(format!("cannot start {name}: {e}"))
                .hint("check that it is installed and executable")
        };
        let output = fs::File::options().create(true).append(true).open(log);
        let output = output.map_err(failed)?;
        let mut gate = Command::new("/bin/sh");
        gate.args(["-c", GATE, "sexton-gate"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => gate.env(name, value),
                None => gate.env_remove(name),
            };
        }
        gate.current_dir(command.get_current_dir().unwrap_or(Path::new("/")))
            .stdin(Stdio::piped())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .process_group(0);
        let mut child = gate.spawn().map_err(failed)?;
        let go = child.stdin.take();
        let process = Self { child };
        watchdog.tell(&format!("server {}\n", process.child.id()))?;
        if let Some(mut go) = go {
            go.write_all(b"go\n").map_err(failed)?;
        }
        Ok(process)
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .map_err(|e| Error::internal(format!("cannot wait for a server: {e}")))
    }

    /// Sends `signal` and waits at most `limit`; whether it ended.
    pub(super) fn end(&mut self, signal: Signal, limit: Duration) -> Result<bool> {
        if self.ended()?.is_some() {
            return Ok(true);
        }
        send(self.child.id(), signal)?;
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if self.ended()?.is_some() {
                return Ok(true);
            }
            thread::sleep(POLL);
        }
        Ok(false)
    }

    /// SIGKILL for the process and all its descendants; returns when they are gone.
    ///
    /// The group would not do: every PostgreSQL backend makes itself a session of its own.
    pub(super) fn kill(&mut self) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let root = self.child.id();
        // A stopped parent starts no child behind our back.
        send(root, Signal::STOP)?;
        let children = descendants(root);
        for child in &children {
            send(*child, Signal::KILL)?;
        }
        send(root, Signal::KILL)?;
        self.child
            .wait()
            .map_err(|e| Error::internal(format!("cannot wait for a killed server: {e}")))?;
        let deadline = Instant::now() + KILL_LIMIT;
        while children.iter().any(|pid| is_running(*pid)) {
            if Instant::now() > deadline {
                return Err(Error::internal("a killed server process does not go away"));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Tells the watchdog that this process is gone and its id may belong to another one.
    pub(super) fn forget(self, watchdog: &mut Watchdog) -> Result<()> {
        watchdog.tell("server\n")
    }
}

/// A signal to one process; one that is gone already needs none.
fn send(pid: u32, signal: Signal) -> Result<()> {
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let target = target.ok_or_else(|| Error::internal(format!("{pid} is no process id")))?;
    match kill_process(target, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(e) => Err(Error::internal(format!("cannot signal process {pid}: {e}"))),
    }
}

/// The processes below `root`. Empty where there is no /proc.
fn descendants(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(pid) = pid
            && let Some((_, parent)) = state_and_parent(pid)
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = HashSet::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if found.insert(*child) {
                open.push(*child);
            }
        }
    }
    found.into_iter().collect()
}

/// Whether the process exists and is not a zombie that only waits to be reaped.
fn is_running(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses too.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}
