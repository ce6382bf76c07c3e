//! Progress on stderr: a live line on a terminal, a plain line now and then otherwise.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sexton::archive::Observer;

/// Least time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Shows what an archive run does.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    started: Instant,
    last: Instant,
}

impl Progress {
    /// Progress on stderr; `quiet` shows notices only.
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            bar,
            quiet,
            started: Instant::now(),
            last: Instant::now(),
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
            None => eprintln!("{text}"),
        }
    }
}

impl Observer for Progress {
    fn batch(&mut self, _rows: u64, total_rows: u64, families: u64) {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = (total_rows as f64 / seconds) as u64;
        let text = format!("{total_rows} rows, {families} families, {rate} rows/s");
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None if !self.quiet && self.last.elapsed() >= PLAIN_EVERY => {
                self.last = Instant::now();
                eprintln!("{text}");
            }
            None => {}
        }
    }

    fn notice(&mut self, text: &str) {
        self.line(&format!("sexton: {text}"));
    }

    fn plan(&mut self, table: &str, statements: &[String]) {
        self.line(&format!("plan for {table}, one statement of each kind:"));
        for statement in statements {
            let short: String = statement.chars().take(240).collect();
            let more = if short.len() < statement.len() {
                " ..."
            } else {
                ""
            };
            self.line(&format!("  {short}{more}"));
        }
    }
}
