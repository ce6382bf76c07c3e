//! What archive and purge have in common where there are several cells: the ones that are away, where the files of
//! each go, and the API database over all of them.

use std::collections::BTreeMap;

use sexton::archive::{Api, Cell, Options, Outcome, Stop};
use sexton::db::{Access, Target, open};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::plural::several;
use sexton::schema::{ApiRecords, FamilyGraph};

use super::database::{API_DATABASE, of_api, open_with_schema};

/// How a cell is named in reports.
pub(super) fn shown(cell: &str) -> &str {
    if cell.is_empty() { "main" } else { cell }
}

/// Files of several cells lie apart: in a directory of the cell's name.
pub(super) fn in_directory_of(options: &Options, by_name: bool, cell: &str) -> Result<Options> {
    let writes = options.export.is_some() || !options.drop_unshadowed.is_empty();
    let mut options = options.clone();
    if by_name && writes {
        let name = shown(cell);
        if name.contains('/') || name.starts_with('.') {
            return Err(Error::usage(format!(
                "the cell's name '{name}' is no name of a directory"
            ))
            .hint(
                "its rows are written to a directory of that name: give it another with --cell",
            ));
        }
        options.export_dir.push(name);
        if !options.dry_run {
            std::fs::create_dir_all(&options.export_dir).map_err(|e| {
                let path = options.export_dir.display();
                Error::usage(format!("cannot make {path}: {e}"))
                    .hint("give a directory that can be written to")
            })?;
        }
    }
    Ok(options)
}

/// Cells that could not be reached, or were lost: they do not stop the others, where there are others.
pub(super) struct Unreachable {
    tolerant: bool,
    /// What was said of each.
    pub(super) cells: BTreeMap<String, String>,
    first: Option<Error>,
}

impl Unreachable {
    pub(super) fn new(tolerant: bool) -> Self {
        Self {
            tolerant,
            cells: BTreeMap::new(),
            first: None,
        }
    }

    /// Whether the other cells go on after such an error. The API database is everybody's.
    pub(super) fn tolerates(&self, error: &Error) -> bool {
        self.tolerant
            && matches!(error.code, ExitCode::Unavailable | ExitCode::Stopped)
            && !error.message.starts_with(API_DATABASE)
    }

    /// What a cell has come to; nothing if it could not be reached, which is noted.
    pub(super) fn pass<T>(&mut self, name: &str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(cell) => Ok(Some(cell)),
            Err(error) if self.tolerates(&error) => {
                self.cells
                    .insert(shown(name).to_owned(), error.message.clone());
                self.first.get_or_insert(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Notes a cell that has ended with an error. Gives back one that does not concern this cell alone.
    pub(super) fn lost(&mut self, name: &str, error: Error) -> Option<Error> {
        self.pass::<()>(name, Err(error)).err()
    }

    /// Fails where no cell was reached at all.
    pub(super) fn check(&mut self, none: bool) -> Result<()> {
        match self.first.take().filter(|_| none) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// The error with what had gone by then.
pub(super) fn with_rows(error: Error, so_far: &Outcome) -> Error {
    let (rows, families) = (so_far.total_rows, so_far.families);
    let message = match rows {
        0 => error.message,
        _ => {
            let said = error.message;
            format!(
                "{said} ({} of {} had gone by then)",
                several(rows, "row"),
                several(families, "family")
            )
        }
    };
    Error { message, ..error }
}

/// Opens the API database, and each cell that was reached for asking. The others that were given, too, are not
/// forgotten: they may hold any instance.
pub(super) fn open_api<'a>(
    (target, access): (&Target, Access),
    reached: &[(String, Target)],
    graphs: &'a [FamilyGraph],
    unreachable: &Unreachable,
    stop: Stop<'a>,
) -> Result<Api<'a>> {
    let (session, schema) = open_with_schema(target, access).map_err(of_api)?;
    let records: ApiRecords = graphs
        .iter()
        .find_map(|g| g.profile.api.clone())
        .ok_or_else(|| {
            Error::usage("--api: the profile of this database knows no API-database records")
                .hint("leave --api out, or choose the profile with --profile")
        })?;
    let mut cells = Vec::new();
    for ((name, target), graph) in reached.iter().zip(graphs) {
        cells.push(Cell {
            name: name.clone(),
            session: open(target, Access::ReadOnly)?,
            graph,
        });
    }
    let api = Api::new(session, &schema, records, cells)?;
    let mut api = api.pausing(move |pause| stop.sleep(pause));
    for (cell, why) in &unreachable.cells {
        api = api.without(cell, why);
    }
    Ok(api)
}

/// What is to be said of API records that stay.
pub(super) fn api_notices(api: &Api<'_>) -> Vec<String> {
    let mut notices = Vec::new();
    if api.elsewhere > 0 {
        notices.push(format!(
            "the API records of {} stay: mapped to a cell that was not given (give it with --cell NAME=DB)",
            several(api.elsewhere, "instance")
        ));
    }
    if api.unasked > 0 {
        notices.push(format!(
            "the API records of {} stay: {} could not be asked whether it holds them (run again with it, \
             or name the other cells with --cell NAME=DB)",
            several(api.unasked, "instance"),
            of_cells(api)
        ));
    }
    notices
}

/// The cells that could not be asked.
pub(super) fn of_cells(api: &Api<'_>) -> String {
    let names: Vec<_> = api.away().keys().map(|cell| shown(cell)).collect();
    format!("cell {}", names.join(", "))
}
