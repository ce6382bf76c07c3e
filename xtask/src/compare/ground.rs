//! Where engines are put to work: a private server or a file, and databases of the same rows on it.

use std::path::Path;

use anyhow::{Context, Result};
use sexton::db::{Access, Session, Target, introspect, open};
use sexton::generate::{Dataset, create_schema, generate};
use sexton::schema::Schema;
use sexton::server::{PrivateMariadb, PrivatePostgres, Provider, Server};
use tempfile::TempDir;

use crate::service;

/// The kinds of database to compare on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    Mariadb,
    Postgres,
    Sqlite,
}

/// A private server, or a directory for files.
pub(super) struct Ground {
    kind: Kind,
    server: Option<Box<dyn Server>>,
    directory: TempDir,
    families: u32,
    /// The database that the others are copies of, where copies are cheap.
    template: Option<String>,
}

/// A database with its rows, for one engine.
pub(super) struct Place {
    pub(super) url: String,
    /// Nova's API database, where there is one.
    pub(super) api: Option<String>,
    pub(super) session: Session,
    pub(super) schema: Schema,
}

impl Place {
    /// Rows in the shadow tables.
    pub(super) fn archived(&mut self) -> Result<i64> {
        let shadows = self
            .schema
            .tables
            .keys()
            .filter(|t| t.starts_with("shadow_"));
        let mut rows = 0;
        for table in shadows {
            rows += self
                .session
                .query_count(&format!("SELECT COUNT(*) FROM {table}"))?;
        }
        Ok(rows)
    }
}

impl Ground {
    /// As servers are set up that hold a cloud's database: durable, with memory for the rows in work, the same for
    /// every engine.
    pub(super) fn new(kind: Kind, families: u32) -> Result<Self> {
        Self::with_memory(kind, families, 1)
    }

    /// The same with so many GiB of memory for rows, and a log of a quarter of that.
    pub(super) fn with_memory(kind: Kind, families: u32, gib: u32) -> Result<Self> {
        let server = match kind {
            Kind::Mariadb => Some(
                PrivateMariadb::new()
                    .argument(format!("--innodb-buffer-pool-size={gib}G"))
                    .argument(format!("--innodb-log-file-size={}M", 256 * gib))
                    .start()?,
            ),
            Kind::Postgres => Some(
                PrivatePostgres::new()
                    .setting(format!("shared_buffers={gib}GB"))
                    .setting(format!("max_wal_size={}GB", 2 * gib))
                    .start()?,
            ),
            Kind::Sqlite => None,
        };
        Ok(Self {
            kind,
            server,
            directory: tempfile::tempdir()?,
            families,
            template: None,
        })
    }

    /// What runs there, for people.
    pub(super) fn description(&self) -> String {
        let server = self.server.as_ref().map(|s| s.description());
        server.unwrap_or_else(|| "SQLite (a file of its own for each engine)".into())
    }

    /// The server's process.
    pub(super) fn process(&self) -> Option<u32> {
        self.server.as_ref().and_then(|s| s.process())
    }

    /// A database with the rows of seed 1, in the schema that the tests hold against the real migrations.
    pub(super) fn place(&mut self, name: &str) -> Result<Place> {
        let url = match (self.kind, self.template.clone()) {
            (Kind::Mariadb, _) => {
                let url = self.create(name)?;
                self.fill(&url)?;
                url
            }
            (Kind::Postgres, template) => {
                if template.is_none() {
                    let url = self.create("template")?;
                    self.fill(&url)?;
                    self.template = Some("template".into());
                }
                let mut admin = self.admin()?;
                admin.execute(&format!("CREATE DATABASE {name} TEMPLATE template"))?;
                // Else the next checkpoint would have its pages to write, at this engine's cost.
                admin.execute("CHECKPOINT")?;
                self.url(name)?
            }
            (Kind::Sqlite, template) => {
                let template = match template {
                    Some(template) => template,
                    None => {
                        let url = self.create("template")?;
                        self.fill(&url)?;
                        self.template.insert(url).clone()
                    }
                };
                let url = self.url(name)?;
                std::fs::copy(template, &url)?;
                url
            }
        };
        self.analyze(&url)?;
        opened(url, None)
    }

    /// A database with the same rows in the schema of nova's own migrations, and an API database.
    pub(super) fn nova_place(&mut self, name: &str, nova: &Path) -> Result<Place> {
        let (url, api) = (self.create(name)?, self.create(&format!("{name}_api"))?);
        service::sync("nova", nova, &url, Some(&api))?;
        self.fill(&url)?;
        self.analyze(&url)?;
        opened(url, Some(api))
    }

    /// Drops the databases of that name.
    pub(super) fn drop(&self, name: &str, place: Place) -> Result<()> {
        let api = place.api.is_some();
        drop(place);
        if self.kind == Kind::Sqlite {
            std::fs::remove_file(self.url(name)?)?;
            return Ok(());
        }
        let mut admin = self.admin()?;
        admin.execute(&format!("DROP DATABASE {name}"))?;
        if api {
            admin.execute(&format!("DROP DATABASE {name}_api"))?;
        }
        Ok(())
    }

    fn url(&self, name: &str) -> Result<String> {
        match &self.server {
            Some(server) => Ok(server.url(name)),
            None => {
                let path = self.directory.path().join(format!("{name}.db"));
                Ok(path.to_str().context("a path that is no text")?.to_owned())
            }
        }
    }

    fn create(&mut self, name: &str) -> Result<String> {
        match &mut self.server {
            Some(server) => Ok(server.create_database(name)?),
            None => {
                let url = self.url(name)?;
                std::fs::File::create(&url)?;
                Ok(url)
            }
        }
    }

    fn admin(&self) -> Result<Session> {
        let database = match self.kind {
            Kind::Mariadb => "mysql",
            Kind::Postgres | Kind::Sqlite => "postgres",
        };
        Ok(open(&self.url(database)?.parse()?, Access::ReadWrite)?)
    }

    fn fill(&self, url: &str) -> Result<()> {
        let mut session = open(&url.parse::<Target>()?, Access::ReadWrite)?;
        fill(&mut session, self.families)
    }

    /// What a server does by itself soon after so many rows have come; on MariaDB it is by luck whether that has been
    /// when the first statement is planned.
    pub(super) fn analyze(&self, url: &str) -> Result<()> {
        if self.kind == Kind::Sqlite {
            return Ok(());
        }
        let mut session = open(&url.parse::<Target>()?, Access::ReadWrite)?;
        if self.kind == Kind::Postgres {
            session.execute("VACUUM ANALYZE")?;
            return Ok(());
        }
        for table in introspect(&mut session)?.tables.keys() {
            session.query(&format!("ANALYZE TABLE `{table}`"))?;
        }
        Ok(())
    }
}

fn opened(url: String, api: Option<String>) -> Result<Place> {
    let mut session = open(&url.parse::<Target>()?, Access::ReadWrite)?;
    let schema = introspect(&mut session)?;
    Ok(Place {
        url,
        api,
        session,
        schema,
    })
}

/// Generates so many families into a database, which gets the schema first where it has none.
pub(crate) fn fill(session: &mut Session, families: u32) -> Result<()> {
    let mut schema = introspect(session)?;
    if schema.tables.is_empty() {
        create_schema(session, "nova-34.0.0")?;
        schema = introspect(session)?;
    }
    let dataset = Dataset {
        families,
        ..Dataset::default()
    };
    generate(session, &schema, &dataset, &mut |_| {})?;
    Ok(())
}
