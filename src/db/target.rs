//! What to connect to, read from the text a user gives.

use std::fmt;
use std::path::PathBuf;

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
