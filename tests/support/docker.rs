//! Servers in containers, for the tests alone: the same traits, with testcontainers below.
//!
//! The port on the host is fixed when the container is made, because a restarted container would
//! get another one, and the address is 127.0.0.1 and not `get_host()`, which answers with the
//! gateway of the bridge when the tests run in a container themselves.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use sexton::error::{Error, Result};
use sexton::server::{Provider, Server, free_port};
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::SyncRunner;
use testcontainers::{Container, GenericImage, ImageExt};

use super::client::try_query;

/// Longest wait for a server in a container; a fresh official image initialises its data first.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A kind of server and how its images spell "no password".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Docker {
    variable: &'static str,
    port: u16,
    environment: (&'static str, &'static str),
    url_prefix: &'static str,
    /// A database that every server has.
    system_database: &'static str,
}

/// MariaDB in a container.
pub(crate) const MARIADB: Docker = Docker {
    variable: "SEXTON_TEST_DOCKER_MARIADB",
    port: 3306,
    environment: ("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", "1"),
    url_prefix: "mysql://root",
    system_database: "mysql",
};

/// PostgreSQL in a container.
pub(crate) const POSTGRES: Docker = Docker {
    variable: "SEXTON_TEST_DOCKER_POSTGRES",
    port: 5432,
    environment: ("POSTGRES_HOST_AUTH_METHOD", "trust"),
    url_prefix: "postgres://postgres",
    system_database: "postgres",
};

impl Docker {
    /// Name and tag of the image.
    fn image(&self) -> Result<(String, String)> {
        let hint = "run `cargo xtask test`, which brings a container engine and the images";
        let image = std::env::var(self.variable).map_err(|_| {
            Error::unavailable(format!("{} names no image", self.variable)).hint(hint)
        })?;
        let (name, tag) = image.rsplit_once(':').ok_or_else(|| {
            Error::unavailable(format!("{}={image} is not image:tag", self.variable)).hint(hint)
        })?;
        Ok((name.to_owned(), tag.to_owned()))
    }
}

impl Provider for Docker {
    fn available(&self) -> Result<()> {
        self.image().map(drop)
    }

    fn start(&self) -> Result<Box<dyn Server>> {
        let (name, tag) = self.image()?;
        let port = free_port()?;
        let (variable, value) = self.environment;
        let container = GenericImage::new(&name, &tag)
            .with_wait_for(WaitFor::Nothing)
            .with_mapped_port(port, self.port.tcp())
            .with_env_var(variable, value)
            .with_host_config_modifier(|config| {
                let ports = config.port_bindings.iter_mut().flat_map(|p| p.values_mut());
                for binding in ports.flatten().flatten() {
                    binding.host_ip = Some("127.0.0.1".to_owned());
                }
            })
            .start()
            .map_err(|e| Error::unavailable(format!("cannot start a container of {name}: {e}")))?;
        let server = DockerServer {
            kind: *self,
            image: format!("{name}:{tag}"),
            port,
            container,
        };
        server.wait_until_ready()?;
        Ok(Box::new(server))
    }
}

/// A server in a container; testcontainers removes the container on drop.
struct DockerServer {
    kind: Docker,
    image: String,
    port: u16,
    container: Container<GenericImage>,
}

impl DockerServer {
    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let answer = try_query(&self.url(self.kind.system_database), "SELECT 1");
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    let log = self.container.stderr_to_vec().unwrap_or_default();
                    return Err(Error::unavailable(format!(
                        "{} does not answer: {error}; its log: {}",
                        self.image,
                        String::from_utf8_lossy(&log)
                    )));
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn is_running(&self) -> Result<bool> {
        self.container.is_running().map_err(failed)
    }
}

impl Server for DockerServer {
    fn url(&self, database: &str) -> String {
        let prefix = self.kind.url_prefix;
        format!("{prefix}@127.0.0.1:{}/{database}", self.port)
    }

    fn create_database(&mut self, name: &str) -> Result<String> {
        let sql = format!("CREATE DATABASE {name}");
        try_query(&self.url(self.kind.system_database), &sql).map_err(Error::unavailable)?;
        Ok(self.url(name))
    }

    fn kill(&mut self) -> Result<()> {
        if !self.is_running()? {
            return Ok(());
        }
        // The library can only stop, which asks politely first. Process 1 of a container takes all
        // the others with it.
        let output = Command::new("docker")
            .args(["kill", "--signal=KILL", self.container.id()])
            .output()
            .map_err(|e| Error::unavailable(format!("cannot run docker: {e}")))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::unavailable(format!("docker kill failed: {why}")));
        }
        while self.is_running()? {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.container.start().map_err(failed)?;
        self.wait_until_ready()
    }

    fn stop(&mut self) -> Result<()> {
        if !self.is_running()? {
            return Ok(());
        }
        self.container.stop_with_timeout(Some(60)).map_err(failed)
    }

    fn description(&self) -> String {
        format!("{} (container, 127.0.0.1:{})", self.image, self.port)
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::unavailable(format!("the container engine failed: {error}"))
}
