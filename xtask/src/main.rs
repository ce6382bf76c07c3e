//! Tasks of the project that are not the product: tests with real servers, fuzzing, schema capture, packages,
//! comparisons with other engines and between revisions.

mod assets;
mod bench_compare;
mod compare;
mod docker;
mod fuzz;
mod galera;
mod image;
mod install;
mod package;
mod schemas;
mod service;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the sexton project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Test(test::Args),
    Assets(assets::Args),
    Package(package::Args),
    Fuzz(fuzz::Args),
    Galera(galera::Args),
    Sync(service::Args),
    Schemas(schemas::Args),
    #[command(subcommand)]
    Compare(compare::Compare),
    BenchCompare(bench_compare::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Assets(args) => assets::run(&args),
        Task::Package(args) => package::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Galera(args) => galera::run(&args),
        Task::Sync(args) => service::run(&args),
        Task::Schemas(args) => schemas::run(&args),
        Task::Compare(what) => compare::run(&what),
        Task::BenchCompare(args) => bench_compare::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
