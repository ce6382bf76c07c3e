//! What is wrong with a database: a registry of checks, the statements they ask, the findings.
//!
//! A check is pure: it turns the family graph into [`Probe`]s, each of which is either a finding
//! already (drift is known from the schema alone) or a question in SQL, as data. [`audit`] asks the
//! questions. So the statements of an audit can be printed, counted and tested without a database,
//! and a new check is one file under `checks/` and one line in its registry.
//!
//! Architecture invariants: nothing here writes; every statement is linear in the rows it reads,
//! whatever indexes the shadow tables lack (see [`Subject`]); what could not be asked is in
//! [`AuditReport::not_checked`], never silently clean.

mod audited;
mod baseline;
mod census;
mod checks;
mod compare;
mod cure;
mod family;
mod finding;
mod fingerprint;
mod pages;
mod probe;
mod remedy;
mod run;
mod since;
mod stranded;
mod subject;
mod suppress;
pub mod upgrade;

pub use audited::{Audited, Scope};
pub use baseline::Baseline;
pub use census::{AGE_CLASSES, Ages, Census, TableCensus};
pub use checks::{Check, Checks, Repair, all, catalogue};
pub use compare::{Change, Compared, Comparison, Course, Known};
pub use cure::{Cure, Way};
pub(crate) use cure::{ask, linear};
pub use finding::{AuditReport, Finding, NotChecked, Severity, Summary};
pub use pages::page;
pub use probe::{Ask, Probe, Question, Rest};
pub use run::{Options, audit, plan};
pub use since::Since;
pub use stranded::{Cell, ID as STRANDED, Stranded, stranded};
pub use subject::{Columns, Link, Side, Subject};
pub use suppress::{Suppressed, Suppression, Suppressions, SuppressionsUsed};
