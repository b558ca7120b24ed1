//! The least HTTP/1.1 that a client of one server needs, over one connection that stays; knows no endpoint.

use std::io::{self, BufRead, BufReader, Error, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

pub(crate) struct Request {
    method: &'static str,
    path: String,
    token: Option<String>,
    body: Option<Value>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Null` where there is none.
    pub(crate) body: Value,
}

/// Opened by the first request.
pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// `path` is what comes after `/v1/`.
pub(crate) fn read(path: impl Into<String>) -> Request {
    Request { method: "GET", path: path.into(), token: None, body: None }
}

pub(crate) fn write(path: impl Into<String>, body: Value) -> Request {
    Request { method: "POST", path: path.into(), token: None, body: Some(body) }
}

pub(crate) fn patch(path: impl Into<String>, body: Value) -> Request {
    Request { method: "PATCH", path: path.into(), token: None, body: Some(body) }
}

pub(crate) fn delete(path: impl Into<String>) -> Request {
    Request { method: "DELETE", path: path.into(), token: None, body: None }
}

impl Request {
    /// Sends another token than the client's usual one.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// What a complaint calls it.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn bytes(&self, token: &str) -> Vec<u8> {
        let Self { method, path, body, .. } = self;
        let token = self.token.as_deref().unwrap_or(token);
        let body = body.as_ref().map(Value::to_string).unwrap_or_default();
        let media_type = if *method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let length = body.len();
        format!(
            "{method} /v1/{path} HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: {token}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn data(&self) -> &Value {
        &self.body["data"]
    }

    fn from(reader: &mut impl BufRead) -> io::Result<Self> {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(Error::from(io::ErrorKind::UnexpectedEof));
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let odd = || Error::other(format!("not an answer: {head:?}"));
        let status = head.first().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(odd)?;
        let header = |line: &String| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        };
        let length = match head.iter().find_map(header) {
            Some(length) => length,
            None if status == 204 => 0,
            None => return Err(odd()),
        };
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
        Ok(Self { status, body })
    }
}

impl Connection {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends a request and waits for the whole answer.
    pub(crate) fn exchange(&mut self, request: &Request, token: &str) -> io::Result<Answer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(open(self.address)?),
        };
        stream.get_mut().write_all(&request.bytes(token))?;
        Answer::from(stream)
    }
}

fn open(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// A server that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers() {
        fn check(text: &str, expected: Option<&(u16, Value)>) {
            let answer = Answer::from(&mut text.as_bytes()).ok().map(|answer| (answer.status, answer.body));
            assert_eq!(answer.as_ref(), expected, "{text:?}");
        }
        check("HTTP/1.1 204 No Content\r\n\r\n", Some(&(204, Value::Null)));
        check("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}", Some(&(200, json!({"a": 1}))));
        check("HTTP/1.1 403 Forbidden\r\nContent-Length:2\r\n\r\n{}rest", Some(&(403, json!({}))));
        check("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\"", None);
        check("HTTP/1.1 200 OK\r\nContent-Le", None);
        check("HTTP/1.1 200 OK\r\n\r\n{}", None);
        check("", None);
    }

    #[test]
    fn requests() {
        let text = |request: Request| String::from_utf8(request.bytes("t")).unwrap();
        assert!(text(write("a/b", json!({"c": 1}))).starts_with("POST /v1/a/b HTTP/1.1\r\n"));
        assert!(
            text(write("a/b", json!({"c": 1})))
                .ends_with("Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"c\":1}")
        );
        let other = text(read("a").with_token("other"));
        assert!(other.contains("X-Vault-Token: other\r\n") && other.ends_with("Content-Length: 0\r\n\r\n"));
        assert!(text(patch("a", json!({}))).contains("Content-Type: application/merge-patch+json\r\n"));
        assert_eq!(delete("a").title(), "DELETE a");
    }
}
