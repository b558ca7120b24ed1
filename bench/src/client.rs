//! The least HTTP/1.1 that a client of one server needs: whole requests as bytes, and the heads of answers. It keeps no
//! connections and follows nothing; chunked answers are an error.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// A request with a JSON body, ready to be written to a socket. Both servers get the same bytes but for the path; the bare
/// one ignores the token.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    request_as(TOKEN, method, path, body)
}

/// As `request`, with another token than root's.
pub(crate) fn request_as(token: &str, method: &str, path: &str, body: &str) -> Vec<u8> {
    let bytes = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Vault-Token: {token}\r\nX-Vault-Request: true\r\n\
         Content-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends one request over a connection of its own and returns the body of the answer, which must be a success.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> Result<Value> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let (mut answer, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let read = stream.read(&mut piece)?;
        ensure!(read > 0, "the server closed the connection in the middle of an answer");
        answer.extend_from_slice(piece.get(..read).unwrap_or_default());
        let Some(head) = Head::parse(&answer)? else { continue };
        if answer.len() >= head.bytes + head.body_bytes {
            return head.body(&answer);
        }
    }
}

/// What the head of an answer says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) bytes: usize,
    pub(crate) body_bytes: usize,
}

impl Head {
    /// The head at the start of `answer`, or none while it is incomplete.
    pub(crate) fn parse(answer: &[u8]) -> Result<Option<Head>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(bytes) = parsed.parse(answer)? else { return Ok(None) };
        let status = parsed.code.context("an answer without a status")?;
        let length = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let body_bytes = match length {
            Some(header) => str::from_utf8(header.value)?.parse()?,
            None if status == 204 => 0,
            None => bail!("an answer with status {status} and no Content-Length"),
        };
        Ok(Some(Head { status, bytes, body_bytes }))
    }

    pub(crate) fn success(self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The JSON body of `answer`, whose head this is. An answer that is not a success is an error.
    pub(crate) fn body(self, answer: &[u8]) -> Result<Value> {
        let body = answer.get(self.bytes..self.bytes + self.body_bytes).context("a short answer")?;
        ensure!(self.success(), "status {}: {}", self.status, String::from_utf8_lossy(body));
        Ok(if body.is_empty() { Value::Null } else { serde_json::from_slice(body)? })
    }
}

pub(crate) const TOKEN: &str = "root";
const HEADERS_MAX: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        fn check(answer: &str, expected: Option<(u16, usize, usize)>) {
            let head = Head::parse(answer.as_bytes()).unwrap().map(|head| (head.status, head.bytes, head.body_bytes));
            assert_eq!(head, expected, "{answer:?}");
        }
        check("", None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", Some((200, 38, 2)));
        check("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{}", Some((200, 39, 12)));
        check("HTTP/1.1 204 No Content\r\n\r\n", Some((204, 27, 0)));
    }

    #[test]
    fn answers_that_cannot_be_measured_are_errors() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        let refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
        assert!(Head::parse(refused).unwrap().unwrap().body(refused).is_err());
    }
}
