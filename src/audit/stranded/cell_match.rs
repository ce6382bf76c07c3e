//! Which row of the API database's cell table a given cell is.

use crate::db::{ConnectOptions, Target};

/// A cell that the API database lists.
pub(super) struct Mapped {
    /// Its name.
    pub(super) name: String,
    /// Whether it is among the given cells.
    pub(super) given: bool,
}

/// Whether a given cell is the listed one: by its name, or because it is the same database.
/// `label` is the given cell's URL without password.
pub(super) fn matches(name: &str, label: &str, listed: &str, connection: &str) -> bool {
    if !listed.is_empty() && name == listed {
        return true;
    }
    match (label.parse(), connection.parse()) {
        (Ok(Target::Sqlite(a)), Ok(Target::Sqlite(b))) => {
            let whole = |p: &std::path::Path| p.canonicalize().unwrap_or_else(|_| p.to_owned());
            whole(&a) == whole(&b)
        }
        (Ok(Target::Mysql(a)), Ok(Target::Mysql(b)))
        | (Ok(Target::Postgres(a)), Ok(Target::Postgres(b))) => same_server(&a, &b),
        _ => false,
    }
}

fn same_server(a: &ConnectOptions, b: &ConnectOptions) -> bool {
    let local = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "::1");
    let same_host = a.host.eq_ignore_ascii_case(&b.host) || (local(&a.host) && local(&b.host));
    same_host && a.port == b.port && a.database == b.database
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_known_by_name_or_by_its_database() {
        let label = "mysql://nova@db1:3306/nova_cell1";
        let stored = "mysql+pymysql://nova:s3cret@db1/nova_cell1?charset=utf8";
        assert!(matches("cell1", label, "cell1", "none:///"));
        assert!(matches("a", label, "cell1", stored));
        assert!(!matches(
            "a",
            label,
            "cell2",
            "mysql+pymysql://nova:x@db2/nova_cell1"
        ));
        assert!(!matches(
            "a",
            label,
            "cell0",
            "mysql+pymysql://nova:x@db1/nova_cell0"
        ));
        assert!(!matches(
            "a",
            label,
            "",
            "{scheme}://{username}@{hostname}/nova"
        ));
    }
}
