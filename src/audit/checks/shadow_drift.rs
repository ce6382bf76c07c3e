//! Shadow tables that are not what their live tables are.

use crate::audit::{Check, Probe, Repair, Severity, Side, Subject};
use crate::db::Value;
use crate::schema::{ColumnType, Drift, DriftKind, Table, ddl, shadow_drift};

/// The check `shadow-drift`.
pub(super) struct ShadowDrift;

impl Check for ShadowDrift {
    fn id(&self) -> &'static str {
        "shadow-drift"
    }

    fn summary(&self) -> &'static str {
        "shadow tables, or columns, that are missing or differ; tables the profile does not know"
    }

    fn repair(&self) -> Repair {
        Repair::Leaves(
            "altering a table is for a maintenance window; each finding has the statement",
        )
    }

    fn probes(&self, subject: &Subject<'_>) -> Vec<Probe> {
        let mut probes = Vec::new();
        for side in subject.sides() {
            probes.extend(unknown(subject, side));
            match side.shadow {
                Some(shadow) => {
                    let drift = shadow_drift(side.live, shadow);
                    probes.extend(
                        drift
                            .iter()
                            .filter_map(|d| column(subject, d, side, shadow)),
                    );
                    probes.extend(enum_types(subject, side.live, shadow));
                }
                None => probes.extend(missing(subject, side)),
            }
            probes.extend(removed_columns(subject, side));
        }
        probes
    }
}

/// A table the profile does not name.
fn unknown(subject: &Subject<'_>, side: Side<'_>) -> Option<Probe> {
    let (profile, table) = (&subject.graph.profile, &side.live.name);
    if profile.is_convention() || profile.knows(table) {
        return None;
    }
    if let Some(live) = table.strip_prefix(&profile.shadow_prefix) {
        let probe = Probe::known(Severity::Note, table, vec![table.clone()]);
        return Some(
            probe
                .kind("no-live-table")
                .message(format!("{table} is a shadow table, and there is no {live}"))
                .remedy("drop it when nothing in it is wanted any more"),
        );
    }
    Some(
        Probe::known(Severity::Warning, table, vec![table.clone()])
            .kind("unknown-table")
            .message(format!(
                "{table} is not a table of {}: nova-manage db archive_deleted_rows fails on a \
                 table it does not know",
                profile.name
            ))
            .remedy("move it to a database of its own, or drop it"),
    )
}

/// A table that should have a shadow table.
fn missing(subject: &Subject<'_>, side: Side<'_>) -> Option<Probe> {
    let (profile, table) = (&subject.graph.profile, &side.live.name);
    let severity = if profile.tables.contains(table) {
        Severity::Error
    } else if profile.is_convention()
        && subject.graph.has_shadow_tables()
        && side.member.marker.is_some()
    {
        Severity::Warning
    } else {
        return None;
    };
    let shadow = format!("{}{table}", profile.shadow_prefix);
    let (new, old) = (subject.engine.quote(&shadow), subject.engine.quote(table));
    let remedy = match subject.engine {
        crate::db::Engine::Sqlite => format!("create {shadow} with the columns of {table}"),
        crate::db::Engine::Mysql => format!("CREATE TABLE {new} LIKE {old}"),
        crate::db::Engine::Postgres => {
            format!("CREATE TABLE {new} (LIKE {old} INCLUDING DEFAULTS)")
        }
    };
    Some(
        Probe::known(severity, table, vec![shadow.clone()])
            .kind("no-shadow-table")
            .message(format!(
                "{table} has no shadow table {shadow}: its rows cannot be archived"
            ))
            .remedy(remedy),
    )
}

