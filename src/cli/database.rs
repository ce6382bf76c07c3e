//! Which databases a command works on: arguments, environment, configuration file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use sexton::cells::{CellDatabase, cell_databases};
use sexton::db::{
    Access, Session, Target, introspect, is_dump, open, open_dump, oslo_connection,
    oslo_has_connection,
};
use sexton::error::{Error, Result};
use sexton::schema::{FamilyGraph, Profile, Schema};

use super::settings;

/// The arguments that name databases: where one of them is typed, no other is taken from elsewhere.
pub(super) const NAMES_DATABASES: [&str; 4] = ["database", "nodes", "config_file", "cells"];

/// The database arguments that audit and archive share.
#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// The database: a URL, a SQLite file, or, to read only, a dump of mysqldump or pg_dump. Default: the
    /// environment's SEXTON_DATABASE.
    #[arg(value_name = "DB")]
    database: Option<String>,
    /// Another node of DB's cluster, as a URL of the same database: where the node in use goes away, the next one is
    /// taken. May be given several times; the first one is DB where that is not given.
    #[arg(long = "db", value_name = "URL")]
    nodes: Vec<String>,
    /// A nova.conf: the connections of [database] and, if it is there, [api_database].
    #[arg(long, value_name = "FILE", conflicts_with = "database")]
    pub(crate) config_file: Option<PathBuf>,
    /// A further cell, as NAME=DB, or NAME=FILE.conf for the [database] of a nova.conf; may be given
    /// several times. One of the same NAME is another node of that cell's cluster.
    #[arg(long = "cell", value_name = "NAME=DB", value_parser = parse_cell)]
    cells: Vec<CellArg>,
    /// Every cell that the API database lists. DB, or the [database] of the nova.conf, only fills in
    /// the templates among their connections.
    #[arg(long, conflicts_with = "cells")]
    all_cells: bool,
    /// The API database, whose records about archived instances are looked after too. Default: the environment's
    /// SEXTON_API_DATABASE.
    #[arg(long, value_name = "DB")]
    api: Option<String>,
    /// The profile: `nova` or another service, `convention`, or a file. Default: whatever fits the database.
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
}

/// `NAME=DB`.
#[derive(Debug, Clone)]
pub(crate) struct CellArg {
    name: String,
    database: String,
}

fn parse_cell(text: &str) -> std::result::Result<CellArg, String> {
    match text.split_once('=') {
        Some((name, database)) if !name.is_empty() && !database.is_empty() => Ok(CellArg {
            name: name.into(),
            database: database.into(),
        }),
        _ => Err("expected NAME=DB, as in cell1=mysql://nova@host/nova_cell1".into()),
    }
}

impl CellArg {
    /// The database.
    ///
    /// # Errors
    ///
    /// Exit code 64 where the name is the beginning of a URL, up to a `=` in it: names are shown, and a URL may hold
    /// a password. So it is not quoted either.
    fn target(&self) -> Result<Target> {
        let login = self.name.split_once('@').map_or("", |(login, _)| login);
        if self.name.contains("://") || login.contains(':') {
            return Err(Error::usage("a --cell without a name before its URL")
                .hint("write NAME=DB, as in cell1=mysql://nova@host/nova_cell1"));
        }
        let path = Path::new(&self.database);
        match path.extension() {
            Some(extension) if extension == "conf" => connection(path, &read(path)?, "database"),
            _ => self.database.parse(),
        }
    }
}

/// The databases a command works on, not opened yet.
pub(crate) struct Databases {
    /// Cells by name; the name of the only, positional one is empty.
    pub(crate) cells: Vec<(String, Target)>,
    /// The API database.
    pub(crate) api: Option<Target>,
    /// Whether a report names the cell of each table.
    pub(crate) by_name: bool,
    profile: Option<String>,
    /// How nova-manage names each cell that was listed.
    pub(crate) identities: BTreeMap<String, String>,
    /// The configuration and profile files.
    read: Vec<PathBuf>,
}

