//! As much of HTTP/1.1 as it takes to see where a message ends, and to make an error of S3.

use std::io::{BufRead, Read};

use anyhow::{Context, Result, bail};

/// A request, as it came.
pub struct Request {
    pub method: String,
    pub target: String,
    pub bytes: Vec<u8>,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let mut headers = text.lines().skip(1).take_while(|line| !line.is_empty());
        headers.find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then(|| value.trim().to_string())
        })
    }
}

/// A response, as it came.
pub struct Response {
    pub bytes: Vec<u8>,
    /// Whether the client may send another request over its connection.
    pub keep_alive: bool,
}

/// The next request of a connection; none when the client has closed it.
pub fn read_request(reader: &mut impl BufRead) -> Result<Option<Request>> {
    let Some(mut head) = Head::read(reader)? else {
        return Ok(None);
    };
    let mut words = head.first_line.split_whitespace().map(str::to_string);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        bail!("not a request: {:?}", head.first_line)
    };
    match head.framing()? {
        Framing::Length(length) => copy(reader, length, &mut head.bytes)?,
        Framing::Chunked => copy_chunks(reader, &mut head.bytes)?,
        Framing::Unstated => {}
    }
    Ok(Some(Request {
        method,
        target,
        bytes: head.bytes,
    }))
}

/// The final response to a request.
pub fn read_response(reader: &mut impl BufRead, request: &Request) -> Result<Response> {
    loop {
        let mut head = Head::read(reader)?.context("the server closed the connection")?;
        let status: u16 = head
            .first_line
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .context("no status")?;
        if status < 200 {
            continue;
        }
        let mut keep_alive = !head
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if request.method != "HEAD" && status != 204 && status != 304 {
            match head.framing()? {
                Framing::Length(length) => copy(reader, length, &mut head.bytes)?,
                Framing::Chunked => copy_chunks(reader, &mut head.bytes)?,
                Framing::Unstated => {
                    reader.read_to_end(&mut head.bytes)?;
                    keep_alive = false;
                }
            }
        }
        return Ok(Response {
            bytes: head.bytes,
            keep_alive,
        });
    }
}

/// Where an error that is about regions says that the bucket is.
pub const BUCKET_REGION: &str = "eu-south-2";

/// A refusal as S3 words it.
pub fn error_response(request: &Request, status: u16, code: &str) -> Response {
    // S3 names the bucket's region in a header of a redirect, and in the body about a signature for another one.
    let (header, element) = match code {
        "PermanentRedirect" => (format!("x-amz-bucket-region: {BUCKET_REGION}\r\n"), String::new()),
        "AuthorizationHeaderMalformed" => (String::new(), format!("<Region>{BUCKET_REGION}</Region>")),
        _ => (String::new(), String::new()),
    };
    let mut body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>made by the fault proxy</Message>{element}</Error>"
    );
    if request.method == "HEAD" {
        body.clear();
    }
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} {code}\r\n{header}content-type: application/xml\r\ncontent-length: {length}\r\n\r\n"
    );
    Response {
        bytes: (head + &body).into_bytes(),
        keep_alive: true,
    }
}

enum Framing {
    Length(u64),
    Chunked,
    Unstated,
}

/// First line and headers.
struct Head {
    first_line: String,
    headers: Vec<(String, String)>,
    bytes: Vec<u8>,
}

impl Head {
    fn read(reader: &mut impl BufRead) -> Result<Option<Head>> {
        let mut bytes = Vec::new();
        let first_line = read_line(reader, &mut bytes)?;
        if first_line.is_empty() {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let line = read_line(reader, &mut bytes)?;
            if line.is_empty() {
                return Ok(Some(Head {
                    first_line,
                    headers,
                    bytes,
                }));
            }
            let (name, value) = line
                .split_once(':')
                .with_context(|| format!("not a header: {line:?}"))?;
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_string()));
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    fn framing(&self) -> Result<Framing> {
        if self
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            return Ok(Framing::Chunked);
        }
        match self.header("content-length") {
            Some(length) => Ok(Framing::Length(
                length.parse().context("content-length is no number")?,
            )),
            None => Ok(Framing::Unstated),
        }
    }
}

/// Reads one line, keeps its bytes, and returns it without its end; empty at the end of the stream.
fn read_line(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> Result<String> {
    let start = bytes.len();
    reader.read_until(b'\n', bytes)?;
    Ok(String::from_utf8_lossy(&bytes[start..]).trim_end().to_string())
}

fn copy(reader: &mut impl BufRead, length: u64, bytes: &mut Vec<u8>) -> Result<()> {
    let copied = reader.take(length).read_to_end(bytes)? as u64;
    anyhow::ensure!(
        copied == length,
        "the message ends after {copied} of {length} bytes"
    );
    Ok(())
}

/// Chunks, each after a line with its length, then trailers up to an empty line.
fn copy_chunks(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> Result<()> {
    loop {
        let line = read_line(reader, bytes)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(digits, 16).context("not the length of a chunk")?;
        if length == 0 {
            while !read_line(reader, bytes)?.is_empty() {}
            return Ok(());
        }
        copy(reader, length + 2, bytes)?;
    }
}
