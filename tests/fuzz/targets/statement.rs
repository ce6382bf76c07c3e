//! The text of a statement, from any program: its kind, and what of it stays the same from run to
//! run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::db::Engine;
use sexton::prove::normal::{Kind, normalise};

fuzz_target!(|sql: &str| {
    let kind = Kind::of(sql);
    for spelled in [
        format!(" \n{sql}"),
        format!("{sql} ;"),
        sql.to_ascii_lowercase(),
    ] {
        assert_eq!(Kind::of(&spelled), kind, "{spelled:?}");
    }
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let normal = normalise(sql, engine);
        assert!(normal.len() <= sql.len());
        // A fault keeps the normalised text, and it is compared with that of another run.
        assert_eq!(normalise(&normal, engine), normal, "of {sql:?}");
        assert_eq!(normalise(&format!("\t{sql} \n"), engine), normal);
        // The values of an unbroken list do not matter.
        let list =
            |values: &str| normalise(&format!("SELECT a FROM t WHERE b IN ({values})"), engine);
        let text = match engine {
            Engine::Mysql => sql.replace('\\', ""),
            Engine::Sqlite | Engine::Postgres => sql.to_owned(),
        };
        let value = format!("'{}'", text.replace('\'', "''"));
        assert_eq!(list(&value), list("1"));
        assert_eq!(list(&format!("{value}, 2,{value}, -1.5")), list("1"));
    }
});