impl DatabaseArgs {
    /// Reads the arguments, and the configuration file if one was given.
    pub(crate) fn resolve(&self) -> Result<Databases> {
        // Each with its nodes.
        let mut given: Vec<(String, Vec<Target>)> = Vec::new();
        let read_as = |id: &str, text: &str| -> Result<Target> {
            text.parse().map_err(|error| settings::placed(id, error))
        };
        let api = self.api.as_deref().map(|text| read_as("api", text));
        let mut api = api.transpose()?;
        // The URL itself too: it fills in templates.
        let mut first: Option<String> = None;
        let mut nodes = self.nodes.as_slice();
        if let Some(path) = &self.config_file {
            let text = read(path)?;
            let target = connection(path, &text, "database")?;
            given.push((String::new(), vec![target]));
            first = oslo_connection(&text, "database").ok();
            // A nova.conf of a cell's own services has no API database.
            if api.is_none() && oslo_has_connection(&text, "api_database") {
                api = Some(connection(path, &text, "api_database").map_err(of_api)?);
            }
        } else if let Some(database) = &self.database {
            first = Some(database.clone());
        } else if let Some((node, others)) = nodes.split_first() {
            first = Some(node.clone());
            nodes = others;
        }
        if self.config_file.is_none()
            && let Some(database) = &first
        {
            let id = match self.database {
                Some(_) => "database",
                None => "nodes",
            };
            given.push((String::new(), vec![read_as(id, database)?]));
        }
        if self.all_cells && !nodes.is_empty() {
            return Err(Error::usage(
                "--db gives further nodes of DB, which is no cell with --all-cells",
            )
            .hint("name the cells, with --cell NAME=URL once for each node"));
        }
        if let Some((_, main)) = given.first_mut() {
            for node in nodes {
                main.push(read_as("nodes", node)?);
            }
        }
        for cell in &self.cells {
            let target = cell.target()?;
            match given.iter_mut().find(|(name, _)| *name == cell.name) {
                Some((_, nodes)) => nodes.push(target),
                None => given.push((cell.name.clone(), vec![target])),
            }
        }
        let mut identities = BTreeMap::new();
        let mut cells = Vec::new();
        if self.all_cells {
            for cell in self.listed(api.as_ref(), first.as_deref())? {
                identities.insert(cell.name.clone(), cell.identity);
                cells.push((cell.name, cell.target));
            }
        } else {
            refuse_twins(&given)?;
            for (name, nodes) in given {
                cells.extend(as_one(&name, nodes)?.map(|target| (name, target)));
            }
        }
        if cells.is_empty() {
            return Err(Error::usage("no database was given").hint(
                "give a URL or a file, --config-file, --cell NAME=DB, or set SEXTON_DATABASE",
            ));
        }
        let confs = self.cells.iter().map(|c| PathBuf::from(&c.database));
        let read = self
            .config_file
            .iter()
            .cloned()
            .chain(self.profile.iter().map(PathBuf::from))
            .chain(confs);
        Ok(Databases {
            read: read.collect(),
            identities,
            by_name: self.all_cells || cells.len() > 1,
            cells,
            api,
            profile: self.profile.clone(),
        })
    }

    /// The cells that the API database lists.
    fn listed(&self, api: Option<&Target>, default: Option<&str>) -> Result<Vec<CellDatabase>> {
        let api = api.ok_or_else(|| {
            of_api(
                Error::usage("--all-cells needs it, as it lists the cells")
                    .hint("give --api DB, or --config-file with [api_database]"),
            )
        })?;
        let (mut session, schema) = open_with_schema(api, Access::ReadOnly).map_err(of_api)?;
        let profiles = match &self.profile {
            Some(name) => vec![profile(name)?],
            None => Profile::names()
                .filter_map(|n| Profile::built_in(n).ok())
                .collect(),
        };
        let mut records = profiles.into_iter().filter_map(|p| p.api);
        let records = records
            .find(|api| schema.table(&api.cells).is_some())
            .ok_or_else(|| {
                of_api(
                    Error::data(format!("{api} has no table of cells"))
                        .hint("--api takes the database of [api_database] in nova.conf"),
                )
            })?;
        cell_databases(&mut session, &records, default)
    }
}

/// No database may be two cells, nor two nodes of one.
fn refuse_twins(given: &[(String, Vec<Target>)]) -> Result<()> {
    let all: Vec<_> = given.iter().flat_map(|(_, nodes)| nodes).collect();
    let twin = all.iter().enumerate().find(|(number, target)| {
        let mut before = all[..*number].iter();
        before.any(|other| other.same_database(target))
    });
    match twin {
        Some((_, target)) => Err(Error::usage(format!("{target} is given twice")).hint(
            "give each cell once, under a name of its own; one of the same name is another node of its cluster",
        )),
        None => Ok(()),
    }
}

