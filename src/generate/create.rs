//! An empty database becomes a Nova database: the tables of a built-in model.

use crate::db::{Engine, Session, Value, introspect};
use crate::error::{Error, Result};
use crate::schema::{Model, Profile, ddl};

/// Whether there is data for a built-in model, of this database of Nova: `main`, `api`.
///
/// # Errors
///
/// Exit code 64 if there is no such model, or it is another one's.
pub fn check_model(name: &str, database: &str) -> Result<()> {
    let model = Model::built_in(name)?;
    if model.service == "nova" && model.database == database {
        return Ok(());
    }
    let message = format!("there is no synthetic data for a database of {name}");
    Err(Error::usage(message).hint("choose a model of Nova: nova-34.0.0"))
}

/// Creates the tables of a built-in model (`nova-34.0.0`, `nova-34.0.0-api`) in an empty database.
/// A database that has them already is left as it is; any other is refused.
pub fn create_schema(session: &mut Session, model_name: &str) -> Result<()> {
    let model = Model::built_in(model_name)?;
    let present = introspect(session)?;
    if present.tables.is_empty() {
        return create(session, &model);
    }
    let missing = telling_tables(&model)?
        .into_iter()
        .find(|t| present.table(t).is_none());
    match missing {
        None => Ok(()),
        Some(table) => Err(Error::data(format!(
            "{} is not empty and has no table {table}: not a database of {} ({})",
            session.label(),
            model.service,
            model.database
        ))
        .hint("give an empty database")),
    }
}

fn create(session: &mut Session, model: &Model) -> Result<()> {
    let engine = session.engine();
    let schema = model.schema()?;
    // One transaction where the engine has it for DDL: a thousand commits are slow.
    let together = engine != Engine::Mysql;
    if together {
        session.begin()?;
    }
    for statement in ddl::create_statements(&schema, engine) {
        session.execute(&statement)?;
    }
    let version = engine.literal(&Value::Text(model.version.clone()));
    if schema.table("alembic_version").is_some() {
        session.execute(&format!(
            "INSERT INTO alembic_version (version_num) VALUES ({version})"
        ))?;
    } else if schema.table("migrate_version").is_some() {
        let (repository, path) = match model.database.as_str() {
            "api" => ("nova_api", "nova/db/sqlalchemy/api_migrations/migrate_repo"),
            _ => ("nova", "nova/db/sqlalchemy/migrate_repo"),
        };
        session.execute(&format!(
            "INSERT INTO migrate_version (repository_id, repository_path, version) \
             VALUES ('{repository}', '{path}', {})",
            model.version.parse::<u32>().unwrap_or(0)
        ))?;
    }
    if together {
        session.commit()?;
    }
    Ok(())
}

/// Tables by which a database of the model's kind is known.
fn telling_tables(model: &Model) -> Result<Vec<String>> {
    let profile = Profile::built_in(&model.service)?;
    Ok(match profile.api {
        Some(api) if model.database == "api" => [vec![api.cells], api.tables].concat(),
        _ => profile.detect,
    })
}
