//! What to connect to, read from the text a user gives. Pure: nothing is opened here.
//!
//! The URLs are those of SQLAlchemy, because that is what the configuration of OpenStack services
//! holds. No message shows a password, not even of a URL that cannot be read.

mod connect;
mod options;
mod url;

pub use connect::{ConnectOptions, Tls, TlsMode};

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::Engine;
use crate::error::{Error, Result};

/// The forms a target may have, for messages.
const FORMS: &str = "give a SQLite file, mysql://USER:PASSWORD@HOST/DATABASE or \
                     postgresql://USER:PASSWORD@HOST/DATABASE";

/// A database to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A database of a MariaDB or MySQL server.
    Mysql(ConnectOptions),
    /// A database of a PostgreSQL server.
    Postgres(ConnectOptions),
}

impl Target {
    /// The engine.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Mysql(_) => Engine::Mysql,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// The same database, to be reached through `other` too: a further node of its cluster, which a session turns
    /// to where the one in use goes away.
    ///
    /// # Errors
    ///
    /// Exit code 64 if `other` is a database of another kind or of another name, or a file.
    pub fn or(self, other: Self) -> Result<Self> {
        let refuse = |what: &str| {
            Err(Error::usage(format!("{other} is no further node of {self}: {what}"))
                .hint("--db takes the same database on another node; further cells are given with --cell"))
        };
        match (self.clone(), other.clone()) {
            (Self::Mysql(one), Self::Mysql(more)) if one.database == more.database => {
                Ok(Self::Mysql(one.or(more)))
            }
            (Self::Postgres(one), Self::Postgres(more)) if one.database == more.database => {
                Ok(Self::Postgres(one.or(more)))
            }
            (Self::Mysql(_), Self::Mysql(_)) | (Self::Postgres(_), Self::Postgres(_)) => {
                refuse("its name is another")
            }
            (Self::Sqlite(_), _) | (_, Self::Sqlite(_)) => refuse("a file has no nodes"),
            _ => refuse("it is of another kind"),
        }
    }

    /// Whether both name the same database, whoever logs in and how.
    pub fn same_database(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(a), Self::Sqlite(b)) => {
                let real = |p: &PathBuf| p.canonicalize().unwrap_or_else(|_| p.clone());
                real(a) == real(b)
            }
            (Self::Mysql(a), Self::Mysql(b)) | (Self::Postgres(a), Self::Postgres(b)) => {
                let place = |o: &ConnectOptions| {
                    let local = matches!(o.host.as_str(), "localhost" | "127.0.0.1" | "::1");
                    let host = if local {
                        "localhost".to_owned()
                    } else {
                        o.host.to_lowercase()
                    };
                    (host, o.port, o.socket.clone(), o.database.clone())
                };
                place(a) == place(b)
            }
            _ => false,
        }
    }

    /// Whether both are databases of one server, and not the same one.
    pub fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(_), _) | (_, Self::Sqlite(_)) => false,
            (Self::Mysql(a), Self::Mysql(b)) => {
                let mut same = a.clone();
                same.database.clone_from(&b.database);
                a.database != b.database && Self::Mysql(same).same_database(other)
            }
            (Self::Postgres(a), Self::Postgres(b)) => {
                let mut same = a.clone();
                same.database.clone_from(&b.database);
                a.database != b.database && Self::Postgres(same).same_database(other)
            }
            _ => false,
        }
    }

    /// The nodes through which it can be reached, for output.
    pub(super) fn nodes(&self) -> Vec<String> {
        let of = |options: &ConnectOptions, one: &dyn Fn(ConnectOptions) -> Self| {
            let alone = |node: &ConnectOptions| ConnectOptions {
                others: Vec::new(),
                ..node.clone()
            };
            options
                .nodes()
                .map(|node| one(alone(node)).redacted())
                .collect()
        };
        match self {
            Self::Sqlite(_) => vec![self.redacted()],
            Self::Mysql(options) => of(options, &Self::Mysql),
            Self::Postgres(options) => of(options, &Self::Postgres),
        }
    }

    /// The target for output: a path, or a URL without the password.
    pub fn redacted(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Mysql(options) => options.redacted("mysql", MYSQL_PORT, "unix_socket"),
            Self::Postgres(options) => options.redacted("postgresql", POSTGRES_PORT, "host"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// Whether two labels of databases ([`Target::redacted`]) name one place; where one names none, whether they are equal.
pub fn same_place(one: &str, other: &str) -> bool {
    match (one.parse::<Target>(), other.parse::<Target>()) {
        (Ok(a), Ok(b)) => a.same_database(&b),
        _ => one == other,
    }
}

impl FromStr for Target {
    type Err = Error;

    /// Reads a path (anything without `://`), `sqlite:FILE`, `sqlite:///FILE`, or a URL of a
    /// MariaDB, MySQL or PostgreSQL database with or without `+driver`.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return sqlite(text.strip_prefix("sqlite:").unwrap_or(text));
        };
        let scheme = scheme.to_ascii_lowercase();
        match scheme.split('+').next().unwrap_or_default() {
            "sqlite" => {
                // As SQLAlchemy has it: three slashes before a relative path, four before an
                // absolute one, and options after a question mark.
                let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
                for (name, _) in ::url::form_urlencoded::parse(query.as_bytes()) {
                    options::SQLITE.check(&name)?;
                }
                match path.strip_prefix('/') {
                    Some(path) => sqlite(path),
                    None => Err(
                        Error::usage("a SQLite URL has three slashes before its file")
                            .hint("write sqlite:///FILE, or just FILE"),
                    ),
                }
            }
            "mysql" | "mariadb" => url::parse(&scheme, rest, MYSQL_PORT)?
                .mysql()
                .map(Self::Mysql),
            "postgresql" | "postgres" => {
                let url = url::parse(&scheme, rest, POSTGRES_PORT)?;
                url.postgres().map(Self::Postgres)
            }
            // A text this broken may hold a password anywhere.
            _ => Err(Error::usage("the database URL has a scheme that is not known").hint(FORMS)),
        }
    }
}

