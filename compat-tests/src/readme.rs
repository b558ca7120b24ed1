//! Parts of a page that are made from what was run: `<!-- NAME -->` to `<!-- end of NAME -->`. Knows no part.

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::count::Count;

/// Whether the page says what it should; with `UPDATE_GOLDEN` set it is made to.
pub(crate) fn check(page: &Path, part: &str, wanted: &str) -> Result<Count, Box<dyn Error>> {
    let text = fs::read_to_string(page)?;
    let missing = || format!("{}: it has no part {part:?}", page.display());
    let (before, rest) = text.split_once(&format!("<!-- {part} -->\n")).ok_or_else(missing)?;
    let (found, after) = rest.split_once(&format!("<!-- end of {part} -->")).ok_or_else(missing)?;
    if found == wanted {
        return Ok(Count { passed: 1, ..Count::default() });
    }
    if accepting() {
        fs::write(page, format!("{before}<!-- {part} -->\n{wanted}<!-- end of {part} -->{after}"))?;
        println!("{}: the part {part:?} is written anew; read the diff", page.display());
        return Ok(Count { passed: 1, ..Count::default() });
    }
    println!("FAIL {}: the part {part:?} is not what was run; UPDATE_GOLDEN=1 writes it anew", page.display());
    Ok(Count { failed: 1, ..Count::default() })
}

/// Whether what was run is taken for right.
#[allow(clippy::disallowed_methods, reason = "as for the golden tests")]
pub(crate) fn accepting() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}
