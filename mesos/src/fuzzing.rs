//! What fuzzers feed: a function for each parser of bytes from outside, which panics when a promise is broken.
//!
//! Compiled only for tests, which feed them with `harness::fuzz`, and for cargo-fuzz (`integration/fuzz`).

use std::collections::BTreeMap;
use std::mem::discriminant;

use bytes::Bytes;

use crate::recordio::{self, Decoder, Error};
use crate::settings::fuzzing::load_text;
use crate::settings::{Loaded, Outcome};

/// The largest record that is taken.
const LIMIT: usize = 64;

/// Records are the same however the stream is cut, within the limit, and are written as they were read.
///
/// The first byte says how the stream is cut.
pub fn recordio(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (whole, end) = records(stream, stream.len());
    let (pieces, ended) = records(stream, usize::from(cut));
    // What stands before an error in the same piece is lost with it.
    assert!(pieces.starts_with(&whole), "{whole:?} and {pieces:?}");
    // A wrong length is shown as far as it was there.
    assert_eq!(end.as_ref().map_err(discriminant), ended.as_ref().map_err(discriminant));
    assert!(pieces.iter().all(|record| record.len() <= LIMIT));
    if end.is_ok() {
        let written: Vec<u8> = pieces.iter().flat_map(|record| recordio::encode(record)).collect();
        assert_eq!(records(&written, written.len()), (pieces, Ok(())));
    }
}

/// The records of a stream that arrives in pieces, and how it ended.
fn records(stream: &[u8], piece: usize) -> (Vec<Bytes>, Result<(), Error>) {
    let (mut decoder, mut records) = (Decoder::new(LIMIT), Vec::new());
    for piece in stream.chunks(piece.max(1)) {
        match decoder.feed(piece) {
            Ok(more) => records.extend(more),
            Err(error) => {
                assert_eq!(decoder.feed(b"0\n"), Err(error.clone()), "an error stays");
                return (records, Err(error));
            }
        }
    }
    let end = decoder.finish();
    (records, end)
}

crate::settings! {
    /// One of each kind of setting.
    struct Settings for "mesos-fuzz" {
        "All" {
            /// A number.
            port: u16 = 5050,
            /// A number with a point.
            factor: f64 = 0.5,
            /// A span of time.
            agent_ping_timeout | slave_ping_timeout: std::time::Duration = std::time::Duration::from_secs(15),
            /// A size.
            cache_size: crate::bytes::Size = crate::bytes::Size(2 << 30),
            /// A switch.
            quiet: bool = false,
            /// A text.
            zk: Option<String>,
            /// A path.
            work_dir: std::path::PathBuf = std::path::PathBuf::from("/tmp"),
            /// An address.
            advertise_ip: Option<std::net::IpAddr>,
            /// Any JSON.
            acls: Option<serde_json::Value>,
        }
    }
}

/// Settings that were read are printed so that they read as the same, and give the same texts.
///
/// Arguments, variables and the config file stand each behind a zero byte; within the first two, a line each. Values
/// that name files are left out: they would be opened.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if text.contains("file://") {
        return;
    }
    let mut parts = text.splitn(3, '\0');
    let args = parts.next().unwrap_or_default().lines().map(str::to_owned).collect();
    let variables = parts.next().unwrap_or_default().lines().filter_map(|line| line.split_once('='));
    let env = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let file = parts.next().unwrap_or_default();
    let loaded = match load_text::<Settings>(args, env, file) {
        Ok(Outcome::Run(loaded)) => loaded,
        Ok(Outcome::Help(_) | Outcome::Version) => return,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let again = loaded.flags.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    let again = match load_text::<Settings>(again, BTreeMap::new(), "") {
        Ok(Outcome::Run(Loaded { flags, .. })) => Ok(flags),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    };
    assert_eq!(again, Ok(loaded.flags));
}

#[cfg(test)]
mod tests {
    use harness::fuzz::run;

    #[test]
    fn recordio() {
        let samples: [&[u8]; 4] = [
            b"\x0120\n{\"type\":\"HEARTBEAT\"}",
            b"\x035\nhello0\n3\nabc",
            b"\x0218446744073709551615\n",
            b"\x0564\n0123456789012345678901234567890123456789012345678901234567890123",
        ];
        run(
            super::recordio,
            &samples,
            &[b"\n", b"0\n", b"1\n", b"65\n", b"64\n", b"00", b"-", b"+1\n", b" "],
        );
    }

    #[test]
    fn settings() {
        let samples: [&[u8]; 9] = [
            b"--agent_ping_timeout=1.5mins",
            b"--factor=0.1",
            b"--cache_size=5MB",
            b"--acls={\"a\":[1,2.5,null]}",
            b"--work_dir=/var/lib --zk=''",
            b"--port=80\n--quiet\n--zk\nzk://a:1/b\0MESOS_FACTOR=0.25\nMESOS_CACHE_SIZE=5MB\0acls = { permissive = true }\n",
            b"--no-quiet\n--agent_ping_timeout=1.5mins\n--acls={\"a\":[1,2.5,null]}\0\0work_dir = \"/var\"\n",
            b"--config=x\0MESOS_ADVERTISE_IP=::1\0port = 0x10\nfactor = 1e3\n[acls]\nlist = [1, \"a\", 1979-05-27]\n",
            b"--slave_ping_timeout=0ns\0\0",
        ];
        let words: [&[u8]; 33] = [
            b"--",
            b"--no-",
            b"=",
            b"\n",
            b"\0",
            b"MESOS_",
            b"port",
            b"factor",
            b"agent_ping_timeout",
            b"cache_size",
            b"quiet",
            b"zk",
            b"work_dir",
            b"advertise_ip",
            b"acls",
            b"ns",
            b"secs",
            b"weeks",
            b"KB",
            b"TB",
            b"[",
            b"]",
            b"{",
            b"}",
            b"\"",
            b"'",
            b"\"\"\"",
            b"-",
            b"e",
            b"inf",
            b"nan",
            b".",
            b"1e400",
        ];
        run(super::settings, &samples, &words);
    }
}
