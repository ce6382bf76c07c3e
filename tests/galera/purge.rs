//! Shadow tables that are emptied on a cluster.

use std::sync::atomic::Ordering;

use sexton::archive::{self, Options, Outcome, Stop};
use sexton::db::{Access, Engine, Session, open};

use crate::meddler::{Meddler, Trick};
use crate::{cluster, filled, graph, observer, options, run, target};

fn purge(session: &mut Session, max_rows: u64) -> Outcome {
    let graph = graph(session);
    let options = Options {
        max_rows,
        ..options()
    };
    archive::purge(session, &graph, &options, &Stop::default(), &mut ()).unwrap()
}

fn archived(session: &mut Session) -> i64 {
    session
        .query_count("SELECT COUNT(*) FROM shadow_instances")
        .unwrap()
}

#[test]
fn an_ok_to_a_purge_of_nothing_is_not_believed() {
    let mut cluster = cluster();
    filled(&mut cluster, "unpurged", 20);
    let target = target(&cluster, &[0], "unpurged");
    run(&mut open(&target, Access::ReadWrite).unwrap(), &options()).unwrap();
    let mut witness = observer(&cluster, 1, "unpurged");
    assert!(archived(&mut witness) >= 20);
    let (driver, played) = Meddler::new(&target, Trick::OkForNothing);
    let mut session = Session::new(Box::new(driver), Engine::Mysql, "a node");
    let outcome = purge(&mut session, 100);
    let played = played.load(Ordering::SeqCst);
    assert!(
        played >= 4 && outcome.retries == played,
        "{played} lies, {} retries",
        outcome.retries
    );
    assert_eq!(archived(&mut witness), 0);
}

#[test]
fn a_purge_is_cut_to_a_write_set_and_a_family_that_is_more_stays() {
    let mut cluster = cluster();
    filled(&mut cluster, "purge_limits", 30);
    let target = target(&cluster, &[0], "purge_limits");
    let mut session = open(&target, Access::ReadWrite).unwrap();
    session
        .execute("INSERT INTO instance_metadata (instance_uuid, `key`, value, deleted) \
                  SELECT uuid, s.v, 'x', 0 FROM instances, (SELECT LPAD(seq, 3, '0') AS v FROM seq_1_to_100) AS s \
                  WHERE id = (SELECT MIN(id) FROM (SELECT id FROM instances WHERE deleted <> 0) AS d)")
        .unwrap();
    run(&mut session, &options()).unwrap();
    session
        .execute("SET GLOBAL wsrep_max_ws_rows = 90")
        .unwrap();
    let outcome = purge(&mut session, 1000);
    session.execute("SET GLOBAL wsrep_max_ws_rows = 0").unwrap();
    let blocked = &outcome.blocked;
    assert_eq!(outcome.blocked_families["too-large"], 1, "{blocked:?}");
    let said = &blocked[0].path[1];
    assert!(
        said.contains("wsrep_max_ws_rows") && said.contains("rows)"),
        "{said}"
    );
    assert_eq!(archived(&mut session), 1);
    let outcome = purge(&mut session, 1000);
    assert!(outcome.blocked.is_empty() && archived(&mut session) == 0);
}
