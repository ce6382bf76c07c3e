//! Synthetic data: a Nova database made from a seed, with chosen damage.
//!
//! For demonstrations, tests, benchmarks and fault injection, where the rows must look like a
//! cloud's, be the same every time, and have exactly the faults that were asked for.
//! `docs/generate.md` says what is made.
//!
//! Architecture invariants: the rows depend on the seed, the counts and the ids that are taken,
//! never on the engine or the clock; the release decides only which columns are left out.

mod alter;
mod api;
mod cloud;
mod content;
mod create;
mod damage;
mod family;
mod ids;
mod loose;
mod plan;
mod random;
mod row;
mod settings;
mod wound;
mod writer;

use std::collections::BTreeMap;

use crate::db::Session;
use crate::error::{Error, Result};
use crate::schema::{FamilyGraph, Profile, Schema};

pub use self::api::{Cell, GeneratedApi, generate_api};
pub use self::create::{check_model, create_schema};
pub use self::damage::Damage;

use self::alter::Alteration;
use self::cloud::Cloud;
use self::family::{Family, Home};
use self::ids::Ids;
use self::plan::{Fate, Plan};
pub(crate) use self::random::Random;
use self::wound::Wound;
use self::writer::Writer;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Where everything comes from.
    pub seed: u64,
    /// Soft-deleted instances, without damage.
    pub families: u32,
    /// Live instances.
    pub live: u32,
    /// Damage and the number of cases of it. Instances that are damaged come on top of the
    /// others.
    pub damage: Vec<(Damage, u32)>,
}

impl Default for Dataset {
    fn default() -> Self {
        Self {
            seed: 1,
            families: 1_000,
            live: 100,
            damage: Vec::new(),
        }
    }
}

/// What was generated.
#[derive(Debug)]
pub struct Generated {
    /// Rows written, by table.
    pub rows: BTreeMap<String, u64>,
    /// Where the damage is: for every case the root, or the row where there is no root, as
    /// `table:id`; `table` or `table.column` for damage to the schema.
    pub damage: BTreeMap<Damage, Vec<String>>,
    cloud: Cloud,
    instances: Vec<(Home, Fate)>,
}

impl Generated {
    /// All rows written.
    pub fn total_rows(&self) -> u64 {
        self.rows.values().sum()
    }
}

/// Generates rows into a Nova database. `schema` is the database's own, as it is now. `progress`
/// hears the number of rows written so far.
pub fn generate(
    session: &mut Session,
    schema: &Schema,
    dataset: &Dataset,
    progress: &mut dyn FnMut(u64),
) -> Result<Generated> {
    let graph = Profile::built_in("nova")?.families(schema)?;
    let missing = graph
        .profile
        .detect
        .iter()
        .find(|t| schema.table(t).is_none());
    if let Some(table) = missing {
        return Err(not_nova(session, table));
    }
    let plan = Plan::new(session, schema, dataset)?;
    // Before the first row, so that a count too large leaves nothing half-done.
    let alterations = alterations(session, &graph, dataset)?;
    let order: Vec<_> = graph.delete_order.iter().rev().cloned().collect();
    let ids = Ids::read(session, schema, &order)?;
    let mut generated = settings::with_speed(session, |session| {
        let mut writer = Writer::new(session, schema, &order, progress);
        let (cloud, rows) = Cloud::build(dataset.seed, ids, plan.instances.len());
        writer.push(rows)?;
        fill(writer, cloud, plan)
    })?;
    ids::advance_sequences(session, schema, &generated.rows)?;
    for alteration in alterations {
        session.execute(&alteration.sql)?;
        generated.planted(alteration.damage, alteration.name);
    }
    Ok(generated)
}

fn fill(mut writer: Writer<'_>, cloud: Cloud, plan: Plan) -> Result<Generated> {
    let mut generated = Generated {
        rows: BTreeMap::new(),
        damage: BTreeMap::new(),
        instances: Vec::with_capacity(plan.instances.len()),
        cloud,
    };
    for n in 0..plan.groups {
        let (rows, name) = loose::named_group(&mut generated.cloud, n);
        writer.push(rows)?;
        generated.planted(Damage::UnarchivableParent, name);
    }
    for fate in plan.instances {
        let cloud = &mut generated.cloud;
        let mut family = if fate.is_live() {
            Family::live(cloud)
        } else {
            Family::dead(cloud)
        };
        let home = family.home;
        if let Fate::Wounded(damage, wound) = fate {
            wound.inflict(&mut family, cloud, plan.possible);
            generated.planted(damage, format!("instances:{}", home.id));
        }
        generated.instances.push((home, fate));
        writer.push(family.rows)?;
    }
    for (n, (table, declared)) in (0..).zip(plan.orphans) {
        let (row, name) = loose::orphan(&mut generated.cloud, n, table, declared);
        writer.push([row])?;
        generated.planted(Damage::OrphanedRow, name);
    }
    generated.rows = writer.finish()?;
    Ok(generated)
}

impl Generated {
    fn planted(&mut self, damage: Damage, name: String) {
        self.damage.entry(damage).or_default().push(name);
    }
}

fn alterations(
    session: &mut Session,
    graph: &FamilyGraph,
    dataset: &Dataset,
) -> Result<Vec<Alteration>> {
    let mut all = Vec::new();
    for damage in [Damage::ShadowDrift, Damage::NonTransactionalTable] {
        let asked = dataset.damage.iter().any(|(d, _)| *d == damage);
        if asked {
            all.extend(alter::plan(session, graph, damage, dataset.count(damage))?);
        }
    }
    Ok(all)
}

impl Dataset {
    /// The cases of a damage, however often it is named.
    fn count(&self, damage: Damage) -> u32 {
        let named = self.damage.iter().filter(|(d, _)| *d == damage);
        named.fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }
}

/// The shadow table of a live table.
fn shadow(table: &str) -> String {
    format!("shadow_{table}")
}

fn not_nova(session: &Session, missing: &str) -> Error {
    Error::data(format!(
        "{} is not a Nova database: no table {missing}",
        session.label()
    ))
    .hint("give an empty database, or one that Nova has made")
}
