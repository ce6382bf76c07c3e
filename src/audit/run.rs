//! Asking the probes: one statement each, a second one only where there is something to show.

use std::collections::HashMap;

use crate::db::{DbError, Engine, Session, Value, spell_key};
use crate::error::Result;
use crate::schema::FamilyGraph;

use super::checks::Checks;
use super::probe::{KEYS, settings, unset};
use super::{Ask, AuditReport, Finding, NotChecked, Probe, Question, Subject};

/// What to audit and how much to show.
#[derive(Debug, Clone)]
pub struct Options {
    /// Ids of the checks to make; all if empty.
    pub checks: Vec<String>,
    /// Sample keys per finding.
    pub samples: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            checks: Vec::new(),
            samples: 5,
        }
    }
}

/// Everything the chosen checks want to know. Pure.
pub fn plan(graph: &FamilyGraph, engine: Engine, checks: &Checks) -> Vec<Probe> {
    let subject = Subject { graph, engine };
    let mut probes = Vec::new();
    for check in checks.iter() {
        probes.extend(check.probes(&subject).into_iter().map(|mut probe| {
            probe.check = check.id();
            probe
        }));
    }
    probes
}

/// Audits one database. Nothing is written; a statement that fails becomes an entry of
/// `not_checked`. An error is returned only for options that name no check.
pub fn audit(session: &mut Session, graph: &FamilyGraph, options: &Options) -> Result<AuditReport> {
    let checks = Checks::choose(&options.checks)?;
    let probes = plan(graph, session.origin(), &checks);
    // Of a dump: what is shown is for the database that it came from, what is asked for the one that it lies in.
    let mut asked = match session.origin() == session.engine() {
        true => Vec::new(),
        false => plan(graph, session.engine(), &checks),
    };
    let mut report = AuditReport::new(session.label(), &graph.profile.name);
    report.cover("", checks.iter().map(|check| check.id()));
    let (mut findings, mut gaps) = (Vec::new(), Vec::new());
    if sees_all_tables(session).is_ok_and(|all| !all) {
        gaps.push(NotChecked {
            check: "all".into(),
            table: None,
            why:
                "this user may read some tables only, and is not shown the others: grant it SELECT \
                  on the whole database"
                    .into(),
        });
    }
    for setting in settings(session.engine()) {
        let _ = session.execute(setting);
    }
    let label = shell_words::quote(session.label()).into_owned();
    let repairs = (graph.has_shadow_tables() && !graph.deletes_in_place)
        // A dump is read only.
        .then_some(match session.origin() == session.engine() {
            true => label.as_str(),
            false => "DB",
        });
    let mut presumed: HashMap<String, bool> = HashMap::new();
    for probe in probes {
        let same = |other: &Probe| {
            let key = |p: &Probe| {
                (
                    p.check,
                    p.table.clone(),
                    p.reference.clone(),
                    p.message.clone(),
                )
            };
            key(other) == key(&probe) && other.path == probe.path
        };
        let twin = asked.iter().position(same).map(|at| asked.remove(at));
        let elsewhere = session.origin() != session.engine();
        if elsewhere && twin.is_none() && matches!(probe.ask, Ask::Rows(_)) {
            gaps.push(NotChecked {
                check: probe.check.into(),
                table: Some(probe.table),
                why: "it cannot be asked of a dump".into(),
            });
            continue;
        }
        let here = twin.as_ref().unwrap_or(&probe);
        if let Some(from_where) = &here.only_if
            && !may_be(session, from_where, &mut presumed)
        {
            continue;
        }
        match answer(session, &probe, &here.ask, options.samples) {
            Ok(found) => findings.extend(found.map(|finding| {
                Finding {
                    repair: repairs
                        .filter(|_| !probe.cures.is_empty())
                        .map(|of| repair_command(of, probe.check)),
                    ..finding
                }
            })),
            Err(error) => gaps.push(NotChecked {
                check: probe.check.into(),
                table: Some(probe.table),
                why: error.to_string(),
            }),
        }
    }
    for setting in unset(session.engine()) {
        let _ = session.execute(setting);
    }
    report.add(findings, gaps);
    Ok(report)
}

