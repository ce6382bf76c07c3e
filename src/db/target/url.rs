//! The parts of a SQLAlchemy database URL.
//!
//! Read by hand: passwords in configuration files hold `/`, `?`, `#` and even `@` unescaped, which
//! SQLAlchemy accepts and a strict URL parser does not.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::options::{MYSQL, POSTGRES};
use super::{ConnectOptions, FORMS, Tls, TlsMode};
use crate::error::{Error, Result};

/// A URL of a database server with its query parameters not yet applied.
pub(super) struct Url {
    options: ConnectOptions,
    parameters: Vec<(String, String)>,
}

/// Why a text is not `host:port/database?parameters`.
#[derive(Clone, Copy)]
enum Fault {
    Host,
    Port,
    Database,
}

/// Reads what follows `scheme://`.
pub(super) fn parse(scheme: &str, rest: &str, default_port: u16) -> Result<Url> {
    // `u:1/a?b@host/name` reads as host, port and database, and is a login with an odd password.
    let first = rest.split(['/', '@']).next().unwrap_or_default();
    let login = rest.contains('@') && first.contains(':') && !first.starts_with('[');
    // The user ends at the first `@` behind which a host and a database can be read.
    let mut fault = match server(None, rest, default_port) {
        Ok(url) if !login => return Ok(url),
        Ok(_) => Fault::Host,
        Err(fault) => fault,
    };
    for (i, (at, _)) in rest.match_indices('@').enumerate() {
        match server(Some(&rest[..at]), &rest[at + 1..], default_port) {
            Ok(url) => return Ok(url),
            Err(f) if i == 0 => fault = f,
            Err(_) => {}
        }
    }
    Err(match fault {
        Fault::Host => Error::usage(format!("the {scheme} URL names no host that can be read"))
            .hint(format!("percent-encode special characters; {FORMS}")),
        Fault::Port => bad_port(scheme),
        Fault::Database => Error::usage(format!("the {scheme} URL names no database")).hint(FORMS),
    })
}

fn bad_port(scheme: &str) -> Error {
    Error::usage(format!(
        "the port in the {scheme} URL is not a number from 1 to 65535"
    ))
    .hint(FORMS)
}

fn server(user_info: Option<&str>, rest: &str, default_port: u16) -> Result<Url, Fault> {
    let (address, query) = match rest.split_once('?') {
        Some((address, query)) => (address, query),
        None => (rest, ""),
    };
    let (host_port, database) = match address.split_once('/') {
        Some((host_port, database)) => (host_port, Some(database)),
        None => (address, None),
    };
    let (host, port) = if let Some(v6) = host_port.strip_prefix('[') {
        let (host, port) = v6.split_once(']').ok_or(Fault::Host)?;
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port),
            None if port.is_empty() => None,
            None => return Err(Fault::Host),
        };
        (host, port)
    } else {
        match host_port.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host_port, None),
        }
    };
    let plain = |c: char| c.is_alphanumeric() || "-._~%:".contains(c);
    if !host.chars().all(plain) {
        return Err(Fault::Host);
    }
    let port = match port {
        None | Some("") => default_port,
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => port,
            _ => return Err(Fault::Port),
        },
    };
    let database = database.filter(|d| !d.is_empty() && !d.contains(['@', '/']));
    let database = decode(database.ok_or(Fault::Database)?);
    let (user, password) = match user_info.map(|info| info.split_once(':').unwrap_or((info, "\0")))
    {
        None => (None, None),
        // No password can hold a NUL: it stands for none.
        Some((user, "\0")) => (Some(user), None),
        Some((user, password)) => (Some(user), Some(password)),
    };
    let mut options = ConnectOptions {
        host: String::new(),
        port,
        socket: None,
        user: user.filter(|u| !u.is_empty()).map(decode),
        password: password.map(decode),
        database,
        tls: Tls::default(),
        others: Vec::new(),
    };
    set_host(&mut options, &decode(host));
    Ok(Url {
        options,
        parameters: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
    })
}

