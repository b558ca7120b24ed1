//! Headers that an operator wants on the answers of the user interface, as they are kept. Knows nothing of who sends them.

use serde::{Deserialize, Serialize};

use crate::api::Error;
use crate::barrier::{Stored, View};

#[derive(Serialize, Deserialize)]
struct HeaderRecord {
    values: Vec<String>,
}

impl Stored for HeaderRecord {
    const VERSION: u8 = 1;
}

/// The values of a header; its name is in lower case.
pub fn read(view: &View<'_>, name: &str) -> Result<Option<Vec<String>>, Error> {
    Ok(view.get::<HeaderRecord>(&record_path(name))?.map(|found| found.value.values))
}

/// The names of all headers, in lower case.
pub fn list(view: &View<'_>) -> Result<Vec<String>, Error> {
    Ok(view.list(RECORDS, "", usize::MAX)?)
}

/// Sets the values of a header.
pub fn write(view: &View<'_>, name: &str, values: Vec<String>) -> Result<(), Error> {
    let all = list(view)?;
    if all.len() >= HEADERS_MAX && !all.iter().any(|other| other == name) {
        return Err(Error::invalid(format!("there cannot be more than {HEADERS_MAX} headers")));
    }
    let mut change = view.change();
    change.put(&record_path(name), &HeaderRecord { values })?;
    change.commit()?;
    Ok(())
}

pub fn delete(view: &View<'_>, name: &str) -> Result<(), Error> {
    let mut change = view.change();
    change.delete(&record_path(name));
    change.commit()?;
    Ok(())
}

fn record_path(name: &str) -> String {
    format!("{RECORDS}{name}")
}

const RECORDS: &str = "config/ui-header/";
const HEADERS_MAX: usize = 100;
