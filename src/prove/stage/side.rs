//! Our own way to the databases, beside the engine's: to fill ([`rows`]) and read them, to play the writer,
//! to kill.

mod ambush;
mod cluster;
mod ledger;
mod neighbour;
mod rows;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::super::archiver::{ProcessSlot, repair_once};
use super::super::healing::forget_the_time;
use super::super::state::{Shape, State};
use super::super::tap::attach_shadows;
use super::super::vfs::Vfs;
use super::super::world::{Layout, MAIN_URL, Task, World};
use super::super::writer::{Action, Change};
use super::ground::Ground;
use super::host::Host;
use crate::archive::{Options, Stop, archive, purge, purge_in_place};
use crate::db::{Access, Engine, Session, Target, open};
use crate::error::{Error, Result};
use crate::quote::shortened;
use crate::schema::FamilyGraph;
use ledger::Ledger;
pub(super) use neighbour::Neighbour;

/// How long a killed process, or a busy server, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Our way to the databases of a world.
pub(super) struct Side {
    engine: Engine,
    world: Arc<World>,
    graph: Arc<FamilyGraph>,
    shape: Arc<Shape>,
    changes: BTreeMap<Action, Change>,
    /// Paths (SQLite) or URLs of the databases `main`, `shadows` and `api`, as far as there are any.
    pub(super) databases: Vec<(&'static str, String)>,
    /// What the main database is called to the engine; API records name it.
    pub(super) main_url: String,
    main: Option<Session>,
    api: Option<Session>,
    /// Sessions of the main database at the other nodes of a cluster.
    elsewhere: BTreeMap<usize, Session>,
    /// What has been seen of the rows since the last reset, where they are purged.
    rows: Option<Ledger>,
    /// The same at the beginning of a run on the world itself.
    first_rows: Option<Ledger>,
    /// The bytes of each SQLite file at the beginning of a run.
    templates: Vec<(PathBuf, Vec<u8>)>,
    vfs: Option<Arc<Vfs>>,
    host: Option<Arc<Host>>,
    stop: Arc<AtomicBool>,
    process: Arc<ProcessSlot>,
}

impl Side {
    pub(super) fn new(
        ground: &mut Ground,
        world: &Arc<World>,
        (judged, graph): (&Arc<FamilyGraph>, &Arc<FamilyGraph>),
        shape: &Arc<Shape>,
        stop: &Arc<AtomicBool>,
        process: &Arc<ProcessSlot>,
    ) -> Result<Self> {
        let change = |action| Some((action, Change::of(action, world, judged)?));
        let mut names = vec!["main"];
        if world.layout == Layout::AttachedWal {
            names.push("shadows");
        }
        if world.api.is_some() {
            names.push("api");
        }
        let mut databases = Vec::new();
        for name in names {
            databases.push((name, ground.database(name)?));
        }
        Ok(Self {
            engine: ground.backend.engine(),
            world: Arc::clone(world),
            graph: Arc::clone(graph),
            shape: Arc::clone(shape),
            changes: Action::ALL.into_iter().filter_map(change).collect(),
            databases,
            main_url: String::new(),
            main: None,
            api: None,
            elsewhere: BTreeMap::new(),
            rows: None,
            first_rows: None,
            templates: Vec::new(),
            vfs: ground.vfs.clone(),
            host: ground.host.clone(),
            stop: Arc::clone(stop),
            process: Arc::clone(process),
        })
    }

    pub(super) fn vfs(&self) -> Option<Arc<Vfs>> {
        self.vfs.clone()
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.host.as_ref().is_some_and(|host| host.is_cluster())
    }

    fn database(&self, name: &str) -> Option<&str> {
        let found = self.databases.iter().find(|(n, _)| *n == name);
        found.map(|(_, place)| place.as_str())
    }

    fn is_attached(&self) -> bool {
        self.world.layout == Layout::AttachedWal
    }

    /// Our sessions; SQLite's end before its files are changed under them.
    fn close(&mut self) {
        self.main = None;
        self.api = None;
    }

    fn session(&mut self, name: &str) -> Result<&mut Session> {
        let known = match name {
            "api" => self.api.is_some(),
            _ => self.main.is_some(),
        };
        if !known {
            let session = self.connect(name)?;
            match name {
                "api" => self.api = Some(session),
                _ => self.main = Some(session),
            }
        }
        let session = match name {
            "api" => self.api.as_mut(),
            _ => self.main.as_mut(),
        };
        session.ok_or_else(|| Error::internal("a session that was just opened is gone"))
    }

    /// A session that never waits for a lock.
    fn connect(&self, name: &str) -> Result<Session> {
        self.connect_at(name, self.database(name).unwrap_or_default())
    }

    fn connect_at(&self, name: &str, place: &str) -> Result<Session> {
        let target = match self.engine {
            Engine::Sqlite => Target::Sqlite(PathBuf::from(place)),
            Engine::Mysql | Engine::Postgres => place.parse()?,
        };
        let mut session = open(&target, Access::ReadWrite)?;
        if self.is_cluster() {
            // Whatever it says waits until the node has what the others have committed.
            run(&mut session, "SET SESSION wsrep_sync_wait = 15")?;
        }
        let settings = match self.engine {
            Engine::Sqlite => "PRAGMA busy_timeout = 0; PRAGMA synchronous = OFF".to_owned(),
            Engine::Mysql => "SET SESSION innodb_lock_wait_timeout = 0".to_owned(),
            Engine::Postgres => "SET lock_timeout = '20ms'".to_owned(),
        };
        run(&mut session, &settings)?;
        if let (true, Some(shadows)) = (
            self.is_attached() && name == "main",
            self.database("shadows"),
        ) {
            run(&mut session, &attach_shadows(shadows.as_ref()))?;
        }
        Ok(session)
    }

