//! Parts of a page that are made from what was run: `<!-- NAME -->` to `<!-- end of NAME -->`. Knows no part.

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::count::Count;

/// Whether files that are kept true are to be written anew.
#[allow(clippy::disallowed_methods, reason = "whoever runs the suites says so by a variable")]
pub(crate) fn is_to_be_written() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// Whether the page says what it should; with `UPDATE_GOLDEN` set it is made to.
pub(crate) fn check(page: &Path, part: &str, wanted: &str) -> Result<Count, Box<dyn Error>> {
    let text = fs::read_to_string(page)?;
    let missing = || format!("{}: it has no part {part:?}", page.display());
    let (before, rest) = text.split_once(&format!("<!-- {part} -->\n")).ok_or_else(missing)?;
    let (found, after) = rest.split_once(&format!("<!-- end of {part} -->")).ok_or_else(missing)?;
    if found == wanted {
        return Ok(Count { passed: 1, ..Count::default() });
    }
    if is_to_be_written() {
        fs::write(page, format!("{before}<!-- {part} -->\n{wanted}<!-- end of {part} -->{after}"))?;
        println!("{}: the part {part:?} is written anew; read the diff", page.display());
        return Ok(Count { passed: 1, ..Count::default() });
    }
    println!("FAIL {}: the part {part:?} is not what was run; UPDATE_GOLDEN=1 writes it anew", page.display());
    Ok(Count { failed: 1, ..Count::default() })
}
