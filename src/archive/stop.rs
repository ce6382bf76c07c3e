//! Requests to stop after the batch in hand, or to wait before the next one.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::options::Observer;
use super::outcome::StopReason;
use super::throttle::{Throttle, Verdict};

/// How often a wait looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// How often gauges are read while one is over its limit.
const AGAIN: Duration = Duration::from_millis(500);

/// When a run stops after the batch in hand, and when it waits before the next one.
#[derive(Default, Clone)]
pub struct Stop<'a> {
    flag: Option<&'a AtomicBool>,
    deadline: Option<Instant>,
    stop_file: Option<PathBuf>,
    pause_file: Option<PathBuf>,
    throttle: Option<&'a Throttle>,
    /// What a wait has come to that was not worth it.
    given_up: Cell<Option<StopReason>>,
    waited: Cell<Duration>,
}

impl<'a> Stop<'a> {
    /// Stops when the flag becomes true, as a signal handler sets it.
    pub fn on(flag: &'a AtomicBool) -> Self {
        Self {
            flag: Some(flag),
            ..Self::default()
        }
    }

    /// Stops at that moment too; of several the earliest counts.
    #[must_use]
    pub fn at(mut self, moment: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(moment, |other| other.min(moment)));
        self
    }

    /// Stops as soon as this file is there, too.
    #[must_use]
    pub fn at_file(mut self, file: PathBuf) -> Self {
        self.stop_file = Some(file);
        self
    }

    /// Waits before each batch for as long as this file is there.
    #[must_use]
    pub fn pausing_for(mut self, file: PathBuf) -> Self {
        self.pause_file = Some(file);
        self
    }

    /// Waits before each batch for as long as a gauge is over its limit, if there are gauges.
    #[must_use]
    pub fn throttled_by(mut self, throttle: Option<&'a Throttle>) -> Self {
        self.throttle = throttle;
        self
    }

    /// Why to stop now, if at all.
    pub fn reason(&self) -> Option<StopReason> {
        if self.flag.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Some(StopReason::Signal);
        }
        if self.deadline.is_some_and(|moment| Instant::now() >= moment) {
            return Some(StopReason::Time);
        }
        if let Some(reason) = self.given_up.get() {
            return Some(reason);
        }
        let there = self.stop_file.as_ref().is_some_and(|file| file.exists());
        there.then_some(StopReason::StopFile)
    }

    /// Whether to stop now.
    pub fn requested(&self) -> bool {
        self.reason().is_some()
    }

    /// Time spent in [`Stop::sleep`] and in waits so far.
    pub fn waited(&self) -> Duration {
        self.waited.get()
    }

    fn note(&self, since: Instant) {
        self.waited.set(self.waited.get() + since.elapsed());
    }

    /// Sleeps that long, or until asked to stop.
    pub fn sleep(&self, pause: Duration) {
        let begun = Instant::now();
        let end = begun + pause;
        while !self.requested() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(LOOK));
        }
        self.note(begun);
    }

    /// Waits before a batch: for as long as the pause file is there, and a gauge is over its limit, or until asked
    /// to stop.
    pub(super) fn wait(&self, observer: &mut dyn Observer) {
        self.pause(observer);
        if let Some(throttle) = self.throttle {
            self.slow_down(throttle, observer);
        }
    }

    fn slow_down(&self, throttle: &Throttle, observer: &mut dyn Observer) {
        let begun = Instant::now();
        let mut said = String::new();
        while !self.requested() {
            match throttle.look(&mut |text| observer.notice(text)) {
                Verdict::Go => break,
                Verdict::Stop(why) => {
                    observer.notice(&format!("stopping: {why}"));
                    self.given_up.set(Some(StopReason::Load));
                }
                Verdict::Wait(why) if begun.elapsed() >= throttle.max_wait() => {
                    observer.notice(&format!(
                        "stopping, after {} s: {why}",
                        begun.elapsed().as_secs()
                    ));
                    self.given_up.set(Some(StopReason::MaxWait));
                }
                Verdict::Wait(why) => {
                    // Each time: what is shown moves on, what is printed is told once for a reason.
                    observer.waits(&why);
                    said = why;
                    self.sleep(AGAIN);
                }
            }
        }
        if !said.is_empty() && !self.requested() {
            observer.notice(&format!(
                "going on after {:.1} s",
                begun.elapsed().as_secs_f64()
            ));
        }
    }

    fn pause(&self, observer: &mut dyn Observer) {
        let Some(file) = self.pause_file.as_ref().filter(|file| file.exists()) else {
            return;
        };
        let begun = Instant::now();
        observer.notice(&format!("paused: {} is there", file.display()));
        while file.exists() && !self.requested() {
            std::thread::sleep(LOOK);
        }
        self.note(begun);
        if !file.exists() {
            observer.notice(&format!("{} is gone: going on", file.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_and_the_earliest_moment_counts() {
        let flag = AtomicBool::new(false);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("stop");
        let now = Instant::now();
        let stop = Stop::on(&flag)
            .at(now + Duration::from_secs(60))
            .at_file(file.clone());
        assert_eq!(stop.reason(), None);
        assert_eq!(stop.clone().at(now).reason(), Some(StopReason::Time));
        std::fs::write(&file, "").unwrap();
        assert_eq!(stop.reason(), Some(StopReason::StopFile));
        flag.store(true, Ordering::Relaxed);
        assert_eq!(stop.reason(), Some(StopReason::Signal));
        assert_eq!(Stop::default().reason(), None);
    }

    #[test]
    fn a_sleep_ends_when_the_run_is_to() {
        let begun = Instant::now();
        let stop = Stop::default().at(begun + Duration::from_millis(100));
        stop.sleep(Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert!(stop.requested());
    }

    /// Hears what is said, and takes the pause file away.
    struct Remover(PathBuf, Vec<String>);

    impl Observer for Remover {
        fn notice(&mut self, text: &str) {
            self.1.push(text.to_owned());
            drop(std::fs::remove_file(&self.0));
        }
    }

    #[test]
    fn a_pause_lasts_as_long_as_its_file_or_until_the_run_is_to_stop() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pause");
        std::fs::write(&file, "").unwrap();
        let stop = Stop::default().pausing_for(file.clone());
        let mut observer = Remover(file.clone(), Vec::new());
        stop.wait(&mut observer);
        assert_eq!(observer.1.len(), 2);
        assert!(observer.1[0].starts_with("paused: ") && observer.1[1].ends_with("going on"));
        stop.wait(&mut observer);
        assert_eq!(observer.1.len(), 2);
        std::fs::write(&file, "").unwrap();
        let begun = Instant::now();
        stop.at(begun + Duration::from_millis(100)).wait(&mut ());
        assert!(begun.elapsed() >= Duration::from_millis(100));
        assert!(file.exists());
    }
}
