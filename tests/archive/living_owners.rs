//! Rows whose owner is alive, and yet part of a soft-deleted family: what owns it is deleted.

use jiff::Timestamp;
use sexton::archive::{self, Before, Options, Outcome, Stop};
use sexton::db::introspect;
use sexton::schema::Profile;

use crate::support::databases::Database;

/// Houses own rooms, rooms own other rooms and chairs, and doors belong to two rooms. A house owns latchkeys,
/// which may be to rooms of another. Rooms are left unmarked when their house is deleted; doors and latchkeys
/// cannot be marked. A visit that is not marked holds its house
/// back; it owns photos.
struct Town {
    session: sexton::db::Session,
    _database: Database,
}

impl Town {
    fn on_each_engine(test: impl Fn(Town)) {
        for database in Database::on_each_engine() {
            eprintln!("--- {}", database.engine);
            test(Town::new(database));
        }
    }

    fn new(database: Database) -> Self {
        let mut session = database.session();
        for prefix in ["", "shadow_"] {
            let key = |column: &str, table: &str| match prefix {
                "" => format!(", FOREIGN KEY ({column}) REFERENCES {table} (id)"),
                _ => String::new(),
            };
            let mark = "deleted INTEGER NOT NULL";
            let cascade = if prefix.is_empty() {
                " ON DELETE CASCADE"
            } else {
                ""
            };
            for (table, columns) in [
                ("houses", format!("{mark}, deleted_at TIMESTAMP NULL")),
                (
                    "rooms",
                    format!(
                        "{mark}, house_id INTEGER, part_of INTEGER{}{cascade}{}{cascade}",
                        key("house_id", "houses"),
                        key("part_of", "rooms")
                    ),
                ),
                (
                    "chairs",
                    format!(
                        "{mark}, room_id INTEGER NOT NULL{}{cascade}",
                        key("room_id", "rooms")
                    ),
                ),
                (
                    "doors",
                    format!(
                        "here INTEGER NOT NULL, there INTEGER NOT NULL{}{}",
                        key("here", "rooms"),
                        key("there", "rooms")
                    ),
                ),
                (
                    "latchkeys",
                    format!(
                        "house_id INTEGER NOT NULL, room_id INTEGER{}{}",
                        key("house_id", "houses"),
                        key("room_id", "rooms")
                    ),
                ),
                (
                    "visits",
                    format!("{mark}, house_id INTEGER{}", key("house_id", "houses")),
                ),
                (
                    "photos",
                    format!(
                        "{mark}, visit_id INTEGER NOT NULL{}{cascade}",
                        key("visit_id", "visits")
                    ),
                ),
            ] {
                let sql =
                    format!("CREATE TABLE {prefix}{table} (id INTEGER PRIMARY KEY, {columns})");
                session.execute(&sql).unwrap();
            }
        }
        for sql in [
            "INSERT INTO houses VALUES (1, 1, '2025-01-01 00:00:00'), (2, 2, '2026-06-01 00:00:00'), \
             (3, 0, NULL)",
            "INSERT INTO rooms VALUES (10, 0, 1, NULL), (11, 0, NULL, 10), (20, 0, 2, NULL), (30, 0, 3, NULL)",
            "INSERT INTO chairs VALUES (110, 110, 11), (200, 200, 20), (300, 300, 30)",
        ] {
            session.execute(sql).unwrap();
        }
        Self {
            session,
            _database: database,
        }
    }

    /// Archives a root at a time.
    fn archive(&mut self) -> Outcome {
        self.archive_with(Options {
            max_rows: 1,
            ..Options::default()
        })
    }

    fn archive_with(&mut self, options: Options) -> Outcome {
        let schema = introspect(&mut self.session).unwrap();
        let graph = Profile::detect(&schema).families(&schema).unwrap();
        let options = Options {
            until_complete: true,
            ..options
        };
        let stop = Stop::default();
        archive::archive(&mut self.session, &graph, &options, &stop, &mut ()).unwrap()
    }

    fn live(&mut self, table: &str) -> Vec<String> {
        let sql = format!("SELECT id FROM {table} ORDER BY id");
        let rows = self.session.query(&sql).unwrap();
        rows.iter().map(|row| row[0].to_string()).collect()
    }
}

#[test]
fn what_is_deleted_below_a_living_row_stays_with_the_family_above() {
    Town::on_each_engine(|mut town| {
        let visit = "INSERT INTO visits VALUES (1, 0, 1)";
        town.session.execute(visit).unwrap();
        let outcome = town.archive();
        assert_eq!(town.live("houses"), ["1", "3"]);
        assert_eq!(town.live("rooms"), ["10", "11", "30"]);
        // That of house 3 is a family of its own: nothing above it is deleted.
        assert_eq!(town.live("chairs"), ["110"]);
        assert_eq!((outcome.families, outcome.total_rows), (2, 4));
        let reasons = outcome.blocked.iter().map(|b| b.reason.as_str());
        assert!(reasons.clone().count() > 0 && reasons.clone().all(|r| r == "live-child"));

        town.session.execute("DELETE FROM visits").unwrap();
        assert_eq!(town.archive().total_rows, 4);
        assert_eq!(town.live("chairs"), Vec::<String>::new());
    });
}

