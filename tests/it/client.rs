//! The least HTTP/1.1 that tests need: requests that are well formed unless a test writes bytes of its own, and answers.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::server::ROOT;

/// A request to be sent, with the root token unless it says otherwise.
#[derive(Clone)]
pub(crate) struct Request {
    method: String,
    target: String,
    token: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// A request for a path below `/v1/`, which may carry a query.
pub(crate) fn request(method: &str, path: &str) -> Request {
    let (target, token) = (format!("/v1/{path}"), Some(ROOT.to_owned()));
    Request { method: method.to_owned(), target, token, headers: Vec::new(), body: None }
}

impl Request {
    /// The request line's target, in place of a path below `/v1/`.
    pub(crate) fn target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    pub(crate) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) fn without_token(mut self) -> Self {
        self.token = None;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// What a complaint calls it.
    pub(crate) fn title(&self) -> String {
        let body =
            self.body.as_ref().map(|body| String::from_utf8_lossy(body.get(..1000).unwrap_or(body)).into_owned());
        format!("{} {} {}", self.method, self.target, body.unwrap_or_default())
    }

    /// The request as it is sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: coffer\r\n", self.method, self.target);
        let token = self.token.as_ref().map(|token| ("X-Vault-Token".to_owned(), token.clone()));
        let length = self.body.as_ref().map(|body| ("Content-Length".to_owned(), body.len().to_string()));
        for (name, value) in token.iter().chain(&self.headers).chain(&length) {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text += "\r\n";
        [text.as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }
}

/// One connection, with TLS or without.
pub(crate) struct Connection<S = TcpStream>(BufReader<S>);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        // A server that hangs fails the test.
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Says that nothing more is sent.
    pub(crate) fn finish(&mut self) {
        let _ = self.0.get_mut().shutdown(Shutdown::Write);
    }

    /// Whether something comes within a moment.
    pub(crate) fn look(&mut self) -> Result<usize, ErrorKind> {
        self.0.get_ref().set_read_timeout(Some(MOMENT)).unwrap();
        let seen = self.0.get_ref().peek(&mut [0]).map_err(|error| error.kind());
        self.0.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        seen
    }
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    /// Sends a request and takes its answer, `None` if the server closes the connection instead.
    pub(crate) fn send(&mut self, request: &Request) -> Option<Answer> {
        self.write(&request.bytes());
        self.answer_to(&request.method)
    }

    /// Sends bytes as they are. A server that does not want all of them may have closed the connection.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.get_mut().write_all(bytes);
    }

    /// Takes the answer to a request that is not HEAD.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET")
    }

    fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let line = self.line()?;
        let status: u16 = line.strip_prefix("HTTP/1.1 ").unwrap().get(..3).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        while let Some((name, value)) = self.line()?.split_once(": ") {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if method != "HEAD" && !matches!(status, 100..=199 | 204 | 304) {
            answer.body = self.body(&answer)?;
        }
        Some(answer)
    }

    fn body(&mut self, answer: &Answer) -> Option<Vec<u8>> {
        let length = answer.header("content-length").map(|length| length.parse().unwrap());
        let mut body = vec![0; length.unwrap_or_default()];
        match length {
            Some(_) => self.0.read_exact(&mut body).ok()?,
            None => drop(self.0.read_to_end(&mut body).ok()?),
        }
        Some(body)
    }

    /// The next line, without its end; none at the end of the connection.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end_matches("\r\n").to_owned()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("the server does not answer: {error}"),
        }
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => rest,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => rest,
            Err(error) => panic!("the server does not close the connection: {error}"),
        }
    }

    /// So many bytes as they come.
    pub(crate) fn take(&mut self, bytes: usize) -> Vec<u8> {
        let mut taken = vec![0; bytes];
        self.0.read_exact(&mut taken).unwrap();
        taken
    }
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The member `data` of a success.
    #[track_caller]
    pub(crate) fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["data"].take()
    }

    /// A text member of the data of a success.
    #[track_caller]
    pub(crate) fn text_of(&self, member: &str) -> String {
        self.data()[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.text())).to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The one text of an error, empty if there is none.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        let errors = self.json()["errors"].take();
        let errors = errors.as_array().unwrap_or_else(|| panic!("no errors in {self:?}"));
        assert!(errors.len() < 2, "{errors:?}");
        errors.first().map_or("", |text| text.as_str().unwrap()).to_owned()
    }

    /// As `error`; empty for anything but an error with a text.
    pub(crate) fn error_if_any(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["errors"][0].as_str().unwrap_or_default().to_owned()
    }

    /// Checks that this is an error of this status with this text.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, text: &str) {
        assert_eq!((self.status, self.error().as_str()), (status, text));
    }

    /// As `refused`, with a text that is returned.
    #[track_caller]
    pub(crate) fn refused_with(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        self.error_if_any()
    }

    /// As `refused`, with the text in Vault's wrapping.
    #[track_caller]
    pub(crate) fn refused_wrapped(&self, status: u16, text: &str) {
        self.refused(status, &format!("1 error occurred:\n\t* {text}\n\n"));
    }

    /// Regression R55: what an answer holds was kept by caches on the way. Holds for every answer of every test.
    #[track_caller]
    pub(crate) fn check_headers(&self, title: &str) {
        let media_type = self.header("content-type").unwrap_or_default();
        let is_right = match title.split('?').next() {
            _ if self.status == 307 => media_type == "text/html; charset=utf-8",
            Some(metrics) if metrics.trim_end() == "GET /v1/sys/metrics" => {
                media_type.starts_with("text/plain") || media_type == "application/json"
            }
            Some(_) | None => media_type == "application/json",
        };
        assert!(is_right, "{media_type} is the type of the answer to {title}");
        for (name, value) in
            [("cache-control", "no-store"), ("strict-transport-security", "max-age=31536000; includeSubDomains")]
        {
            assert_eq!(self.header(name), Some(value), "{name} of the answer to {title}: {self:?}");
        }
    }
}

/// Standard base64.
pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(crate) fn from_b64(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap()
}

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const MOMENT: Duration = Duration::from_millis(200);
