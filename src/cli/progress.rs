//! Progress on stderr: a live line on a terminal, a plain line now and then otherwise.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sexton::archive::Observer;
use sexton::plural::{plural, several};
use sexton::prove::Watch;

/// Least time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// The live line, if stderr is a terminal.
fn live_line(quiet: bool) -> Option<ProgressBar> {
    (!quiet && std::io::stderr().is_terminal()).then(|| {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    })
}

/// Shows what an archive run does.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    started: Instant,
    last: Instant,
    /// Families that there are about.
    expected: Option<u64>,
    /// Why the run waits, if it does.
    waits: Option<String>,
}

impl Progress {
    /// Progress on stderr; `quiet` shows notices only.
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            bar: live_line(quiet),
            quiet,
            started: Instant::now(),
            last: Instant::now(),
            expected: None,
            waits: None,
        }
    }

    /// Takes the live line away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => crate::cli::say!("{text}"),
        }
    }
}

impl Observer for Progress {
    fn batch(&mut self, _rows: u64, total_rows: u64, families: u64) {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = (total_rows as f64 / seconds) as u64;
        let (of, left) = match self.expected {
            Some(expected) => {
                let left = expected.saturating_sub(families) as f64;
                let left = left * seconds / families.max(1) as f64;
                (
                    format!(" of about {expected}"),
                    format!(", {left:.0} s left"),
                )
            }
            None => (String::new(), String::new()),
        };
        self.waits = None;
        let text = format!(
            "moving: {}, {families}{of} {}, {rate} rows/s{left}",
            several(total_rows, "row"),
            plural(self.expected.unwrap_or(families), "family")
        );
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None if !self.quiet && self.last.elapsed() >= PLAIN_EVERY => {
                self.last = Instant::now();
                crate::cli::say!("{text}");
            }
            None => {}
        }
    }

    fn expects(&mut self, families: u64) {
        self.expected = Some(families);
    }

    fn waits(&mut self, why: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("waiting: {why}"));
        }
        // Once for each reason; numbers in it change all the time.
        let reason: String = why.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.waits.as_ref() != Some(&reason) {
            self.waits = Some(reason);
            self.notice(&format!("waiting: {why}"));
        }
    }

    fn notice(&mut self, text: &str) {
        self.line(&format!("sexton: {text}"));
    }

    fn plan(&mut self, table: &str, statements: &[String]) {
        self.line(&format!("plan for {table}, one statement of each kind:"));
        for statement in statements {
            // They may be run by hand: none is cut.
            self.line(&format!("  {statement}"));
        }
    }
}

/// Shows the cases of a campaign, and passes on the wish to stop.
pub(crate) struct Cases {
    bar: Option<ProgressBar>,
    quiet: bool,
    worlds: u64,
    stop: Arc<AtomicBool>,
    tally: Mutex<Tally>,
}

/// How far a campaign has come.
struct Tally {
    world: String,
    /// Worlds begun. Of those at random some may be of no use, and are not.
    number: u64,
    /// Cases of this world, as far as they are known beforehand.
    expected: usize,
    done: usize,
    failed: usize,
    all: usize,
    began: Instant,
    started: Instant,
    last: Instant,
}

impl Cases {
    /// Progress on stderr over so many worlds; `quiet` shows none.
    pub(crate) fn new(quiet: bool, worlds: u64, stop: Arc<AtomicBool>) -> Self {
        let now = Instant::now();
        Self {
            bar: live_line(quiet),
            quiet,
            worlds,
            stop,
            tally: Mutex::new(Tally {
                world: String::new(),
                number: 0,
                expected: 0,
                done: 0,
                failed: 0,
                all: 0,
                began: now,
                started: now,
                last: now,
            }),
        }
    }

    /// Takes the live line away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, tally: &mut Tally) {
        match &self.bar {
            Some(bar) => bar.set_message(tally.line(self.worlds)),
            None if !self.quiet && tally.last.elapsed() >= PLAIN_EVERY => {
                tally.last = Instant::now();
                crate::cli::say!("{}", tally.line(self.worlds));
            }
            None => {}
        }
    }
}

impl Tally {
    fn line(&self, worlds: u64) -> String {
        let seconds = |since: Instant| since.elapsed().as_secs_f64().max(0.001);
        let rate = (self.all as f64 / seconds(self.started)) as u64;
        let left = match self.expected.saturating_sub(self.done) {
            left if self.done > 0 => {
                let each = seconds(self.began) / self.done as f64;
                let seconds = (left as f64 * each).ceil();
                format!(", {seconds:.0} s left in this world")
            }
            _ => String::new(),
        };
        format!(
            "world {} of {worlds}, {}: {} of {} cases, {} failed, {rate} cases/s{left}",
            self.number, self.world, self.done, self.expected, self.failed,
        )
    }
}

impl Watch for Cases {
    fn world(&self, name: &str, cases: usize) {
        let mut tally = self.tally();
        tally.world = name.into();
        tally.number += 1;
        tally.expected = cases;
        tally.done = 0;
        tally.began = Instant::now();
        self.show(&mut tally);
    }

    fn more(&self, cases: usize) {
        let mut tally = self.tally();
        tally.expected += cases;
        self.show(&mut tally);
    }

    fn case(&self, held: bool) {
        let mut tally = self.tally();
        tally.done += 1;
        tally.all += 1;
        tally.failed += usize::from(!held);
        self.show(&mut tally);
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}