#[test]
fn families_are_one_by_a_living_row_of_which_each_owns_a_part() {
    Town::on_each_engine(|mut town| {
        let door = "INSERT INTO doors VALUES (7, 10, 20)";
        town.session.execute(door).unwrap();
        let outcome = town.archive();
        assert_eq!(town.live("houses"), ["3"]);
        assert_eq!(town.live("doors"), Vec::<String>::new());
        assert_eq!(outcome.blocked, []);
        // Two houses, three rooms and two chairs in them, and the door; and the chair of the third house.
        assert_eq!((outcome.families, outcome.total_rows), (2, 9));
    });
}

#[test]
fn a_door_to_a_house_that_lives_holds_the_other_back() {
    Town::on_each_engine(|mut town| {
        let door = "INSERT INTO doors VALUES (7, 10, 30)";
        town.session.execute(door).unwrap();
        let outcome = town.archive();
        assert_eq!(town.live("houses"), ["1", "3"]);
        assert_eq!(town.live("chairs"), ["110"]);
        assert_eq!(town.live("doors"), ["7"]);
        let reasons = outcome.blocked.iter().map(|b| b.reason.as_str());
        assert!(reasons.clone().count() > 0 && reasons.clone().all(|r| r == "living-owner"));
    });
}

/// Each of two deleted houses owns a key to a room of the other: neither can go before the other.
#[test]
fn families_that_hold_each_other_back_by_what_they_own_go_together() {
    Town::on_each_engine(|mut town| {
        for sql in [
            "INSERT INTO latchkeys VALUES (1, 1, 20), (2, 2, 10)",
            "INSERT INTO latchkeys VALUES (3, 3, 30)",
        ] {
            town.session.execute(sql).unwrap();
        }
        let outcome = town.archive();
        assert_eq!(town.live("houses"), ["3"]);
        assert_eq!(town.live("latchkeys"), ["3"]);
        assert_eq!(outcome.blocked, []);
        assert_eq!((outcome.families, outcome.total_rows), (2, 10));

        // A key of a house that lives holds it back, and is told as what it is.
        for sql in [
            "INSERT INTO houses VALUES (4, 4, NULL)",
            "INSERT INTO rooms VALUES (40, 0, 4, NULL)",
            "INSERT INTO latchkeys VALUES (4, 3, 40)",
        ] {
            town.session.execute(sql).unwrap();
        }
        let outcome = town.archive();
        assert_eq!(town.live("houses"), ["3", "4"]);
        assert_eq!(outcome.blocked[0].reason, "live-child");
    });
}

/// A house that waits for another waits for its date too.
#[test]
fn a_family_that_is_needed_goes_no_sooner_than_its_date_says() {
    Town::on_each_engine(|mut town| {
        // Of the younger house a key to a room of the older.
        let key = "INSERT INTO latchkeys VALUES (1, 2, 10)";
        town.session.execute(key).unwrap();
        let before = |date| Options {
            before: Some(Before::parse(date, Timestamp::now()).unwrap()),
            ..Options::default()
        };
        let outcome = town.archive_with(before("2026-01-01"));
        assert_eq!(town.live("houses"), ["1", "2", "3"]);
        assert_eq!(town.live("latchkeys"), ["1"]);
        let waits = outcome
            .blocked
            .iter()
            .find(|b| b.root == "houses:1")
            .unwrap();
        assert_eq!(waits.reason, "soft-deleted-child-stays");
        assert_eq!(waits.path.last().unwrap(), "owned by houses:2");
        assert_eq!(waits.remedy, "see why houses:2 stays");

        town.archive_with(before("2026-07-01"));
        assert_eq!(town.live("houses"), ["3"]);
    });
}

/// Whatever else is in its batch.
#[test]
fn what_is_below_a_family_that_cannot_be_archived_stays_with_it() {
    Town::on_each_engine(|mut town| {
        for sql in [
            "INSERT INTO chairs VALUES (111, 111, 11), (112, 112, 11)",
            "ALTER TABLE houses ADD COLUMN colour INTEGER",
        ] {
            town.session.execute(sql).unwrap();
        }
        let outcome = town.archive_with(Options::default());
        assert_eq!(town.live("houses"), ["1", "2", "3"]);
        assert_eq!(town.live("chairs"), ["110", "111", "112", "200"]);
        assert_eq!(outcome.rows["chairs"], 1);
    });
}

/// A living visit is no part of the family of its house, and what is deleted below it is one of its own.
#[test]
fn what_is_deleted_below_a_living_row_that_holds_its_owner_back_goes() {
    Town::on_each_engine(|mut town| {
        for sql in [
            "INSERT INTO visits VALUES (1, 0, 1)",
            "INSERT INTO photos VALUES (7, 7, 1), (8, 0, 1)",
        ] {
            town.session.execute(sql).unwrap();
        }
        town.archive();
        assert_eq!(town.live("houses"), ["1", "3"]);
        assert_eq!(town.live("visits"), ["1"]);
        assert_eq!(town.live("photos"), ["8"]);
    });
}
