//! The other nodes of a cluster: whether they have what ours has, what they hold, and the one that was taken away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::super::state::State;
use super::{PATIENCE, Side};
use crate::db::Session;
use crate::error::{Error, Result};
use crate::exit::ExitCode;

impl Side {
    /// Brings back the node of a cluster that was taken away, and waits until what was begun there has ended; whether
    /// there was one.
    pub(in super::super) fn mend(&mut self) -> Result<bool> {
        let Some(host) = self.host.clone() else {
            return Ok(false);
        };
        let mended = host.mend()?;
        if mended {
            self.rest()?;
        }
        Ok(mended)
    }

    /// Waits until every node of a cluster has what was committed at ours.
    pub(super) fn spread(&mut self) -> Result<()> {
        for node in self.others() {
            self.caught_up(node)?;
        }
        Ok(())
    }

    /// The nodes of a cluster that are with ours.
    pub(super) fn others(&self) -> Vec<usize> {
        let Some(host) = &self.host else {
            return Vec::new();
        };
        let mut nodes = host.together();
        nodes.retain(|node| *node != host.lookout());
        nodes
    }

    /// Waits until a node has what was committed at ours.
    pub(super) fn caught_up(&mut self, node: usize) -> Result<()> {
        let table = self.shape.tables.first().map(|t| t.name.clone());
        let table = self.engine.quote(&table.unwrap_or_default());
        let session = self.at(node)?;
        session.query_count(&format!("SELECT COUNT(*) FROM {table}"))?;
        Ok(())
    }

    /// A session of the main database at a node.
    pub(super) fn at(&mut self, node: usize) -> Result<&mut Session> {
        let host = self.host.clone();
        let host = host.ok_or_else(|| Error::internal("a file has no nodes"))?;
        if node == host.lookout() {
            return self.session("main");
        }
        if !self.elsewhere.contains_key(&node) {
            let place = host.at(node, self.database("main").unwrap_or_default());
            let session = self.connect_at("main", &place)?;
            self.elsewhere.insert(node, session);
        }
        let session = self.elsewhere.get_mut(&node);
        session.ok_or_else(|| Error::internal("a session that was just opened is gone"))
    }

    /// What the other nodes of a cluster hold, those that are with ours.
    pub(in super::super) fn states_elsewhere(&mut self) -> Result<Vec<(usize, State)>> {
        self.patiently(Self::read_elsewhere)
    }

    fn read_elsewhere(&mut self) -> Result<Vec<(usize, State)>> {
        let mut states = Vec::new();
        for node in self.others() {
            let api = match (&self.host, self.database("api")) {
                (Some(host), Some(place)) => Some(host.at(node, place)),
                _ => None,
            };
            let api = api.map(|place| self.connect_at("api", &place));
            let mut api = api.transpose()?;
            let shape = Arc::clone(&self.shape);
            let state = State::read(&shape, self.at(node)?, api.as_mut())?;
            states.push((node, self.told(state, false)));
        }
        Ok(states)
    }

    /// Asks again on a cluster that forms anew: whoever waits there for what the others have committed is refused, as if
    /// a lock had not been had (1205).
    pub(super) fn patiently<T>(
        &mut self,
        mut ask: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let patience = Instant::now() + PATIENCE;
        loop {
            match ask(self) {
                Err(error)
                    if self.is_cluster()
                        && error.code == ExitCode::Unavailable
                        && Instant::now() < patience =>
                {
                    self.close();
                    self.elsewhere.clear();
                    std::thread::sleep(Duration::from_millis(20));
                }
                answer => return answer,
            }
        }
    }
}
