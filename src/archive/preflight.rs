//! What must hold before the first statement of a run.

use crate::error::{Error, Result};
use crate::schema::{FamilyGraph, Member, Obstacle};

use super::options::Options;

/// What [`super::archive`] refuses before its first statement, for whoever has several databases and wants to know of
/// all of them before the first one moves.
///
/// # Errors
///
/// Exit code 65 if there are no shadow tables or a row does not tell which row owns it, 64 if `drop_unshadowed` names
/// a table that is not there or has a shadow table.
pub fn preflight(database: &str, graph: &FamilyGraph, options: &Options) -> Result<()> {
    check(database, graph, options)?;
    check_owners(database, graph)
}

/// That there are shadow tables.
pub(super) fn check_shadows(database: &str, graph: &FamilyGraph) -> Result<()> {
    if graph.has_shadow_tables() {
        return Ok(());
    }
    let prefix = &graph.profile.shadow_prefix;
    Err(
        Error::data(format!("{database} has no shadow tables ({prefix}...)"))
            .hint("archive moves rows into them; check that this is the right database"),
    )
}

/// Shadow tables to archive into, and `drop_unshadowed` tables that are what the name says.
pub(super) fn check(database: &str, graph: &FamilyGraph, options: &Options) -> Result<()> {
    check_shadows(database, graph)?;
    for table in &options.drop_unshadowed {
        match graph.member(table) {
            None => {
                return Err(Error::usage(format!(
                    "--drop-unshadowed: there is no table '{table}'"
                ))
                .hint("a run without it lists the tables that hold families back"));
            }
            Some(Member {
                obstacle: Some(Obstacle::NoShadowTable(_)),
                key,
                ..
            }) if !key.is_empty() => {}
            Some(Member { key, .. }) if key.is_empty() => {
                return Err(Error::usage(format!(
                    "--drop-unshadowed: table '{table}' has no key to tell rows apart"
                ))
                .hint("give it a primary key, or leave it out"));
            }
            Some(_) => {
                return Err(Error::usage(format!(
                    "--drop-unshadowed: '{table}' has a shadow table, where its rows go"
                ))
                .hint("leave it out"));
            }
        }
    }
    Ok(())
}

/// That a row tells by its columns which row owns it: with two of one name, it would go with the one that is
/// deleted though the other lives.
///
/// # Errors
///
/// Exit code 65 if it does not.
pub fn check_owners(database: &str, graph: &FamilyGraph) -> Result<()> {
    let ambiguous = graph.references.iter().find(|reference| {
        let parent = graph.table(&reference.parent);
        reference.is_owned()
            && parent.is_some_and(|table| !table.identifies(&reference.parent_columns))
    });
    let Some(reference) = ambiguous else {
        return Ok(());
    };
    let (child, parent) = (&reference.child, &reference.parent);
    let columns = reference.parent_columns.join(", ");
    Err(Error::data(format!(
        "{database}: rows of {child} belong to {parent} by {parent}.({columns}), which is not unique: two \
         rows could own one"
    ))
    .hint("add a unique key, or a [[reference]] of another kind to the profile (docs/profiles.md)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Model, Profile};

    #[test]
    fn owners_are_told_apart_by_a_unique_key_in_every_model() {
        for name in Model::names() {
            let mut schema = Model::built_in(name).unwrap().schema().unwrap();
            let graph =
                |schema: &crate::schema::Schema| Profile::detect(schema).families(schema).unwrap();
            check_owners(name, &graph(&schema)).unwrap();
            // A Nova database that has lost its key.
            let nova = graph(&schema).profile.name == "nova";
            if let Some(table) = schema.tables.get_mut("instances").filter(|_| nova) {
                table.uniques.clear();
                let error = check_owners(name, &graph(&schema)).unwrap_err();
                assert!(
                    error
                        .message
                        .contains("instances.(uuid), which is not unique"),
                    "{error:?}"
                );
            }
        }
    }
}
