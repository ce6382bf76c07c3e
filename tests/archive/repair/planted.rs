//! All the planted damage that a repair claims to heal, at once.

use std::collections::BTreeMap;

use sexton::archive::Stop;
use sexton::audit;
use sexton::db::{Engine, Session, Value, introspect};
use sexton::exit::ExitCode;
use sexton::generate::{Cell, Damage, Dataset, create_schema, generate, generate_api};
use sexton::repair::repair;
use sexton::schema::FamilyGraph;

use super::servers::stranded;
use super::{CURE, apply, graph_of, healed, mend, serious};
use crate::api::records_db;
use crate::support::cloud::Cloud;
use crate::support::databases::Database;
use crate::support::records::api as open_api;

/// Every row of every table, live and shadow together, but for the columns that mark.
fn unmarked(session: &mut Session, graph: &FamilyGraph) -> BTreeMap<String, Vec<String>> {
    let engine = session.engine();
    let mut all = BTreeMap::new();
    for member in graph.members.values() {
        let columns = graph.table(&member.table).unwrap().columns.iter();
        let marks = ["deleted", "deleted_at"];
        let columns = columns
            .map(|c| &c.name)
            .filter(|c| !marks.contains(&c.as_str()));
        let columns = engine.quote_all(columns);
        let mut rows = Vec::new();
        for table in [Some(&member.table), member.shadow.as_ref()]
            .into_iter()
            .flatten()
        {
            let sql = format!("SELECT {columns} FROM {}", engine.quote(table));
            let found = session.query(&sql).unwrap();
            rows.extend(found.into_iter().map(|row: Vec<Value>| format!("{row:?}")));
        }
        rows.sort();
        all.insert(member.table.clone(), rows);
    }
    all
}

#[test]
fn damage_of_every_kind_at_once_is_healed_and_nothing_else_changes() {
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let mut cloud = Cloud::on(Database::fresh(engine));
        let url = cloud.database.url.clone();
        create_schema(&mut cloud.session, "nova-34.0.0").unwrap();
        let schema = introspect(&mut cloud.session).unwrap();
        let dataset = Dataset {
            seed: 7,
            families: 3,
            live: 3,
            damage: vec![
                (Damage::SplitFamily, 4),
                (Damage::Residue, 3),
                // One: of two the second differs, and which of them is right is not for a repair to say.
                (Damage::DuplicateInShadow, 1),
                (Damage::InconsistentMarker, 4),
                (Damage::StrandedApiRecord, 6),
            ],
        };
        let generated = generate(&mut cloud.session, &schema, &dataset, &mut |_| {}).unwrap();
        let api_database = records_db(engine);
        let mut api_session = api_database.session();
        let api_schema = introspect(&mut api_session).unwrap();
        let cell = Cell {
            name: "cell1",
            connection: &url,
            cell0_connection: "mysql://nowhere/cell0",
        };
        generate_api(
            &mut api_session,
            &api_schema,
            &generated,
            &cell,
            &mut |_| {},
        )
        .unwrap();

        let graph = graph_of(&mut cloud.session);
        let found = serious(&mut cloud.session, &graph);
        for check in CURE {
            assert!(
                found.iter().any(|f| f.starts_with(check)),
                "{check}: {found:?}"
            );
        }
        assert!(stranded(&mut api_session, &mut cloud) >= 6, "{engine}");
        let mut before = unmarked(&mut cloud.session, &graph);

        let checks = [&CURE[..], &[audit::STRANDED]].concat();
        let mut api = open_api(&api_database, &[("", &url, &graph)]);
        let stop = Stop::default();
        let options = apply(&checks);
        let done = repair(
            &mut cloud.session,
            &graph,
            Some(&mut api),
            &options,
            &stop,
            &mut (),
        )
        .unwrap();
        assert_eq!(done.exit_code(), ExitCode::Done, "{engine}: {done:#?}");
        assert_eq!(done.not_checked, []);
        let nothing = Vec::<String>::new();
        assert_eq!(serious(&mut cloud.session, &graph), nothing, "{engine}");
        assert_eq!(stranded(&mut api_session, &mut cloud), 0, "{engine}");

        // Of the row that was there twice, one.
        let after = unmarked(&mut cloud.session, &graph);
        let twice = "instance_system_metadata";
        assert_eq!(after[twice].len() + 1, before[twice].len(), "{engine}");
        before.get_mut(twice).unwrap().dedup();
        assert_eq!(after, before, "{engine}");
        // The healthy ones stay where they are, and their records too.
        let live = cloud
            .session
            .query_count("SELECT COUNT(*) FROM instances")
            .unwrap();
        assert!(live >= 3 + 3, "{engine}: {live}");
        let records = "SELECT COUNT(*) FROM instance_mappings";
        assert_eq!(api_session.query_count(records).unwrap(), live, "{engine}");
        let again = mend(&mut cloud.session, &graph, &apply(&CURE));
        assert_eq!(again.healed, []);
    }
}

/// Nova marks a row with its own id. Another's does no harm, and is made good all the same.
#[test]
fn a_marker_that_holds_the_key_of_another_row_is_given_its_own() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=3).for_each(|id| cloud.dead_instance(id));
        cloud.live_instance(9);
        cloud.sql(
            "UPDATE instances SET deleted = 3 WHERE id = 2;
             UPDATE instance_system_metadata SET deleted = 7 WHERE id = 10",
        );
        let graph = cloud.graph();
        let before = unmarked(&mut cloud.session, &graph);
        let wrong = |cloud: &mut Cloud| {
            ["instances", "instance_system_metadata"]
                .map(|table| cloud.count(&format!("{table} WHERE deleted NOT IN (0, id)")))
        };
        assert_eq!(wrong(&mut cloud), [1, 1]);
        let done = mend(&mut cloud.session, &graph, &apply(&["inconsistent-marker"]));
        assert_eq!(done.exit_code(), ExitCode::Done, "{done:#?}");
        assert_eq!(
            healed(&done),
            [
                "set inconsistent-marker instance_system_metadata: 1",
                "set inconsistent-marker instances: 1",
            ]
        );
        assert_eq!(wrong(&mut cloud), [0, 0]);
        // The dates stay, the living live, and no other column changes.
        let dated = "instances WHERE deleted = id AND deleted_at = '2025-06-01 00:00:00'";
        assert_eq!(cloud.count(dated), 3);
        assert_eq!(cloud.count("instances WHERE deleted = 0"), 1);
        assert_eq!(unmarked(&mut cloud.session, &graph), before);
    });
}
