//! Tables of which no row can be copied.

use super::Way;
use crate::archive::drop_unshadowed;
use crate::audit::{Probe, Side, Subject};
use crate::schema::{Obstacle, ddl};

/// Roots with rows in a table of which no row can be copied.
pub(super) fn probes<'a>(subject: &Subject<'a>, side: Side<'a>) -> Vec<Probe> {
    let Some(obstacle) = &side.member.obstacle else {
        return Vec::new();
    };
    let ways = Way::all(subject, side).into_iter();
    let ways = ways.filter(|way| stops(subject, side, way, obstacle));
    let probe = |way: Way<'a>| {
        let table = &side.member.table;
        let message = match way.last() {
            None => format!("soft-deleted {table} rows cannot be archived: {obstacle}"),
            Some(_) => format!(
                "soft-deleted {} rows have {table} rows, and {obstacle}",
                way.root.member.table
            ),
        };
        Some(
            way.probe(subject, None)?
                .kind(obstacle.reason())
                .message(message)
                .remedy(remedy(subject, side, &way, obstacle)),
        )
    };
    ways.filter_map(probe).collect()
}

/// Whether the obstacle stops roots on this way.
fn stops(subject: &Subject<'_>, side: Side<'_>, way: &Way<'_>, obstacle: &Obstacle) -> bool {
    let no_shadow = matches!(obstacle, Obstacle::NoShadowTable(_));
    let graph = subject.graph;
    match way.last() {
        // Without a foreign key the rows merely stay where they are: residue.
        Some(last) => last.declared || !no_shadow,
        // A service that has no shadow tables at all purges instead.
        None if no_shadow => {
            graph.has_shadow_tables() && !graph.profile.without_shadow.contains(&side.member.table)
        }
        None => true,
    }
}

fn remedy(subject: &Subject<'_>, side: Side<'_>, way: &Way<'_>, obstacle: &Obstacle) -> String {
    let engine = subject.engine;
    match obstacle {
        Obstacle::NoShadowTable(table) if way.last().is_some() => {
            format!("{}; or create the shadow table", drop_unshadowed(table))
        }
        Obstacle::NoShadowTable(table) => {
            format!("create {}{table}", subject.graph.profile.shadow_prefix)
        }
        Obstacle::NoKey => "give the table a primary key".into(),
        Obstacle::MissingColumns(shadow, columns) => {
            let add = columns.iter().filter_map(|name| {
                let column = side.live.column(name)?;
                Some(ddl::add_column(shadow, name, &column.ty, engine))
            });
            add.collect::<Vec<_>>().join("; ")
        }
        Obstacle::RequiredColumn(_, column) => match side.shadow {
            Some(shadow) => subject.allow_null(shadow, column),
            None => String::new(),
        },
        Obstacle::OtherType(shadow, columns) => {
            format!(
                "give {shadow} the live table's type for {}",
                columns.join(", ")
            )
        }
        Obstacle::NonTransactional(table, _) => {
            format!("ALTER TABLE {} ENGINE=InnoDB", engine.quote(table))
        }
    }
}
