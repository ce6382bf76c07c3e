//! The workers of a campaign: they take jobs until none is left, time is up, or somebody says stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::super::case::{Case, Judged};
use super::super::report::Report;
use super::super::runner::Runner;
use super::super::scenario::Scenario;
use super::enumeration::Job;
use super::{Campaign, Watch};
use crate::error::{Error, Result};

/// What the workers on one world share.
pub(super) struct Crew<'a> {
    pub(super) campaign: &'a Campaign,
    pub(super) watch: &'a dyn Watch,
    pub(super) started: Instant,
    /// What every case of this world has in common.
    pub(super) template: &'a Scenario,
}

/// What the rows were that faults have left, as digests, with the first case that left them so: in their
/// order, whichever worker came first.
#[derive(Default)]
pub(super) struct Remains(BTreeMap<u64, (usize, Case)>);

impl Remains {
    fn note(&mut self, index: usize, case: &Case, judged: &Judged) {
        let alone = case.fault.is_some() && case.writer.is_none() && case.second.is_none();
        let Some(left) = judged.left.filter(|_| alone && judged.fired) else {
            return;
        };
        let first = self.0.entry(left).or_insert_with(|| (index, case.clone()));
        if index < first.0 {
            *first = (index, case.clone());
        }
    }

    /// A case for each of the states, in the order of the campaign.
    pub(super) fn cases(self) -> Vec<Case> {
        let mut firsts: Vec<_> = self.0.into_values().collect();
        firsts.sort_by_key(|(index, _)| *index);
        firsts.into_iter().map(|(_, case)| case).collect()
    }
}

impl Crew<'_> {
    /// Whether time or cases are used up, or somebody says stop.
    pub(super) fn is_over(&self, cases: u64) -> bool {
        self.campaign.is_spent(self.started, cases) || self.watch.stop()
    }

    /// Does the jobs and books them; whether all were done.
    pub(super) fn work(
        &self,
        runners: &mut [Runner],
        jobs: &[Job],
        report: &mut Report,
    ) -> Result<Option<Remains>> {
        let tally = Mutex::new((report, Remains::default()));
        let next = AtomicUsize::new(0);
        let over = AtomicBool::new(false);
        let broken: Mutex<Option<Error>> = Mutex::new(None);
        std::thread::scope(|scope| {
            for runner in runners {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::SeqCst);
                        // With no job left there is nothing to stop.
                        let Some(job) = jobs.get(index) else {
                            break;
                        };
                        let cases = lock(&tally).0.cases;
                        if self.is_over(cases) {
                            over.store(true, Ordering::SeqCst);
                        }
                        if over.load(Ordering::SeqCst) {
                            break;
                        }
                        match job.run(runner) {
                            Ok((case, judged)) => {
                                let mut tally = lock(&tally);
                                tally.1.note(index, &case, &judged);
                                self.book(job, case, &judged, tally.0);
                                drop(tally);
                                self.watch.case(judged.breaches.is_empty());
                            }
                            Err(error) => {
                                lock(&broken).get_or_insert(error);
                                over.store(true, Ordering::SeqCst);
                            }
                        }
                    }
                });
            }
        });
        if let Some(error) = broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let (_, remains) = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((!over.into_inner()).then_some(remains))
    }

    fn book(&self, job: &Job, case: Case, judged: &Judged, report: &mut Report) {
        if matches!(job, Job::Combined(_)) && judged.is_without_turn() {
            report.without_turn += 1;
            return;
        }
        let scenario = Scenario {
            case,
            ..self.template.clone()
        };
        report.judged(&scenario, judged);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
