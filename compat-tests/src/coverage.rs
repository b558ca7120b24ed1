//! Which rows of the route table no client has touched: the server counts its requests by row. Knows no client.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::{fs, io};

use crate::count::Count;
use crate::readme::is_to_be_written;
use crate::server::Server;

/// The rows that were touched: engine, path below its mount, operation.
#[derive(Default)]
pub(crate) struct Coverage(BTreeSet<String>);

impl Coverage {
    /// Takes what this server was asked, up to now, and what those were asked whose figures a suite left as `*.prom`.
    pub(crate) fn take(&mut self, server: &Server, work: &Path) -> io::Result<()> {
        let mut figures = server.get("sys/metrics?format=prometheus")?;
        for file in fs::read_dir(work)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "prom") {
                figures += &fs::read_to_string(&path)?;
                fs::remove_file(path)?;
            }
        }
        self.0.extend(figures.lines().filter_map(touched));
        Ok(())
    }

    /// Whether the file lists just the rows that were not touched; with `UPDATE_GOLDEN` set it is made to.
    pub(crate) fn check(&self, golden_routes: &Path, file: &Path) -> Result<Count, Box<dyn Error>> {
        let routes = fs::read_to_string(golden_routes)?;
        let rows: Vec<String> = routes.lines().filter_map(row).collect();
        let untouched: Vec<&String> = rows.iter().filter(|row| !self.0.contains(*row)).collect();
        println!("{} of {} rows were touched by a client", rows.len() - untouched.len(), rows.len());
        let text: String = HEAD.lines().map(|line| format!("# {line}\n")).collect();
        let text = text + &untouched.iter().map(|row| format!("{row}\n")).collect::<String>();
        let found = fs::read_to_string(file).unwrap_or_default();
        if found == text {
            return Ok(Count { passed: 1, ..Count::default() });
        }
        if is_to_be_written() {
            fs::write(file, text)?;
            println!("{}: written anew; read the diff", file.display());
            return Ok(Count { passed: 1, ..Count::default() });
        }
        let known: BTreeSet<&str> = found.lines().collect();
        let new = untouched.iter().filter(|row| !known.contains(row.as_str()));
        new.for_each(|row| println!("FAIL coverage: no client touches {row} any more"));
        println!("FAIL {}: it is not what was run; UPDATE_GOLDEN=1 writes it anew", file.display());
        Ok(Count { failed: 1, ..Count::default() })
    }
}

/// The row that a figure is of, if it counts requests.
fn touched(line: &str) -> Option<String> {
    let labels = line.strip_prefix("coffer_requests_total{")?;
    let label = |name: &str| Some(labels.split_once(&format!("{name}=\""))?.1.split_once('"')?.0);
    Some(format!("{} {}/{}", label("operation")?, label("engine")?, label("row")?))
}

/// The row that a line of the golden route list is of, whose mounts have the names that they have in tests.
fn row(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (path, operation) = (words.next()?, words.next()?);
    let (mount, rest) = path.strip_prefix("auth/").unwrap_or(path).split_once('/')?;
    let engine = match mount {
        "kv" => "kv1",
        "secret" => "kv2",
        other => other,
    };
    Some(format!("{operation} {engine}/{rest}"))
}

const HEAD: &str = "Rows of the route table that no published client has touched, as `./test clients` found.
With UPDATE_GOLDEN=1 it writes this file anew; a row that is new here needs a client, or a word why not.";
