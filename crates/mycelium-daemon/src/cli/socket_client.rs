//! HTTP over the Unix socket of a daemon.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::health::MAX_RESPONSE_BYTES;

/// One connection, which is opened again when it has ended.
pub(super) struct SocketClient {
    path: PathBuf,
    timeout: Duration,
    stream: Option<BufReader<UnixStream>>,
}

impl SocketClient {
    pub fn new(path: &Path, timeout: Duration) -> Self {
        Self { path: path.to_owned(), timeout, stream: None }
    }

    pub fn path(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    /// Status and body of the response to a request: method and path, a key, the header fields of the content, and the
    /// content.
    pub fn request(
        &mut self,
        what: &str,
        key: Option<&str>,
        fields: &str,
        content: &str,
    ) -> io::Result<(u16, String)> {
        let key = key.map(|key| format!("X-API-Key: {key}\r\n")).unwrap_or_default();
        let request = format!("{what} HTTP/1.1\r\nHost: localhost\r\n{key}{fields}\r\n{content}");
        let response = self.exchange(&request);
        if response.is_err() {
            self.stream = None;
        }
        response
    }

    fn exchange(&mut self, request: &str) -> io::Result<(u16, String)> {
        let reader = match &mut self.stream {
            Some(reader) => reader,
            closed => {
                let socket = UnixStream::connect(&self.path)?;
                socket.set_read_timeout(Some(self.timeout))?;
                socket.set_write_timeout(Some(self.timeout))?;
                closed.insert(BufReader::new(socket))
            }
        };
        reader.get_mut().write_all(request.as_bytes())?;
        let (status, length, closes) = read_head(reader)?;
        let mut text = vec![0; length];
        reader.read_exact(&mut text)?;
        if closes {
            self.stream = None;
        }
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }
}

/// Status, length of the body, and whether the connection ends after it.
fn read_head(reader: &mut impl BufRead) -> io::Result<(u16, usize, bool)> {
    let invalid = || io::Error::new(ErrorKind::InvalidData, "the response is not HTTP");
    let mut head = reader.take(MAX_RESPONSE_BYTES);
    let mut line = String::new();
    head.read_line(&mut line)?;
    if line.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let status =
        line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).ok_or_else(invalid)?;
    let (mut length, mut closes) = (None, false);
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(invalid)?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok().filter(|n| *n as u64 <= MAX_RESPONSE_BYTES);
        }
        closes |= name.eq_ignore_ascii_case("connection") && value.trim().eq_ignore_ascii_case("close");
    }
    Ok((status, length.ok_or_else(invalid)?, closes))
}
