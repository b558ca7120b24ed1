//! Cuts HCL into words, texts, numbers and signs. Knows nothing of how they belong together.

use std::fmt;
use std::iter::Peekable;
use std::str::CharIndices;

/// A piece of the text that means something.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    End,
    Word(String),
    Text(String),
    Heredoc(String),
    Number(String),
    Bool(bool),
    Brace,
    BraceEnd,
    Bracket,
    BracketEnd,
    Comma,
    Assign,
    Other(&'static str),
}

impl Token {
    /// The word that error texts have for it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::End => "EOF",
            Self::Word(_) => "IDENT",
            Self::Text(_) => "STRING",
            Self::Heredoc(_) => "HEREDOC",
            Self::Number(_) => "NUMBER",
            Self::Bool(_) => "BOOL",
            Self::Brace => "LBRACE",
            Self::BraceEnd => "RBRACE",
            Self::Bracket => "LBRACK",
            Self::BracketEnd => "RBRACK",
            Self::Comma => "COMMA",
            Self::Assign => "ASSIGN",
            Self::Other(name) => name,
        }
    }
}

/// Where something stands, counted from 1; columns in characters.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) line: usize,
    column: usize,
}

impl Place {
    pub(super) fn error(self, text: impl fmt::Display) -> String {
        format!("At {self}: {text}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

pub(super) struct Scanner<'t> {
    text: &'t str,
    chars: Peekable<CharIndices<'t>>,
    /// Of the character that was read last; the end counts as one each time it is met.
    at: Place,
    was_newline: bool,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, chars: text.char_indices().peekable(), at: Place { line: 1, column: 0 }, was_newline: false }
    }