/// What heals the findings of a check; `database` may come with options that name more.
pub(super) fn repair_command(database: &str, check: &str) -> String {
    format!("sexton repair {database} --check {check} --apply")
}

/// MariaDB and MySQL do not show a table to whom it is not granted, so it would be missed by nobody. PostgreSQL
/// shows it and refuses to read it. Rights that come by a role are not looked into.
fn sees_all_tables(session: &mut Session) -> Result<bool, DbError> {
    if session.engine() != Engine::Mysql {
        return Ok(true);
    }
    let own = "grantee = CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''', \
               SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')";
    let count = session.query_count(&format!(
        "SELECT (CURRENT_ROLE() IS NOT NULL AND CURRENT_ROLE() <> 'NONE') + \
         (SELECT COUNT(*) FROM information_schema.user_privileges \
          WHERE privilege_type = 'SELECT' AND {own}) + \
         (SELECT COUNT(*) FROM information_schema.schema_privileges \
          WHERE privilege_type = 'SELECT' AND DATABASE() LIKE table_schema AND {own})"
    ))?;
    Ok(count > 0)
}

/// Whether there are rows there, asked once; an error is for the probe itself to meet.
fn may_be(session: &mut Session, from_where: &str, known: &mut HashMap<String, bool>) -> bool {
    if let Some(known) = known.get(from_where) {
        return *known;
    }
    let row = session.query_row(&format!("SELECT 1 {from_where} LIMIT 1"));
    let any = !matches!(row, Ok(None));
    known.insert(from_where.to_owned(), any);
    any
}

fn answer(
    session: &mut Session,
    probe: &Probe,
    ask: &Ask,
    samples: usize,
) -> Result<Option<Finding>, DbError> {
    let finding = |count, samples, oldest, newest, remedy, select| Finding {
        reference: probe.reference.clone(),
        path: probe.path.clone(),
        kind: probe.kind.clone(),
        samples,
        oldest,
        newest,
        message: probe.message.clone(),
        remedy,
        select,
        ..Finding::new(probe.check, probe.severity, probe.table.as_str(), count)
    };
    let question = match ask {
        Ask::Known(names) => {
            let count = names.len().max(1) as u64;
            let remedy = probe.remedy.clone();
            return Ok(Some(finding(
                count,
                names.clone(),
                None,
                None,
                remedy,
                None,
            )));
        }
        Ask::Rows(question) => question,
    };
    let Some(row) = session.query_row(&question.count_sql())? else {
        return Ok(None);
    };
    let [count, oldest, newest] = row.as_slice() else {
        return Ok(None);
    };
    let count = count
        .as_int()
        .and_then(|n| u64::try_from(n).ok())
        .unwrap_or(0);
    if count == 0 {
        return Ok(None);
    }
    let keys = sample_keys(session, question, samples)?;
    let remedy = probe
        .remedy
        .replace(KEYS, &literals(session.origin(), &keys, count));
    let date = |v: &Value| (!v.is_null()).then(|| v.to_string());
    let shown = keys.iter().map(|key| shown(key)).collect();
    let select = match &probe.ask {
        Ask::Rows(question) => Some(question.select.clone()),
        Ask::Known(_) => None,
    };
    Ok(Some(finding(
        count,
        shown,
        date(oldest),
        date(newest),
        remedy,
        select,
    )))
}

fn sample_keys(
    session: &mut Session,
    question: &Question,
    samples: usize,
) -> Result<Vec<Vec<Value>>, DbError> {
    match question.sample_sql(samples) {
        Some(sql) => session.query(&sql),
        None => Ok(Vec::new()),
    }
}

/// A key as people read it.
pub(super) fn shown(key: &[Value]) -> String {
    spell_key(key)
}

/// The keys as a list of SQL literals; dots tell that there are more.
fn literals(engine: Engine, keys: &[Vec<Value>], count: u64) -> String {
    let literal = |key: &Vec<Value>| {
        let parts: Vec<_> = key.iter().map(|v| engine.literal(v)).collect();
        match parts.as_slice() {
            [one] => one.clone(),
            many => format!("({})", many.join(", ")),
        }
    };
    let mut list: Vec<_> = keys.iter().map(literal).collect();
    if (keys.len() as u64) < count {
        list.push("...".into());
    }
    list.join(", ")
}
