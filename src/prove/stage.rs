//! Where a world stands while engines are run on it: a database that can be put back, the way of
//! the engine to it, and a way of our own beside it.

mod ground;
mod host;
mod side;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::db::Engine;
use crate::error::Result;
use crate::schema::FamilyGraph;

use super::archiver::{Door, EngineOptions, Place, ProcessSlot, alchemy};
use super::injector::Injector;
use super::state::{Shape, State};
use super::vfs::{PowerLoss, Vfs};
use super::world::{Content, Task, World};

pub use ground::Backend;
pub(super) use ground::Ground;
use side::{Neighbour, Side};

/// A world on a database of its own.
pub(super) struct Stage {
    pub(super) engine: Engine,
    /// The families as oracles see them.
    pub(super) graph: Arc<FamilyGraph>,
    /// The families as an engine finds them.
    engine_graph: Arc<FamilyGraph>,
    task: Task,
    pub(super) shape: Arc<Shape>,
    pub(super) injector: Arc<Injector>,
    main: Door,
    api: Option<Door>,
    stop: Arc<AtomicBool>,
    process: Arc<ProcessSlot>,
    side: Arc<Mutex<Side>>,
    directory: PathBuf,
}

impl Stage {
    /// Creates the world's tables on the ground, in place of what was there.
    pub(super) fn new(
        ground: &mut Ground,
        world: Arc<World>,
        options: &EngineOptions,
    ) -> Result<Self> {
        let engine = ground.backend.engine();
        let graph = Arc::new(world.judged_graph(engine)?);
        let engine_graph = Arc::new(world.graph(engine)?);
        let shape = Arc::new(Shape::new(&graph, &world, options));
        let stop = Arc::new(AtomicBool::new(false));
        let process = Arc::new(ProcessSlot::default());
        let side = Side::new(
            ground,
            &world,
            (&graph, &engine_graph),
            &shape,
            &stop,
            &process,
        )?;
        let side = Arc::new(Mutex::new(side));
        let injector = Injector::new(engine, Box::new(Neighbour(Arc::clone(&side))));
        let databases = lock(&side).databases.clone();
        let (main, api) = ground.doors(&injector, &world, &databases)?;
        let stage = Self {
            engine,
            graph,
            engine_graph,
            task: world.task,
            shape,
            injector,
            main,
            api,
            stop,
            process,
            side,
            directory: ground.directory(),
        };
        stage.side().main_url = match engine {
            Engine::Sqlite => "sqlite:///main.db".into(),
            Engine::Mysql | Engine::Postgres => alchemy(&stage.main.url),
        };
        stage.side().create(&world)?;
        Ok(stage)
    }

    fn side(&self) -> MutexGuard<'_, Side> {
        lock(&self.side)
    }

    /// Whether it stands on a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        self.side().is_cluster()
    }

    /// The VFS of the engine's connections, on SQLite.
    pub(super) fn vfs(&self) -> Option<Arc<Vfs>> {
        self.side().vfs()
    }

    /// Bytes of the files at the beginning of a run (SQLite).
    pub(super) fn size(&self) -> usize {
        self.side().size()
    }

    /// Puts the rows of the world back, or those of `other`, which has the same tables.
    pub(super) fn reset(&mut self, other: Option<&World>) -> Result<()> {
        self.stop.store(false, Ordering::SeqCst);
        self.side().reset(other)
    }

    /// Leaves the files as a loss of power left them (SQLite).
    pub(super) fn lose_power(&mut self, loss: &PowerLoss) -> Result<()> {
        self.stop.store(false, Ordering::SeqCst);
        self.side().lose_power(loss)
    }

    /// What an engine gets to see.
    pub(super) fn place(&self, options: &EngineOptions) -> Place {
        Place {
            engine: self.engine,
            main: self.main.clone(),
            api: self.api.clone(),
            graph: Arc::clone(&self.engine_graph),
            task: self.task,
            options: options.clone(),
            stop: Arc::clone(&self.stop),
            process: Arc::clone(&self.process),
            directory: self.directory.clone(),
        }
    }

    /// Closes what the engine left open and waits until the database does nothing any more.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.stop.store(false, Ordering::SeqCst);
        self.side().settle()
    }

    /// Brings back the node of a cluster that was taken away; whether there was one.
    pub(super) fn mend(&mut self) -> Result<bool> {
        self.side().mend()
    }

    /// What the other nodes of a cluster hold.
    pub(super) fn states_elsewhere(&mut self) -> Result<Vec<(usize, State)>> {
        self.side().states_elsewhere()
    }

    /// What is committed.
    pub(super) fn state(&mut self) -> Result<State> {
        self.side().state()
    }
}

fn lock(side: &Mutex<Side>) -> MutexGuard<'_, Side> {
    side.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Statements that make the tables of a database and those that fill it.
struct Script {
    create: Vec<String>,
    fill: Vec<String>,
}

impl Script {
    fn new(content: &Content, engine: Engine, main_url: &str) -> Result<Self> {
        Ok(Self {
            create: content.create(engine)?,
            fill: content.fill(engine, main_url),
        })
    }
}
