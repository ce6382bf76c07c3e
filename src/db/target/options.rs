//! The names of a database URL's parameters: those that mean something here, and those of SQLAlchemy's drivers that do
//! not and are let pass, because the URLs of services have them. Any other is refused.
//!
//! What asks for more safety than sexton gives is on neither list: it is not passed over in silence.

use crate::error::{Error, Result};
use crate::nearest::nearest;

/// The parameters of a kind of database.
pub(super) struct Options {
    /// What is read, where [`super::url`] does so.
    read: &'static [&'static str],
    /// What has no meaning here.
    let_pass: &'static [&'static str],
}

/// oslo.db takes it for itself, whatever the database.
const PLUGIN: &str = "plugin";

/// PyMySQL, mysqlclient, MySQL Connector, asyncmy.
pub(super) const MYSQL: Options = Options {
    read: &[
        "host",
        "socket",
        "ssl_ca",
        "ssl_cert",
        "ssl_check_hostname",
        "ssl_disabled",
        "ssl_key",
        "ssl_mode",
        "ssl_verify_cert",
        "ssl_verify_identity",
        "unix_socket",
    ],
    let_pass: &[
        "allow_local_infile",
        "auth_plugin",
        "autocommit",
        "autoping",
        "binary_prefix",
        "buffered",
        "charset",
        "client_flag",
        "collation",
        "compress",
        "connect_timeout",
        "connection_timeout",
        "conv",
        "cursorclass",
        "defer_connect",
        "echo",
        "get_warnings",
        "init_command",
        "local_infile",
        "max_allowed_packet",
        "program_name",
        "raise_on_warnings",
        "read_default_file",
        "read_default_group",
        "read_timeout",
        "sql_mode",
        "ssl_cipher",
        "use_pure",
        "use_unicode",
        "write_timeout",
    ],
};

/// libpq (psycopg), asyncpg, pg8000.
pub(super) const POSTGRES: Options = Options {
    read: &[
        "host",
        "password",
        "port",
        "ssl",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "user",
    ],
    let_pass: &[
        "application_name",
        "async_fallback",
        "client_encoding",
        "command_timeout",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "krbsrvname",
        "load_balance_hosts",
        "options",
        "prepared_statement_cache_size",
        "prepared_statement_name_func",
        "server_settings",
        "ssl_min_protocol_version",
        "sslcompression",
        "sslsni",
        "statement_cache_size",
        "target_session_attrs",
        "tcp_user_timeout",
        "timeout",
    ],
};

/// pysqlite, and SQLite's own URIs.
pub(super) const SQLITE: Options = Options {
    read: &[],
    let_pass: &[
        "cache",
        "cached_statements",
        "check_same_thread",
        "detect_types",
        "immutable",
        "isolation_level",
        "mode",
        "nolock",
        "timeout",
        "uri",
    ],
};

impl Options {
    /// # Errors
    ///
    /// Exit code 64 for a name that is on neither list. Its value is not shown.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        let known = || self.read.iter().chain(self.let_pass).copied();
        if name == PLUGIN || known().any(|known| known == name) {
            return Ok(());
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        // Whatever else stands there may be a part of a password.
        let shown = match !name.is_empty() && name.len() <= 40 && name.chars().all(plain) {
            true => format!(" '{name}'"),
            false => String::new(),
        };
        let hint = match nearest(name, known()).as_slice() {
            [] => "leave it out; SECURITY.md lists those for encryption".to_owned(),
            near => format!("did you mean {}?", near.join(" or ")),
        };
        Err(Error::usage(format!(
            "the database URL has an option{shown} that is not known"
        ))
        .hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Target, TlsMode};

    fn tls_mode(url: &str) -> TlsMode {
        match url.parse().unwrap() {
            Target::Mysql(options) | Target::Postgres(options) => options.tls.mode,
            Target::Sqlite(_) => panic!("{url} is a file"),
        }
    }

    /// `ssl_mod=required` was passed over, and the connection was not encrypted.
    #[test]
    fn an_option_that_no_driver_has_is_refused() {
        for (url, said) in [
            (
                "mysql://h/n?ssl_mod=required",
                "'ssl_mod' that is not known; did you mean ssl_mode",
            ),
            (
                "mysql://h/n?charset=utf8&ssl_capath=/x",
                "'ssl_capath' that is not known; did you mean ssl_ca",
            ),
            ("postgresql://h/n?sslmod=require", "did you mean sslmode"),
            ("postgresql://h/n?sslcrl=/x", "'sslcrl' that is not known"),
            ("sqlite:///n.db?tiemout=3", "did you mean timeout"),
            (
                "mysql://h/n?s3cret%20x=1",
                "has an option that is not known",
            ),
            ("mysql://h/n?xyz", "'xyz' that is not known; leave it out"),
        ] {
            let message = url.parse::<Target>().unwrap_err().to_string();
            assert!(message.contains(said), "{url}: {message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
        for url in [
            "mysql+pymysql://h/n?charset=utf8mb4&plugin=dbcounter&read_timeout=5&init_command=x",
            "postgresql+psycopg2://h/n?application_name=nova&client_encoding=utf8&target_session_attrs=any",
            "sqlite:///n.db?check_same_thread=false&timeout=3",
        ] {
            url.parse::<Target>().unwrap();
        }
        assert_eq!(tls_mode("postgresql://h/n?ssl=require"), TlsMode::Required);
        let checked = tls_mode("mysql://h/n?ssl_ca=/c&ssl_check_hostname=true");
        assert_eq!(checked, TlsMode::VerifyIdentity);
    }
}
