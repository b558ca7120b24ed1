//! The yardstick: a bare hyper server that encrypts and decrypts JSON and has one JSON text to read, and nothing else. It
//! knows no tokens, paths below the three it has, audit, limits or policy; what Coffer costs beside it is what those cost.

use std::{borrow::Cow, cell::RefCell, convert::Infallible, net::SocketAddr, sync::LazyLock};

use aes_gcm::{AeadInOut, Aes256Gcm, Key, KeyInit, Nonce, Tag};
use anyhow::{Context, Result, anyhow};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;

/// Serves `POST /encrypt`, `POST /decrypt` and `GET /secret` until it is killed, on the multi-thread runtime with its default
/// number of workers.
#[tokio::main]
pub(crate) async fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let (status, body) = match (head.uri.path(), gather(body).await) {
        (_, Err(error)) => (StatusCode::BAD_REQUEST, error.to_string().into_bytes()),
        ("/encrypt", Ok(body)) => settle(encrypt(&body)),
        ("/decrypt", Ok(body)) => settle(decrypt(&body)),
        ("/secret", Ok(_)) => (StatusCode::OK, SECRET.into()),
        _ => (StatusCode::NOT_FOUND, Vec::new()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn settle(outcome: Result<Vec<u8>>) -> (StatusCode, Vec<u8>) {
    match outcome {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string().into_bytes()),
    }
}

/// The whole body. One that came in one piece, as small ones do, is not copied; a larger one is copied once.
async fn gather(mut body: Incoming) -> Result<Bytes, hyper::Error> {
    let Some(first) = next_data(&mut body).await? else { return Ok(Bytes::new()) };
    if body.is_end_stream() {
        return Ok(first);
    }
    let rest = usize::try_from(body.size_hint().lower()).unwrap_or_default();
    let mut whole = Vec::with_capacity(first.len() + rest);
    whole.extend_from_slice(&first);
    while let Some(data) = next_data(&mut body).await? {
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

async fn next_data(body: &mut Incoming) -> Result<Option<Bytes>, hyper::Error> {
    match body.frame().await.transpose()? {
        Some(frame) => Ok(frame.into_data().ok()),
        None => Ok(None),
    }
}

#[derive(Deserialize)]
struct Encrypt<'a> {
    #[serde(borrow)]
    plaintext: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Decrypt<'a> {
    #[serde(borrow)]
    ciphertext: Cow<'a, str>,
}

fn encrypt(body: &[u8]) -> Result<Vec<u8>> {
    let Encrypt { plaintext } = serde_json::from_slice(body)?;
    let nonce = fresh_nonce()?;
    let mut record = Vec::with_capacity(NONCE_BYTES + plaintext.len() + TAG_BYTES);
    record.extend_from_slice(&nonce);
    STANDARD.decode_vec(plaintext.as_bytes(), &mut record)?;
    let (_, text) = record.split_at_mut(NONCE_BYTES);
    let tag = CIPHER.encrypt_inout_detached(&Nonce::from(nonce), b"", text.into()).map_err(|error| anyhow!(error))?;
    record.extend_from_slice(&tag);
    reply(r#"{"data":{"ciphertext":"vault:v1:"#, &record)
}

fn decrypt(body: &[u8]) -> Result<Vec<u8>> {
    let Decrypt { ciphertext } = serde_json::from_slice(body)?;
    let text = ciphertext.strip_prefix("vault:v1:").context("no prefix")?;
    let mut record = STANDARD.decode(text)?;
    let (nonce, rest) = record.split_first_chunk_mut::<NONCE_BYTES>().context("no nonce")?;
    let (text, tag) = rest.split_last_chunk_mut::<TAG_BYTES>().context("no tag")?;
    let (nonce, tag) = (Nonce::from(*nonce), Tag::from(*tag));
    CIPHER.decrypt_inout_detached(&nonce, b"", (&mut *text).into(), &tag).map_err(|error| anyhow!(error))?;
    reply(r#"{"data":{"plaintext":""#, text)
}

/// Base64 needs no escapes, so it is written straight into the answer: quicker than any JSON serializer.
fn reply(opening: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    const CLOSING: &[u8] = br#""}}"#;
    let encoded = base64::encoded_len(bytes.len(), true).context("too long")?;
    let mut body = Vec::with_capacity(opening.len() + encoded + CLOSING.len());
    body.extend_from_slice(opening.as_bytes());
    body.resize(opening.len() + encoded, 0);
    let (_, space) = body.split_at_mut(opening.len());
    STANDARD.encode_slice(bytes, space)?;
    body.extend_from_slice(CLOSING);
    Ok(body)
}

/// The next nonce of this thread's buffer: the operating system is asked once for some 340 of them.
fn fresh_nonce() -> Result<[u8; NONCE_BYTES]> {
    thread_local!(static BUFFER: RefCell<Vec<[u8; NONCE_BYTES]>> = const { RefCell::new(Vec::new()) });
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.is_empty() {
            buffer.resize(NONCES_BUFFERED, [0; NONCE_BYTES]);
            getrandom::fill(buffer.as_flattened_mut())?;
        }
        buffer.pop().context("no nonce left")
    })
}

/// What Coffer answers to the read of a secret.
pub(crate) const SECRET: &str = concat!(
    r#"{"request_id":"0ad9b79f-d4f4-4c21-9af6-9d33abe9454c","lease_id":"","renewable":false,"lease_duration":0,"#,
    r#""data":{"data":{"host":"db.internal","password":"correct horse battery staple","port":5432,"username":"app"},"#,
    r#""metadata":{"created_time":"2026-11-22T05:46:31.682358076Z","custom_metadata":null,"deletion_time":"","#,
    r#""destroyed":false,"version":1}},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}"#,
);

static CIPHER: LazyLock<Aes256Gcm> = LazyLock::new(|| Aes256Gcm::new(&Key::<Aes256Gcm>::from([7; 32])));

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const NONCES_BUFFERED: usize = 4096 / NONCE_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_decrypts() {
        for plaintext in ["", "YQ==", "aGVsbG8gd29ybGQ="] {
            let answer = encrypt(format!(r#"{{"plaintext":"{plaintext}"}}"#).as_bytes()).unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            let answer = decrypt(answer["data"].to_string().as_bytes()).unwrap();
            assert_eq!(answer, format!(r#"{{"data":{{"plaintext":"{plaintext}"}}}}"#).as_bytes());
        }
    }

    #[test]
    fn a_changed_ciphertext_is_refused() {
        let answer = encrypt(br#"{"plaintext":"AAAA"}"#).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        let good = answer["data"]["ciphertext"].as_str().unwrap();
        let mut record = STANDARD.decode(good.strip_prefix("vault:v1:").unwrap()).unwrap();
        for place in 0..record.len() {
            record[place] ^= 1;
            let bad = format!(r#"{{"ciphertext":"vault:v1:{}"}}"#, STANDARD.encode(&record));
            assert!(decrypt(bad.as_bytes()).is_err(), "byte {place}");
            record[place] ^= 1;
        }
    }

    #[test]
    fn nonces_do_not_repeat() {
        let nonces: std::collections::HashSet<_> = (0..3 * NONCES_BUFFERED).map(|_| fresh_nonce().unwrap()).collect();
        assert_eq!(nonces.len(), 3 * NONCES_BUFFERED);
    }
}