    /// The next token and where it begins.
    pub(super) fn next(&mut self) -> Result<(Token, Place), String> {
        loop {
            let from = self.offset();
            let char = self.bump();
            let at = self.at;
            let token = match char {
                None => Token::End,
                Some(' ' | '\t' | '\n' | '\r') => continue,
                Some('#') => {
                    self.skip_line();
                    continue;
                }
                Some('/') => {
                    self.comment()?;
                    continue;
                }
                Some('"') => Token::Text(self.quoted()?),
                Some('<') => Token::Heredoc(self.heredoc()?),
                Some('{') => Token::Brace,
                Some('}') => Token::BraceEnd,
                Some('[') => Token::Bracket,
                Some(']') => Token::BracketEnd,
                Some(',') => Token::Comma,
                Some('=') => Token::Assign,
                Some('+') => Token::Other("ADD"),
                Some('.') => Token::Other("PERIOD"),
                Some('-') if !self.peek().is_some_and(|next| next.is_ascii_digit()) => Token::Other("SUB"),
                Some('0'..='9' | '-') => self.number(from)?,
                Some(char) if is_letter(char) => self.word(from),
                Some(_) => return Err(at.error("illegal char")),
            };
            return Ok((token, at));
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, char)| *char)
    }

    fn offset(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(offset, _)| *offset)
    }

    fn since(&mut self, from: usize) -> &'t str {
        let to = self.offset();
        self.text.get(from..to).unwrap_or_default()
    }

    fn bump(&mut self) -> Option<char> {
        if self.was_newline {
            self.at = Place { line: self.at.line + 1, column: 0 };
        }
        let char = self.chars.next().map(|(_, char)| char);
        self.at.column += 1;
        self.was_newline = char == Some('\n');
        char
    }

    fn bump_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    fn skip_line(&mut self) {
        self.bump_while(|char| char != '\n');
    }

    fn comment(&mut self) -> Result<(), String> {
        match self.bump() {
            Some('/') => self.skip_line(),
            Some('*') => loop {
                match self.bump() {
                    None => return Err(self.at.error("comment not terminated")),
                    Some('*') if self.peek() == Some('/') => {
                        self.bump();
                        break;
                    }
                    Some(_) => {}
                }
            },
            _ => return Err(self.at.error("expected '/' for comment")),
        }
        Ok(())
    }

    fn word(&mut self, from: usize) -> Token {
        self.bump_while(|char| is_letter(char) || char.is_numeric() || matches!(char, '-' | '.'));
        if self.peek().is_none() {
            self.bump();
        }
        match self.since(from) {
            "true" => Token::Bool(true),
            "false" => Token::Bool(false),
            word => Token::Word(word.to_owned()),
        }
    }

    /// Decimal, with a fraction and an exponent if need be; hexadecimal behind `0x`, octal behind `0`.
    fn number(&mut self, from: usize) -> Result<Token, String> {
        self.bump_while(|char| char.is_ascii_digit());
        let digits = self.since(from).trim_start_matches('-');
        if digits == "0" && matches!(self.peek(), Some('x' | 'X')) {
            self.bump();
            if !self.peek().is_some_and(|char| char.is_ascii_hexdigit()) {
                return Err(self.at.error("illegal hexadecimal number"));
            }
            self.bump_while(|char| char.is_ascii_hexdigit());
            return Ok(Token::Number(self.since(from).to_owned()));
        }
        let is_float = matches!(self.peek(), Some('.' | 'e' | 'E'));
        if !is_float && digits.starts_with('0') && digits.contains(['8', '9']) {
            return Err(self.at.error("illegal octal number"));
        }
        if self.peek() == Some('.') {
            self.bump();
            self.bump_while(|char| char.is_ascii_digit());
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.bump();
            if matches!(self.peek(), Some('+' | '-')) {
                self.bump();
            }
            self.bump_while(|char| char.is_ascii_digit());
        }
        Ok(Token::Number(self.since(from).to_owned()))
    }

    /// The text up to the closing quote. Inside `${…}` everything stands for itself, quotes and line ends too.
    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut braces = 0_usize;
        loop {
            let char = match self.bump() {
                None => return Err(self.at.error("literal not terminated")),
                Some('\n') if braces == 0 => return Err(self.at.error("literal not terminated")),
                Some('"') if braces == 0 => return Ok(text),
                Some('\0') => return Err(self.at.error("unexpected null character (0x00)")),
                Some('\\') if braces == 0 => self.escape()?,
                Some('$') if braces == 0 && self.peek() == Some('{') => {
                    self.bump();
                    braces = 1;
                    text.push('$');
                    '{'
                }
                Some('\\') => {
                    text.push('\\');
                    self.bump().ok_or_else(|| self.at.error("literal not terminated"))?
                }
                Some('{') => {
                    braces += usize::from(braces > 0);
                    '{'
                }
                Some('}') => {
                    braces = braces.saturating_sub(1);
                    '}'
                }
                Some(char) => char,
            };
            text.push(char);
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        match self.bump() {
            Some('a') => Ok('\x07'),
            Some('b') => Ok('\x08'),
            Some('f') => Ok('\x0c'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('v') => Ok('\x0b'),
            Some(char @ ('\\' | '"')) => Ok(char),
            Some(digit @ '0'..='7') => self.code(digit.to_digit(8), 8, 2, ASCII_MAX),
            Some('x') => self.code(None, 16, 2, ASCII_MAX),
            Some('u') => self.code(None, 16, 4, u32::MAX),
            Some('U') => self.code(None, 16, 8, u32::MAX),
            _ => Err(self.at.error("illegal char escape")),
        }
    }

    /// A character by its code, of which `digits` are still to come. Bytes that are no characters are refused.
    fn code(&mut self, first: Option<u32>, base: u32, digits: usize, max: u32) -> Result<char, String> {
        let mut code = first.unwrap_or(0);
        for _ in 0..digits {
            let digit = self.bump().and_then(|char| char.to_digit(base));
            let next = digit.and_then(|digit| code.checked_mul(base)?.checked_add(digit));
            code = next.ok_or_else(|| self.at.error("illegal char escape"))?;
        }
        let char = char::from_u32(code).filter(|_| code <= max);
        char.ok_or_else(|| self.at.error("illegal char escape"))
    }

    /// The lines between `<<MARK` and `MARK`. Behind `<<-` they lose the blanks that the last line begins with.
    fn heredoc(&mut self) -> Result<String, String> {
        if self.bump() != Some('<') {
            return Err(self.at.error("heredoc expected second '<', didn't see it"));
        }
        let indented = self.peek() == Some('-');
        if indented {
            self.bump();
        }
        let from = self.offset();
        self.bump_while(|char| is_letter(char) || char.is_numeric());
        let mark = self.since(from);
        match self.bump() {
            None => return Err(self.at.error("heredoc not terminated")),
            Some('\n') if mark.is_empty() => return Err(self.at.error("zero-length heredoc anchor")),
            Some('\n') => {}
            Some(_) => return Err(self.at.error("invalid characters in heredoc anchor")),
        }
        let mut lines = Vec::new();
        loop {
            let from = self.offset();
            self.skip_line();
            let line = self.since(from);
            if self.bump().is_none() {
                return Err(self.at.error("heredoc not terminated"));
            }
            if line.trim() == mark {
                let blanks = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
                let cut =
                    if indented && lines.iter().all(|line: &&str| line.starts_with(blanks)) { blanks } else { "" };
                return Ok(lines.iter().flat_map(|line| [line.strip_prefix(cut).unwrap_or(line), "\n"]).collect());
            }
            lines.push(line);
        }
    }
}

fn is_letter(char: char) -> bool {
    char == '_' || char.is_alphabetic()
}

const ASCII_MAX: u32 = 0x7f;