/// A host that is a path is the directory of a Unix socket, as in libpq.
fn set_host(options: &mut ConnectOptions, host: &str) {
    match host {
        "" => options.host = "localhost".into(),
        path if path.starts_with('/') => {
            options.host = "localhost".into();
            options.socket = Some(path.into());
        }
        name => options.host = name.into(),
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl Url {
    /// The options with the parameters that PyMySQL and mysqlclient know.
    ///
    /// # Errors
    ///
    /// Exit code 64 for one that none of the drivers has: `ssl_mod=required` would be no encryption at all.
    pub(super) fn mysql(self) -> Result<ConnectOptions> {
        let Self {
            mut options,
            parameters,
        } = self;
        let (mut mode, mut verify_cert, mut verify_identity) = (None, None, false);
        for (name, value) in parameters {
            let tls = &mut options.tls;
            match name.as_str() {
                "unix_socket" | "socket" => options.socket = Some(value.into()),
                "host" => set_host(&mut options, &value),
                "ssl_ca" => tls.ca = Some(value.into()),
                "ssl_cert" => tls.cert = Some(value.into()),
                "ssl_key" => tls.key = Some(value.into()),
                "ssl_verify_cert" => verify_cert = Some(is_true(&value)),
                "ssl_verify_identity" | "ssl_check_hostname" => verify_identity = is_true(&value),
                "ssl_disabled" if is_true(&value) => mode = Some(TlsMode::Disabled),
                "ssl_mode" | "ssl-mode" => mode = Some(tls_mode(&value)?),
                name => MYSQL.check(name)?,
            }
        }
        let tls = &mut options.tls;
        // PyMySQL demands TLS as soon as any of these is given, and checks the certificate when
        // it has an authority to check it against.
        tls.mode = mode.unwrap_or(match verify_cert {
            _ if verify_identity => TlsMode::VerifyIdentity,
            Some(true) => TlsMode::VerifyCa,
            None if tls.ca.is_some() => TlsMode::VerifyCa,
            _ if tls.ca.is_some() || tls.cert.is_some() => TlsMode::Required,
            _ => TlsMode::Preferred,
        });
        Ok(options)
    }

    /// The options with the parameters of libpq, and asyncpg's `ssl`.
    ///
    /// # Errors
    ///
    /// As of [`Url::mysql`].
    pub(super) fn postgres(self) -> Result<ConnectOptions> {
        let Self {
            mut options,
            parameters,
        } = self;
        let mut mode = None;
        for (name, value) in parameters {
            let path = || Some(PathBuf::from(&value));
            match name.as_str() {
                "host" => {
                    // The last one wins, be it a name or a directory.
                    options.socket = None;
                    set_host(&mut options, &value);
                }
                "port" => {
                    options.port = match value.parse() {
                        Ok(port) if port != 0 => port,
                        _ => return Err(bad_port("postgresql")),
                    };
                }
                "user" => options.user = Some(value),
                "password" => options.password = Some(value),
                "sslmode" | "ssl" => mode = Some(tls_mode(&value)?),
                "sslrootcert" => options.tls.ca = path(),
                "sslcert" => options.tls.cert = path(),
                "sslkey" => options.tls.key = path(),
                name => POSTGRES.check(name)?,
            }
        }
        options.tls.mode = match mode {
            // libpq: a root certificate makes `require` check the authority.
            None | Some(TlsMode::Required) if options.tls.ca.is_some() => TlsMode::VerifyCa,
            mode => mode.unwrap_or_default(),
        };
        Ok(options)
    }
}

fn is_true(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "true" | "1" | "yes" | "on"
    )
}

fn tls_mode(value: &str) -> Result<TlsMode> {
    Ok(
        match value.to_ascii_lowercase().replace('_', "-").as_str() {
            "disable" | "disabled" | "false" => TlsMode::Disabled,
            "allow" | "prefer" | "preferred" => TlsMode::Preferred,
            "require" | "required" | "true" => TlsMode::Required,
            "verify-ca" => TlsMode::VerifyCa,
            "verify-full" | "verify-identity" => TlsMode::VerifyIdentity,
            _ => {
                return Err(
                    Error::usage("the TLS mode in the database URL is not known")
                        .hint("use disable, prefer, require, verify-ca or verify-full"),
                );
            }
        },
    )
}
