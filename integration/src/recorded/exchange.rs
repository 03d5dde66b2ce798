//! Requests as they were sent, byte for byte, and their answers. A client of ours would make them better than they are.

use std::io::{Error, ErrorKind, Read};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::step::Request;
use crate::wait::PATIENCE;

/// Largest answer that is read.
const MAX_ANSWER: usize = 64 << 20;

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// 0 if the connection was closed without an answer.
    pub status: u16,
    /// Names as they were written.
    pub headers: Vec<(String, String)>,
    /// Decompressed and without chunks.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The bytes of a request to `node`.
pub fn render(request: &Request, node: SocketAddr) -> Vec<u8> {
    if let Some(raw) = &request.raw {
        return raw.clone().into_bytes();
    }
    let mut head = format!("{} {} HTTP/1.1\r\nHost: {node}\r\n", request.method, request.path);
    let sent = request.headers.iter().filter(|header| !header.trim_end().ends_with(':'));
    head.extend(sent.map(|header| format!("{header}\r\n")));
    if !request.headers.iter().any(|header| header.starts_with("User-Agent:")) {
        // The recording was made with it, and `/help` tells programs from browsers.
        head.push_str("User-Agent: curl/8.0\r\n");
    }
    if !request.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&request.method.as_str()) {
        head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&request.body);
    bytes
}

/// A connection with a request on it.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    /// Bytes that have come and were not looked at.
    pending: Vec<u8>,
    chunked: bool,
}

impl Connection {
    /// Sends a request.
    pub async fn open(node: SocketAddr, bytes: &[u8]) -> Result<Self, Error> {
        let mut socket = TcpStream::connect(node).await?;
        socket.set_nodelay(true)?;
        socket.write_all(bytes).await?;
        Ok(Self { socket, pending: Vec::new(), chunked: false })
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) -> Result<(), Error> {
        self.socket.shutdown().await
    }

    /// More bytes; an error at the end.
    async fn more(&mut self) -> Result<(), Error> {
        let mut buffer = vec![0; 64 << 10];
        let read = tokio::time::timeout(PATIENCE, self.socket.read(&mut buffer))
            .await
            .map_err(|_| Error::new(ErrorKind::TimedOut, format!("nothing came within {PATIENCE:?}")))??;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if self.pending.len() + read > MAX_ANSWER {
            return Err(Error::other("the answer has no end"));
        }
        self.pending.extend_from_slice(&buffer[..read]);
        Ok(())
    }

    /// A line without its end.
    async fn line(&mut self) -> Result<String, Error> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Error> {
        while self.pending.len() < length {
            self.more().await?;
        }
        Ok(self.pending.drain(..length).collect())
    }

    /// Status and headers of the next answer.
    pub async fn head(&mut self) -> Result<Answer, Error> {
        loop {
            let mut answer =
                Answer { status: super::step::status_of(&self.line().await?), ..Answer::default() };
            loop {
                let line = self.line().await?;
                let Some((name, value)) = line.split_once(':') else { break };
                answer.headers.push((name.to_owned(), value.trim().to_owned()));
            }
            let interim = (100..200).contains(&answer.status);
            if !interim {
                self.chunked = answer.header("Transfer-Encoding") == Some("chunked");
                return Ok(answer);
            }
        }
    }

    /// The next chunk of a chunked answer; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let line = self.line().await?;
        let length = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)
            .map_err(|_| Error::other(format!("'{line}' is no length of a chunk")))?;
        let chunk = self.exactly(length).await?;
        self.line().await?;
        Ok((length > 0).then_some(chunk))
    }

    /// The whole next answer to a request of this method; of a subscription, which has no end, only its head.
    pub async fn answer(&mut self, method: &str) -> Result<Answer, Error> {
        let mut answer = self.head().await?;
        if method == "HEAD" || answer.header("Mesos-Stream-Id").is_some() {
            return Ok(answer);
        }
        if self.chunked {
            while let Some(chunk) = self.chunk().await? {
                answer.body.extend_from_slice(&chunk);
            }
        } else if let Some(length) = answer.header("Content-Length") {
            let length = length.parse().map_err(|_| Error::other(format!("'{length}' is no length")))?;
            answer.body = self.exactly(length).await?;
        }
        if answer.header("Content-Encoding") == Some("gzip") {
            answer.body = gunzip(&answer.body)?;
        }
        Ok(answer)
    }
}

/// What was compressed.
pub fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain)?;
    Ok(plain)
}

/// Sends a request, and reads `count` answers. One that upstream does not answer (`silent`) is the last thing
/// that is sent: who waits for more of it may close the connection.
pub async fn ask(
    request: &Request,
    node: SocketAddr,
    count: usize,
    silent: bool,
) -> Result<Vec<Answer>, Error> {
    let mut connection = Connection::open(node, &render(request, node)).await?;
    if silent {
        connection.finish().await?;
    }
    let mut answers = Vec::new();
    for _ in 0..count {
        match connection.answer(&request.method).await {
            Err(error) if [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&error.kind()) => {
                answers.push(Answer::default());
                break;
            }
            answer => answers.push(answer?),
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::super::step::Node;
    use super::*;

    #[test]
    fn headers_without_a_value_are_not_sent() {
        let request = Request {
            node: Node::Master,
            method: "POST".into(),
            path: "/x".into(),
            headers: vec!["Content-Type: ".into(), "Accept: a/b".into()],
            body: b"{}".to_vec(),
            raw: None,
        };
        let node: SocketAddr = "127.0.0.1:5".parse().unwrap();
        let bytes = String::from_utf8(render(&request, node)).unwrap();
        assert_eq!(
            bytes,
            "POST /x HTTP/1.1\r\nHost: 127.0.0.1:5\r\nAccept: a/b\r\nUser-Agent: curl/8.0\r\nContent-Length: 2\r\n\r\n{}"
        );
    }
}
