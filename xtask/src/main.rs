//! Tasks of the project that are not the product: `cargo xtask test` and what it needs.

mod docker;
mod image;
mod install;
mod nova;
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
    NovaSync(nova::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::NovaSync(args) => nova::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
