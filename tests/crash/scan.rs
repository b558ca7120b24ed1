//! Looks for secrets in files, in the forms in which a careless writer would leave them; knows no file format.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Secrets, each with the name that a finding calls it by.
#[derive(Default)]
pub(crate) struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    pub(crate) fn add(&mut self, what: &'static str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        assert!(bytes.len() >= LEN_MIN, "{what} is so short that chance would write it");
        self.0.push((what, bytes));
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Where a secret stands below `dir`, once for each file and secret.
    pub(crate) fn scan(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut forms: HashMap<[u8; LEN_MIN], Vec<(Vec<u8>, &str)>> = HashMap::new();
        for (what, bytes) in &self.0 {
            for form in forms_of(bytes) {
                let start = *form.first_chunk().expect("every form is longer than the secret's least length");
                forms.entry(start).or_default().push((form, what));
            }
        }
        let mut found = Vec::new();
        each_file(dir, &mut |path| {
            let bytes = fs::read(path)?;
            let here = bytes.array_windows::<LEN_MIN>().enumerate().filter_map(|(at, start)| {
                let hit = forms.get(start)?.iter().find(|(form, _)| bytes[at..].starts_with(form));
                hit.map(|(_, what)| format!("{what} in {}", path.display()))
            });
            found.extend(here);
            Ok(())
        })?;
        found.sort();
        found.dedup();
        Ok(found)
    }
}

/// A secret as it is, in hexadecimal of both cases, and in base64 wherever in a longer text it begins.
fn forms_of(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex = secret.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let base64 = (0..3).map(|before: usize| {
        let text = BASE64_STANDARD.encode([&vec![0; before], secret].concat());
        // Only what no neighbour has a bit in.
        text.as_bytes()[(before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6].to_vec()
    });
    let upper = hex.to_uppercase();
    let mut forms = vec![secret.to_vec(), hex.into_bytes(), upper.into_bytes()];
    forms.extend(base64);
    forms
}

fn each_file(dir: &Path, act: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { each_file(&path, act)? } else { act(&path)? }
    }
    Ok(())
}

/// Bytes by which a form is looked up; a secret has at least as many.
const LEN_MIN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn every_form_is_found_wherever_it_stands() {
        let scratch = Scratch::new("scan");
        let secret = b"0123456789abcdef-\xff\x00".as_slice();
        let mut secrets = Secrets::default();
        secrets.add("the secret", secret);
        let check = |bytes: &[u8], expected: usize| {
            fs::create_dir_all(scratch.path().join("a/b")).unwrap();
            fs::write(scratch.path().join("a/b/file"), bytes).unwrap();
            let found = secrets.scan(scratch.path()).unwrap();
            assert_eq!(found.len(), expected, "{:?}: {found:?}", String::from_utf8_lossy(bytes));
        };
        check(b"", 0);
        check(&secret[1..], 0);
        check(&[b"before", secret, b"after"].concat(), 1);
        check(&[secret, secret].concat(), 1);
        for form in forms_of(secret) {
            check(&[b"before", &*form, b"after"].concat(), 1);
            check(&form[..form.len() - 1], 0);
        }
        for before in 0..7 {
            let text = [&vec![b'x'; before], secret, b"after"].concat();
            check(BASE64_STANDARD.encode(text).as_bytes(), 1);
        }
    }
}