/// One column that differs.
fn column(subject: &Subject<'_>, drift: &Drift, side: Side<'_>, shadow: &Table) -> Option<Probe> {
    let full = format!("{}.{}", drift.table, drift.column);
    let severity = if drift.kind.stops_every_row() {
        Severity::Error
    } else if subject.graph.profile.intended_drift.contains(&full) {
        return None;
    } else if drift.kind.is_harmless() {
        Severity::Note
    } else {
        Severity::Warning
    };
    let remedy = match &drift.kind {
        DriftKind::MissingInShadow(ty) => {
            ddl::add_column(&shadow.name, &drift.column, ty, subject.engine)
        }
        DriftKind::RequiredInShadowOnly | DriftKind::NotNullInShadow => {
            subject.allow_null(shadow, &drift.column)
        }
        DriftKind::Type(..) | DriftKind::EnumLabels(_) => format!(
            "give {}.{} the type of {}.{}",
            shadow.name, drift.column, side.live.name, drift.column
        ),
        DriftKind::ExtraInShadow | DriftKind::NullableInShadow => "none needed".into(),
    };
    Some(
        Probe::known(severity, &drift.table, vec![full.clone()])
            .kind(format!("{}: {}", drift.column, drift.kind.name()))
            .message(format!("{full}: {}", drift.kind))
            .remedy(remedy),
    )
}

/// Columns whose shadow has the same labels under another enum type, which PostgreSQL takes for
/// another type altogether.
fn enum_types(subject: &Subject<'_>, live: &Table, shadow: &Table) -> Vec<Probe> {
    let mut probes = Vec::new();
    for column in &live.columns {
        let Some(copy) = shadow.column(&column.name) else {
            continue;
        };
        let (Some(a), Some(b)) = (&column.native, &copy.native) else {
            continue;
        };
        let is_enum = matches!(column.ty, ColumnType::Enum(_));
        if !is_enum || a == b {
            continue;
        }
        let full = format!("{}.{}", live.name, column.name);
        let name = subject.engine.quote(&column.name);
        let default = match (&copy.default, &column.default) {
            (None, _) => [String::new(), String::new()],
            // PostgreSQL casts no default from one enum to another.
            (Some(_), to) => {
                let literal = |text: &String| subject.engine.literal(&Value::Text(text.clone()));
                let set = to
                    .as_ref()
                    .map(|to| format!(", ALTER COLUMN {name} SET DEFAULT {}", literal(to)));
                [
                    format!("ALTER COLUMN {name} DROP DEFAULT, "),
                    set.unwrap_or_default(),
                ]
            }
        };
        let [drop, set] = default;
        let probe = Probe::known(Severity::Warning, &live.name, vec![full.clone()]);
        probes.push(
            probe
                .kind(format!("{}: enum-type", column.name))
                .message(format!(
                    "{full} is of type {a}, its shadow of type {b}: every nova-manage archive of \
                     the table fails; sexton casts"
                ))
                .remedy(format!(
                    "ALTER TABLE {} {drop}ALTER COLUMN {name} TYPE {a} USING {name}::text::{a}{set}",
                    subject.engine.quote(&shadow.name)
                )),
        );
    }
    probes
}

/// Content of soft-deleted rows in columns that the service's models know no longer.
fn removed_columns(subject: &Subject<'_>, side: Side<'_>) -> Vec<Probe> {
    let removed = subject.graph.profile.removed_columns.iter();
    let columns = removed.filter_map(|full| {
        let (table, column) = full.split_once('.')?;
        (table == side.live.name).then_some(column)
    });
    let present = columns.filter(|c| side.live.column(c).is_some());
    let probe = |column: &str| {
        let condition = format!(
            "{} AND {} IS NOT NULL",
            subject.deleted(side.member, "c")?,
            subject.engine.column("c", column)
        );
        let question = subject.rows_of(side.member, side.live, "c", &condition);
        Some(
            Probe::rows(Severity::Warning, &side.live.name, question)
                .kind(format!("{column}: removed"))
                .message(format!(
                    "soft-deleted {0} rows have a value in {0}.{column}, which the service's \
                     models know no longer: nova-manage archives it as NULL",
                    side.live.name
                ))
                .remedy("`sexton archive` copies every column"),
        )
    };
    present.filter_map(probe).collect()
}
