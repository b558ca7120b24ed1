//! How many checks passed, failed and were skipped, and the line that says so; knows nothing of what was checked.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Reads what `Display` writes; the last part may be missing.
impl FromStr for Count {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let mut parts = line.trim().split(", ");
        let mut next = |word| match parts.next().map(|part| part.split_once(' ')) {
            Some(Some((number, found))) if found == word => number.parse().map_err(drop),
            None if word == "skipped" => Ok(0),
            _ => Err(()),
        };
        let count = Self { passed: next("passed")?, failed: next("failed")?, skipped: next("skipped")? };
        if parts.next().is_none() { Ok(count) } else { Err(()) }
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, count| Self {
            passed: sum.passed + count.passed,
            failed: sum.failed + count.failed,
            skipped: sum.skipped + count.skipped,
        })
    }
}
