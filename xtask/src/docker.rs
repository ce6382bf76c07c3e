//! A container engine for the tests: the machine's own, or a private one for the time of the run.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use xshell::{Shell, cmd};

use crate::image::{self, Images};
use crate::install;

const PACKAGES: [&str; 4] = ["docker.io", "iptables", "iproute2", "mmdebstrap"];

const START_LIMIT: Duration = Duration::from_secs(30);

/// Runs dockerd until its standard input ends, then takes everything away again. Whoever holds the
/// other end of the pipe may end in whatever way, Ctrl-C and SIGKILL included.
///
/// The bridge is its own: docker0 belongs to an engine that somebody else may run.
const KEEPER: &str = r#"
directory=$1 driver=$2 bridge=$3 subnet=$4
ip link add name "$bridge" type bridge || exit 1
ip addr add "$subnet" dev "$bridge"
ip link set "$bridge" up
dockerd --data-root="$directory/data" --exec-root="$directory/run" \
  --pidfile="$directory/pid" --host="unix://$directory/socket" \
  --storage-driver="$driver" --exec-opt=native.cgroupdriver=cgroupfs \
  --bridge="$bridge" --ip=127.0.0.1 --iptables=false --ip6tables=false --ip-masq=false \
  --shutdown-timeout=5 >"$directory/log" 2>&1 &
daemon=$!
trap '' HUP INT TERM
echo "$daemon"
read -r end
kill -TERM "$daemon"
(
  sleep 30 &
  sleep=$!
  trap 'kill -KILL "$sleep"; exit' USR1
  wait "$sleep"
  kill -KILL "$daemon"
) >/dev/null 2>&1 &
timer=$!
wait "$daemon"
kill -USR1 "$timer"
while read -r device mount rest; do
  case $mount in "$directory"/*) umount "$mount" ;; esac
done </proc/mounts
ip link del "$bridge"
rm -rf -- "$directory"
"#;

/// An engine that is ready, with images in it.
pub(crate) struct Engine {
    private: Option<Private>,
    /// The images of the tests.
    pub(crate) images: Images,
    /// What it is, for the summary.
    pub(crate) description: String,
}

impl Engine {
    /// Finds or starts an engine and sees to its images. Commands of `sh` talk to it from now on.
    pub(crate) fn new(sh: &Shell) -> Result<Self> {
        if let Ok(version) = engine_version(sh) {
            let (images, origin) = image::of_an_engine(sh)?;
            return Ok(Self {
                private: None,
                images,
                description: format!("the running engine {version}, {origin}"),
            });
        }
        if !install::can_install(sh) {
            bail!(
                "no container engine answers (`docker info`). Start one, or run this as root on \
                 Debian or Ubuntu, where a private one is installed and started"
            );
        }
        if !installed(sh) {
            install::packages(sh, &PACKAGES)?;
        }
        let private = Private::start("overlay2").or_else(|first| {
            println!("xtask: {first:#}; trying vfs");
            Private::start("vfs")
        })?;
        sh.set_var("DOCKER_HOST", private.host());
        let version = engine_version(sh).context("the private engine does not answer")?;
        let (images, origin) = image::build(sh)?;
        Ok(Self {
            description: format!("a private engine {version} on {}, {origin}", private.driver),
            private: Some(private),
            images,
        })
    }

    /// The address of an engine that is not the default one.
    pub(crate) fn host(&self) -> Option<String> {
        self.private.as_ref().map(Private::host)
    }
}

fn engine_version(sh: &Shell) -> Result<String> {
    let format = "{{.ServerVersion}}";
    let version = cmd!(sh, "docker info --format {format}")
        .quiet()
        .ignore_stderr()
        .read()?;
    // Without an engine some clients print nothing and still say that all is well.
    if version.is_empty() {
        bail!("no engine");
    }
    Ok(version)
}

fn installed(sh: &Shell) -> bool {
    ["docker", "dockerd", "iptables", "ip", "mmdebstrap"]
        .iter()
        .all(|name| {
            cmd!(sh, "which {name}")
                .quiet()
                .ignore_stdout()
                .run()
                .is_ok()
        })
}

/// An engine of our own; dropping it ends it and removes everything of it.
struct Private {
    keeper: Child,
    directory: PathBuf,
    driver: &'static str,
}

impl Private {
    fn start(driver: &'static str) -> Result<Self> {
        // /var/tmp is on a disk where /tmp may be memory; both paths are short enough for a socket.
        let base = [Path::new("/var/tmp"), Path::new("/tmp")]
            .into_iter()
            .find(|path| path.is_dir())
            .context("neither /var/tmp nor /tmp is there")?;
        let directory = tempfile::Builder::new()
            .prefix("sexton-docker-")
            .tempdir_in(base)?;
        let id = std::process::id();
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "sexton-docker-keeper"])
            .arg(directory.path())
            .arg(driver)
            .arg(format!("sexton{id}"))
            .arg(format!("172.30.{}.1/24", id % 250))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start a shell")?;
        let mut line = String::new();
        if let Some(output) = keeper.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut private = Self {
            keeper,
            directory: directory.path().to_owned(),
            driver,
        };
        let daemon = line
            .trim()
            .parse()
            .context("cannot make a network bridge")?;
        private.wait_until_ready(daemon, &directory)?;
        // The keeper removes it.
        let _ = directory.keep();
        Ok(private)
    }

    fn wait_until_ready(&mut self, daemon: u32, directory: &TempDir) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline && runs(daemon) {
            let answer = Command::new("docker")
                .arg("info")
                .env("DOCKER_HOST", self.host())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            if answer.success() && directory.path().join("socket").exists() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        let last = log.lines().last().unwrap_or("it said nothing");
        bail!("dockerd with {} did not start: {last}", self.driver)
    }

    fn host(&self) -> String {
        format!("unix://{}/socket", self.directory.display())
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        if let Err(error) = self.keeper.wait() {
            eprintln!("xtask: cannot wait for the private dockerd: {error}");
        }
    }
}

/// Whether the process exists and is no zombie.
fn runs(pid: u32) -> bool {
    let Ok(status) = File::open(format!("/proc/{pid}/status")) else {
        return false;
    };
    let state = BufReader::new(status)
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("State:"));
    state.is_some_and(|line| !line.contains('Z'))
}
