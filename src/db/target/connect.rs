//! Where a database server is, how to log in, and how much encryption is demanded.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// What to escape in a redacted URL, so that it stays one line and can be read back.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'%')
    .add(b':')
    .add(b'@')
    .add(b'/')
    .add(b'?')
    .add(b'#');

/// The same in a parameter, where a path need not be escaped.
const IN_PARAMETER: &AsciiSet = &ESCAPED.remove(b'/').add(b'&').add(b'+');

/// The same in the name of a host, which may be an IPv6 address.
const IN_HOST: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// Where a database server is and how to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Unix socket; used instead of host and port. For PostgreSQL the directory.
    pub socket: Option<PathBuf>,
    /// Login name; the driver's default where missing.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Name of the database.
    pub database: String,
    /// Transport encryption.
    pub tls: Tls,
    /// Further nodes of the same database.
    pub others: Vec<ConnectOptions>,
}

impl ConnectOptions {
    pub(super) fn or(mut self, other: Self) -> Self {
        self.others.push(other);
        self
    }

    /// These, and those of the further nodes.
    pub(in crate::db) fn nodes(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }

    pub(super) fn redacted(&self, scheme: &str, default_port: u16, socket: &str) -> String {
        let mut url = format!("{scheme}://");
        if let Some(user) = &self.user {
            url += &format!("{}@", utf8_percent_encode(user, ESCAPED));
        }
        let host = utf8_percent_encode(&self.host, IN_HOST);
        url += &match self.host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_string(),
        };
        if self.port != default_port {
            url += &format!(":{}", self.port);
        }
        url += &format!("/{}", utf8_percent_encode(&self.database, ESCAPED));
        if let Some(path) = &self.socket {
            let path = path.display().to_string();
            url += &format!("?{socket}={}", utf8_percent_encode(&path, IN_PARAMETER));
        }
        url
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("socket", &self.socket)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("database", &self.database)
            .field("tls", &self.tls)
            .finish()
    }
}

/// Whether and how the connection is encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// How much is demanded.
    pub mode: TlsMode,
    /// PEM file with the certificate authorities to trust.
    pub ca: Option<PathBuf>,
    /// PEM file with the client's certificate.
    pub cert: Option<PathBuf>,
    /// PEM file with the client's key.
    pub key: Option<PathBuf>,
}

/// How much encryption is demanded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// None at all.
    Disabled,
    /// If the server offers it.
    #[default]
    Preferred,
    /// Always; the certificate is not checked.
    Required,
    /// Always; the certificate must come from a trusted authority.
    VerifyCa,
    /// Always; the certificate must be trusted and name the host.
    VerifyIdentity,
}
