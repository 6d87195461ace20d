//! The commands of `mote-bench` that measure nothing: they read results and show them.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::result::{Run, read};
use crate::{baseline, page, table};

/// Shows what was measured before. A file of results has one object, or several one after the other.
#[derive(Parser, Debug)]
#[command(name = "mote-bench", version)]
enum Reading {
    /// Writes one HTML page that compares all runs of some files.
    Page {
        out: PathBuf,
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The label that ratios are against, else the first.
        #[arg(long, value_name = "LABEL")]
        base: Option<String>,
    },
    /// Prints a table of all runs of some files, with ratios.
    Table {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The label that ratios are against, else the first of each plan.
        #[arg(long, value_name = "LABEL")]
        base: Option<String>,
    },
    /// Says what changed since an earlier result. Exits 1 if something is worse beyond noise, 2 if nothing can be compared.
    Baseline { now: PathBuf, before: PathBuf },
}

/// Whether the first word of a command line is one of these.
pub fn is_asked(word: Option<&str>) -> bool {
    matches!(word, Some("page" | "table" | "baseline"))
}

/// Does what the command line of this process says.
///
/// # Errors
/// Files that cannot be read, are no results, or cannot be written; each names itself.
pub fn run() -> io::Result<ExitCode> {
    match Reading::parse() {
        Reading::Page { out, files, base } => {
            let page = page::html(&all(&files)?, base.as_deref());
            std::fs::write(&out, page)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", out.display())))?;
        }
        Reading::Table { files, base } => print!("{}", table::text(&all(&files)?, base.as_deref())),
        Reading::Baseline { now, before } => return Ok(verdict(&read(&now)?, &read(&before)?)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what changed; the exit code is the verdict.
pub fn verdict(now: &[Run], before: &[Run]) -> ExitCode {
    match baseline::compare(now, before) {
        Ok(comparison) => {
            print!("{}", comparison.text);
            ExitCode::from(u8::from(comparison.is_worse))
        }
        Err(reason) => {
            eprintln!("mote-bench: {reason}");
            ExitCode::from(2)
        }
    }
}

fn all(files: &[PathBuf]) -> io::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for file in files {
        runs.append(&mut read(file)?);
    }
    Ok(runs)
}