const MYSQL_PORT: u16 = 3306;
const POSTGRES_PORT: u16 = 5432;

fn sqlite(path: &str) -> Result<Target> {
    match path {
        "" => Err(Error::usage("no database is named").hint(FORMS)),
        ":memory:" => {
            Err(Error::usage("a database in memory would be empty").hint("name a SQLite file"))
        }
        // A URL that lost a character may hold a password: it is not taken for a path, nor shown.
        path if is_misspelt_url(path) => {
            Err(Error::usage("the database's URL lacks its scheme, or :// behind it").hint(FORMS))
        }
        path => Ok(Target::Sqlite(path.into())),
    }
}

fn is_misspelt_url(text: &str) -> bool {
    let login = text
        .split_once('@')
        .is_some_and(|(login, _)| login.contains(':'));
    login && !std::path::Path::new(text).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Target {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn options(text: &str) -> ConnectOptions {
        match parse(text) {
            Target::Mysql(options) | Target::Postgres(options) => options,
            Target::Sqlite(path) => panic!("{text} is the file {}", path.display()),
        }
    }

    fn refusal(text: &str) -> String {
        let error = text.parse::<Target>().unwrap_err();
        assert_eq!(error.code, crate::exit::ExitCode::Usage);
        let message = error.to_string();
        assert!(
            !message.contains('\n') && !message.contains("s3cret"),
            "{message}"
        );
        message
    }

    #[test]
    fn sqlite_forms() {
        for (text, path) in [
            ("nova.db", "nova.db"),
            ("/var/lib/nova.db", "/var/lib/nova.db"),
            ("odd:name.db", "odd:name.db"),
            ("sqlite:nova.db", "nova.db"),
            ("sqlite:/abs/nova.db", "/abs/nova.db"),
            ("sqlite:///rel/nova.db", "rel/nova.db"),
            ("sqlite:////abs/nova.db", "/abs/nova.db"),
            ("sqlite+pysqlite:////abs/nova.db?timeout=30", "/abs/nova.db"),
        ] {
            assert_eq!(parse(text), Target::Sqlite(path.into()), "{text}");
        }
        for text in [
            "",
            "sqlite:",
            "sqlite://",
            "sqlite:///",
            "sqlite:///:memory:",
            "sqlite://x",
        ] {
            refusal(text);
        }
    }

    #[test]
    fn server_forms() {
        for scheme in [
            "mysql",
            "mysql+pymysql",
            "mysql+mysqldb",
            "mariadb",
            "mariadb+pymysql",
        ] {
            let target = parse(&format!(
                "{scheme}://nova:s3cret@db.example/nova?charset=utf8"
            ));
            assert_eq!(target.engine(), Engine::Mysql);
            assert_eq!(target.redacted(), "mysql://nova@db.example/nova");
        }
        for scheme in [
            "postgresql",
            "postgres",
            "postgresql+psycopg2",
            "PostgreSQL+psycopg",
        ] {
            let target = parse(&format!("{scheme}://nova@db.example:5433/nova"));
            assert_eq!(target.engine(), Engine::Postgres);
            assert_eq!(target.redacted(), "postgresql://nova@db.example:5433/nova");
        }
        let o = options("mysql://u:p%40ss%3A@[::1]:3307/nova_cell0");
        assert_eq!((o.host.as_str(), o.port), ("::1", 3307));
        assert_eq!(o.password.as_deref(), Some("p@ss:"));
        assert_eq!(options("mysql://[::1]/nova").port, 3306);
        assert_eq!(
            parse("mysql://u@[::1]:3307/n").redacted(),
            "mysql://u@[::1]:3307/n"
        );
        let o = options("mysql:///nova");
        assert_eq!(
            (o.host.as_str(), o.user, o.password),
            ("localhost", None, None)
        );
        assert_eq!(options("mysql://u:@h/d").password.as_deref(), Some(""));
    }

    #[test]
    fn odd_passwords() {
        for password in [
            "a:b", "a/b", "a?b", "a#b", "p@ss", "a/@b", "1/2", "12?3", "%", "a&b=c", "$",
        ] {
            let o = options(&format!(
                "mysql+pymysql://nova:{password}@10.0.0.1/nova?charset=utf8"
            ));
            assert_eq!(o.password.as_deref(), Some(password));
            assert_eq!((o.host.as_str(), o.database.as_str()), ("10.0.0.1", "nova"));
            assert_eq!(o.user.as_deref(), Some("nova"));
        }
        let o = options("mysql://h/nova?read_default_file=/etc/a@b");
        assert_eq!((o.host.as_str(), o.user), ("h", None));
    }

    #[test]
    fn parameters() {
        let o = options("mysql://u@/n?unix_socket=%2Frun%2Fmysqld%2Fmysqld.sock&read_timeout=5");
        assert_eq!(o.socket, Some("/run/mysqld/mysqld.sock".into()));
        assert_eq!(o.tls, Tls::default());
        let tls = |query: &str| options(&format!("mysql://u@h/n?{query}")).tls;
        assert_eq!(tls("ssl_ca=/ca.pem").mode, TlsMode::VerifyCa);
        assert_eq!(tls("ssl_ca=/ca.pem").ca, Some("/ca.pem".into()));
        assert_eq!(
            tls("ssl_ca=/c&ssl_verify_cert=false").mode,
            TlsMode::Required
        );
        assert_eq!(
            tls("ssl_verify_identity=true").mode,
            TlsMode::VerifyIdentity
        );
        assert_eq!(tls("ssl_cert=/c&ssl_key=/k").mode, TlsMode::Required);
        assert_eq!(tls("ssl_mode=DISABLED").mode, TlsMode::Disabled);
        let o = options("postgresql://u@/n?host=/var/run/postgresql&sslmode=verify-full");
        assert_eq!(o.socket, Some("/var/run/postgresql".into()));
        assert_eq!(o.tls.mode, TlsMode::VerifyIdentity);
        let o = options("postgresql:///n?host=h&port=1&user=u&password=s3cret&sslrootcert=/ca");
        assert_eq!(
            (o.host.as_str(), o.port, o.tls.mode),
            ("h", 1, TlsMode::VerifyCa)
        );
        assert_eq!(o.password.as_deref(), Some("s3cret"));
        assert_eq!(
            options("postgresql://%2Frun%2Fpg/n").socket,
            Some("/run/pg".into())
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_the_password() {
        for text in [
            "mysql://u:s3cret@h",
            "mysql://u:s3cret@h/",
            "mysql://u:s3cret@h:99999/n",
            "mysql://u:s3cret@h:port/n",
            "mysql://u:s3cret@h:0/n",
            "mysql://u:s3cret@[::1/n",
            "mysql://u:s3cret@h1,h2/n",
            "oracle://u:s3cret@h/n",
            "s3cret://u",
            "postgresql://u:s3cret@h/n?sslmode=maybe",
            "postgresql://u:s3cret@h/n?port=x",
            "postgresql://u:s3cret@h/n?port=0",
            "mysql://u:s3cret",
        ] {
            let message = refusal(text);
            assert!(message.contains(';'), "no hint: {message}");
        }
    }

    #[test]
    fn debug_and_display_hide_the_password() {
        let target = parse("mysql://u:s3cret@h/n?unix_socket=/s");
        assert!(!format!("{target:?} {target:#?} {target}").contains("s3cret"));
        assert_eq!(target.to_string(), "mysql://u@h/n?unix_socket=/s");
        assert_eq!(parse("mysql://a%0Ab@h/n").to_string(), "mysql://a%0Ab@h/n");
    }

    #[test]
    fn what_is_shown_reads_as_the_same_again() {
        for (text, shown) in [
            ("mysql://a%3Ab@h/n", "mysql://a%3Ab@h/n"),
            ("mysql://a%20%0Ab/n", "mysql://a%20%0Ab/n"),
            ("mysql://h/n?host=a%2Cb@c", "mysql://a%2Cb%40c/n"),
            ("mysql://[::1]/n", "mysql://[::1]/n"),
            (
                "mysql://h/n?unix_socket=%2Fa%26b%2Bc%0A%25",
                "mysql://h/n?unix_socket=/a%26b%2Bc%0A%25",
            ),
            ("postgresql://%2Fs/n?host=h", "postgresql://h/n"),
        ] {
            let target = parse(text);
            assert_eq!(target.to_string(), shown);
            assert_eq!(parse(shown), target);
        }
    }

    /// SQLAlchemy takes anything but `@` for a password.
    #[test]
    fn a_login_is_not_taken_for_host_and_port() {
        let o = options("mysql://nova:1/a?b@h/nova");
        assert_eq!(o.password.as_deref(), Some("1/a?b"));
        assert_eq!((o.host.as_str(), o.database.as_str()), ("h", "nova"));
        let shown = parse("mysql://nova:/a?unix_socket=s3cret@h/nova").to_string();
        assert_eq!(shown, "mysql://nova@h/nova");
        // What is behind the @ is no server: still a password, and not shown.
        refusal("postgresql://nova:/a?sslrootcert=s3cret@=b");
        let o = options("mysql://h:3307/nova?read_default_file=a%40b");
        assert_eq!((o.host.as_str(), o.port, o.user), ("h", 3307, None));
    }
}
