//! What must hold before the first statement of a run.

use crate::error::{Error, Result};
use crate::schema::{FamilyGraph, Member, Obstacle};

use super::options::Options;

/// Shadow tables to archive into, and `drop_unshadowed` tables that are what the name says.
pub(super) fn check(database: &str, graph: &FamilyGraph, options: &Options) -> Result<()> {
    if !graph.has_shadow_tables() {
        let prefix = &graph.profile.shadow_prefix;
        return Err(
            Error::data(format!("{database} has no shadow tables ({prefix}...)"))
                .hint("archive moves rows into them; check that this is the right database"),
        );
    }
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
