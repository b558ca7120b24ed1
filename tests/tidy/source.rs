//! The text of the project, file by file, with what is not code told apart; knows no law.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A file without its `#[cfg(test)]` items.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) lines: Vec<Line>,
    /// Files that a `#[cfg(test)] mod name;` declares, without their ending.
    test_files: Vec<String>,
}

pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) text: String,
    /// The text without comments and without the insides of strings.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if is_rust(path) { code_of(text) } else { text.to_owned() };
        let tests = test_items(&code);
        let is_test = |number: usize| tests.iter().any(|(first, last, _)| (*first..=*last).contains(&number));
        let lines = text.lines().zip(code.lines()).zip(1..);
        let lines = lines.map(|((text, code), number)| Line { number, text: text.to_owned(), code: code.to_owned() });
        let parent = path.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("/lib");
        let test_files = tests.iter().filter_map(|(_, _, name)| Some(format!("{parent}/{}", name.as_ref()?))).collect();
        Self { path: path.to_owned(), lines: lines.filter(|line| !is_test(line.number)).collect(), test_files }
    }

    /// The top module that the file belongs to.
    pub(crate) fn module(&self) -> &str {
        let path = self.path.trim_start_matches("src/");
        path.split_once('/').map_or(path.trim_end_matches(".rs"), |(module, _)| module)
    }

    /// How many modules the file is below the root of the crate.
    pub(crate) fn depth(&self) -> usize {
        self.path.trim_start_matches("src/").trim_end_matches("/mod.rs").matches('/').count() + 1
    }

    pub(crate) fn code(&self) -> String {
        self.lines.iter().flat_map(|line| [line.code.as_str(), "\n"]).collect()
    }

    /// The line number of a place in what `code` returned.
    pub(crate) fn line_at(&self, code: &str, at: usize) -> usize {
        self.lines.get(code[..at].matches('\n').count()).map_or(0, |line| line.number)
    }
}

/// First line, last line and, where it is a `mod name;`, the name of every `#[cfg(test)]` item.
fn test_items(code: &str) -> Vec<(usize, usize, Option<String>)> {
    let attribute = "#[cfg(test)]";
    let item = |at: usize| {
        let end = at + item_end(&code[at..]);
        let declared = code[at..end].split_once("mod ").filter(|_| code[end..].starts_with(';'));
        let number = |at: usize| code[..at].matches('\n').count() + 1;
        (number(at), number(end), declared.map(|(_, name)| name.trim().to_owned()))
    };
    code.match_indices(attribute).map(|(at, _)| item(at)).collect()
}

/// The same text with comments and literals as spaces.
fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut at) = (String::new(), 0);
    while at < chars.len() {
        let after_word = at > 0 && is_word(chars[at - 1]);
        match not_code(&chars[at..], after_word) {
            0 => code.push(chars[at]),
            length => code.extend(chars[at..at + length].iter().map(|&c| if c == '\n' { c } else { ' ' })),
        }
        at += not_code(&chars[at..], after_word).max(1);
    }
    code
}

/// The length of the comment or literal at the start of `rest`, or 0.
fn not_code(rest: &[char], after_word: bool) -> usize {
    let find = |from: usize, end: &[char]| {
        let found = rest[from..].windows(end.len()).position(|window| window == end);
        found.map_or(rest.len(), |at| from + at + end.len())
    };
    match rest {
        ['/', '/', ..] => find(0, &['\n']) - usize::from(rest.contains(&'\n')),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => {
            let mut at = 1;
            while at < rest.len() && rest[at] != '"' {
                at += if rest[at] == '\\' { 2 } else { 1 };
            }
            (at + 1).min(rest.len())
        }
        ['b', 'r', '"' | '#', ..] if !after_word => 1 + not_code(&rest[1..], false),
        ['r', '"' | '#', ..] if !after_word => {
            let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
            let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            if rest.get(1 + hashes) == Some(&'"') { find(hashes + 2, &end) } else { 0 }
        }
        ['\'', '\\', _, ..] => find(3, &['\'']),
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The place where the item at the start of `code` ends: its semicolon or the brace that closes its block.
pub(crate) fn item_end(code: &str) -> usize {
    let mut depth = 0_i32;
    let ends = |c: char| {
        depth += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
        depth == 0 && (c == ';' || c == '}')
    };
    code.find(ends).unwrap_or(code.len() - 1)
}

/// The place of the brace that closes the one at the start of `code`; 0 where `code` starts with none.
pub(crate) fn block_end(code: &str) -> usize {
    let mut depth = 0_i32;
    let closes = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    };
    code.find(closes).unwrap_or(code.len() - 1)
}

/// Where `word` stands in `code` with no letter or digit joined to it.
pub(crate) fn places<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let joined = |a: Option<char>, b: Option<char>| a.is_some_and(is_word) && b.is_some_and(is_word);
    let alone = move |at: usize| {
        let end = at + word.len();
        let path_start = !word.ends_with("::") || !code[..at].ends_with("::");
        let starts = !joined(code[..at].chars().next_back(), word.chars().next());
        path_start && starts && !joined(word.chars().next_back(), code[end..].chars().next())
    };
    code.match_indices(word).map(|(at, _)| at).filter(move |at| alone(*at))
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|kind| kind == "rs")
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every text file of the project that people write; test-only files of `src` are left out.
pub(crate) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    read_tree(root, root, &mut found);
    let tests: BTreeSet<String> = found.iter().flat_map(|source| source.test_files.clone()).collect();
    let is_test =
        |path: &str| tests.iter().any(|test| path.strip_prefix(test).is_some_and(|rest| rest.starts_with(['.', '/'])));
    found.retain(|source| !is_test(&source.path));
    found
}

fn read_tree(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    const KINDS: &[&str] = &["rs", "md", "toml", "lock", "py", "go", "sh", "txt", ""];
    const SKIPPED: &[&str] = &["target", "cases", "node_modules", ".git", ".venv", "__pycache__"];
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let kind = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if path.is_dir() {
            read_tree(root, &path, found);
        } else if path.is_file() && KINDS.contains(&kind.as_str()) {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.extend(fs::read_to_string(&path).ok().map(|text| Source::new(&name, &text)));
        }
    }
}

#[test]
fn comments_strings_and_tests_are_not_code() {
    #[track_caller]
    fn check(text: &str, code: &str) {
        let source = Source::new("src/x.rs", text);
        let kept: Vec<String> = source.code().split_whitespace().map(str::to_owned).collect();
        assert_eq!(kept.join(" "), code, "of\n{text}");
    }
    check("a(); // b();\nc();", "a(); c();");
    check("a(); /* b\n /* c */ d */ e();", "a(); e();");
    check(r##"f("a \" // b"); g(r#"h" "#);"##, "f( ); g( );");
    check("match c { '\"' => 1, '\\'' => 2, '{' => 3 }", "match c { => 1, => 2, => 3 }");
    check("fn f<'a>(x: &'a str) -> Cow<'a, str> {}", "fn f<'a>(x: &'a str) -> Cow<'a, str> {}");
    check("a();\n#[cfg(test)]\nmod tests {\n    fn b() { }\n}\nc();", "a(); c();");
    check("a();\n#[cfg(test)]\n#[allow(x)]\nmod kat;\nc();", "a(); c();");
}