    pub(super) fn settle(&mut self) -> Result<()> {
        if self.engine == Engine::Sqlite {
            // What the engine left in memory of ours about the file may be old.
            self.close();
            return Ok(());
        }
        if let Some(host) = &self.host {
            host.drop_connections();
        }
        self.rest()
    }

    /// Waits until no connection of the engine is left.
    fn rest(&mut self) -> Result<()> {
        let patience = Instant::now() + PATIENCE;
        while !self.engine_connections()?.is_empty() {
            if Instant::now() > patience {
                return Err(Error::unavailable("the server does not come to rest")
                    .hint("run again; on a busy machine with fewer --jobs"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The connections that are not ours: the node and the server's id of each.
    fn engine_connections(&mut self) -> Result<Vec<(usize, i64)>> {
        self.patiently(Self::connections)
    }

    fn connections(&mut self) -> Result<Vec<(usize, i64)>> {
        let mut found = self.connections_here()?;
        for node in self.others() {
            let session = self.at(node)?;
            let rows = session.query(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE DB LIKE 'sexton%' AND ID <> \
                 CONNECTION_ID()",
            )?;
            let ids = rows.iter().filter_map(|r| r.first()?.as_int());
            found.extend(ids.map(|id| (node, id)));
        }
        Ok(found)
    }

    fn connections_here(&mut self) -> Result<Vec<(usize, i64)>> {
        let mut own = Vec::new();
        let names: Vec<_> = self.databases.iter().map(|(name, _)| *name).collect();
        let engine = self.engine;
        for name in names {
            own.push(self.session(name)?.query_count(own_id(engine))?.to_string());
        }
        let own = own.join(", ");
        let sql = match engine {
            Engine::Postgres => format!(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND \
                 datname LIKE 'sexton%' AND pid NOT IN ({own})"
            ),
            Engine::Mysql | Engine::Sqlite => format!(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE DB LIKE 'sexton%' AND ID NOT \
                 IN ({own})"
            ),
        };
        let rows = self.session("main")?.query(&sql)?;
        let node = self.host.as_ref().map_or(0, |host| host.lookout());
        let ids = rows.iter().filter_map(|r| r.first()?.as_int());
        Ok(ids.map(|id| (node, id)).collect())
    }

    pub(super) fn state(&mut self) -> Result<State> {
        self.patiently(Self::read)
    }

    fn read(&mut self) -> Result<State> {
        self.session("main")?;
        if self.world.api.is_some() {
            self.session("api")?;
        }
        let shape = Arc::clone(&self.shape);
        let (Some(main), api) = (self.main.as_mut(), self.api.as_mut()) else {
            return Err(Error::internal("no session to read with"));
        };
        let state = State::read(&shape, main, api)?;
        Ok(self.told(state, true))
    }

    /// A state in the terms of every worker. `note`, whether its rows count as seen.
    fn told(&mut self, mut state: State, note: bool) -> State {
        if self.shape.purges {
            let rows = self.rows.get_or_insert_default();
            match note {
                true => rows.take(&self.shape, &mut state),
                false => rows.clone().take(&self.shape, &mut state),
            }
        }
        if self.shape.repairs {
            forget_the_time(&self.shape, &mut state);
        }
        // API records name the main database, which each worker has at another place.
        for value in state.api.iter_mut().flatten().flatten().flatten() {
            if value.contains(&self.main_url) {
                *value = value.replace(&self.main_url, MAIN_URL);
            }
        }
        state
    }

    fn second_archiver(&mut self) -> Result<bool> {
        let (graph, task) = (Arc::clone(&self.graph), self.world.task);
        let before = self.shape.before.clone();
        let session = self.session("main")?;
        let options = Options {
            until_complete: true,
            // It must not wait for the engine, which is held meanwhile.
            lock_patience: Duration::ZERO,
            retries: 0,
            before,
            ..Options::default()
        };
        // Where it is refused, by a lock or by sexton's own, there is no second archiver: also an
        // outcome.
        let stop = Stop::default();
        let done = match task {
            Task::Archive => archive(session, &graph, &options, &stop, &mut ()),
            Task::Purge => purge_in_place(session, &graph, &options, &stop, &mut ()),
            Task::EmptyShadows => purge(session, &graph, &options, &stop, &mut ()),
            // What an archiver would do is the opposite.
            Task::Restore => return Ok(false),
            // The second one heals too.
            Task::Repair => {
                let done = repair_once(session, &graph, None, options, &stop);
                return Ok(done.is_ok_and(|outcome| !outcome.healed.is_empty()));
            }
        };
        Ok(done.is_ok_and(|outcome| outcome.total_rows > 0))
    }
}

/// The query for the server's id of a session.
fn own_id(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "SELECT pg_backend_pid()",
        Engine::Mysql | Engine::Sqlite => "SELECT CONNECTION_ID()",
    }
}

fn run(session: &mut Session, statement: &str) -> Result<()> {
    let failed = |e| Error::internal(format!("{e}: {}", shortened(statement, 200)));
    session.execute(statement).map(drop).map_err(failed)
}