/// The database that is reached through these nodes.
fn as_one(name: &str, nodes: Vec<Target>) -> Result<Option<Target>> {
    let mut nodes = nodes.into_iter();
    let Some(first) = nodes.next() else {
        return Ok(None);
    };
    let database = nodes.try_fold(first, Target::or).map_err(|e| match name {
        "" => e,
        _ => e.hint(
            "a --cell of the same name is the same database on another node; another cell has another name",
        ),
    })?;
    Ok(Some(database))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| {
        Error::usage(format!("cannot read {}: {e}", path.display()))
            .hint("a configuration file is the path of a nova.conf")
    })
}

/// The database that a section of a nova.conf names.
fn connection(path: &Path, text: &str, section: &str) -> Result<Target> {
    oslo_connection(text, section)
        .and_then(|url| url.parse())
        .map_err(|e| Error {
            message: format!("{}: {}", path.display(), e.message),
            ..e
        })
}

/// How every error about the API database begins.
pub(crate) const API_DATABASE: &str = "API database: ";

/// The same error, about the API database.
pub(crate) fn of_api(error: Error) -> Error {
    Error {
        message: format!("{API_DATABASE}{}", error.message),
        ..error
    }
}

impl Databases {
    /// The files that are worked on: databases, dumps, configurations, the profile.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let targets = self.cells.iter().map(|(_, target)| target).chain(&self.api);
        let databases = targets.filter_map(|target| match target {
            Target::Sqlite(path) => Some(path.as_path()),
            _ => None,
        });
        databases.chain(self.read.iter().map(PathBuf::as_path))
    }

    /// Opens a cell and builds its family graph.
    pub(crate) fn open_cell(
        &self,
        target: &Target,
        access: Access,
    ) -> Result<(Session, FamilyGraph)> {
        let (session, schema) = open_with_schema(target, access)?;
        let profile = self.profile(target, &schema)?;
        if let Some(table) = profile.missing_in(&schema) {
            let service = &profile.name;
            return Err(Error::data(format!(
                "{target} is not a database of {service}: it has no table {table}"
            ))
            .hint("leave --profile out to have the database looked at, or name another"));
        }
        let graph = profile.families(&schema)?;
        if graph.members.is_empty() {
            return Err(Error::data(format!("{target} has no tables"))
                .hint("check that this is the right database"));
        }
        Ok((session, graph))
    }

    fn profile(&self, target: &Target, schema: &Schema) -> Result<Profile> {
        match self.profile.as_deref() {
            None => match (Profile::detect(schema), Profile::of_part(schema)) {
                (profile, Some((service, missing))) if profile.is_convention() => Err(Error::data(
                    format!(
                        "{target} is a database of {} without its table {missing}: a part of one",
                        service.name
                    ),
                )
                .hint("give the whole database, grant the user SELECT on all of it, or give --profile convention")),
                (profile, _) => Ok(profile),
            },
            Some(name) => profile(name),
        }
    }
}

/// The profile that `--profile` names: `convention`, one that comes with sexton, or a file.
pub(crate) fn profile(name: &str) -> Result<Profile> {
    match name {
        "convention" => Ok(Profile::convention()),
        path if path.contains(['/', '.']) => {
            let text = std::fs::read_to_string(path).map_err(|e| {
                Error::usage(format!("cannot read profile {path}: {e}"))
                    .hint("--profile takes a name, or the path of a profile file")
            })?;
            Profile::parse(&text, path)
        }
        name => Profile::built_in(name),
    }
}

/// Opens a database, or a dump of one, and reads its schema.
pub(crate) fn open_with_schema(target: &Target, access: Access) -> Result<(Session, Schema)> {
    if let Target::Sqlite(path) = target {
        if access == Access::ReadWrite && is_dump(path)? {
            return Err(
                Error::data(format!("{target} is a dump, which can only be read"))
                    .hint("load it into a server, or audit it as it is"),
            );
        }
        if access == Access::ReadOnly
            && let Some(dump) = open_dump(path)?
        {
            return Ok((dump.session, dump.schema));
        }
    }
    let mut session = open(target, access)?;
    for node in session.passed_over() {
        crate::cli::say!("sexton: turning to the next node: {node}");
    }
    let schema = introspect(&mut session)?;
    Ok((session, schema))
}
