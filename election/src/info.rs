//! `MasterInfo` at the border: as JSON in a node's data, and made up for a master of which only
//! the address is known.
//!
//! Pure. Other clients read these nodes too (PyMesos wants `address.ip` and `address.port`,
//! mesoshttp wants `pid`), so what is written must be complete: see [`complete`].

use std::net::{IpAddr, SocketAddr};

use mesos::v1::{Address, MasterInfo};
use thiserror::Error;

/// A node's data that is no `MasterInfo`.
#[derive(Debug, Error)]
#[error("cannot read a MasterInfo from the leader's node: {0}")]
pub struct BadInfo(#[from] mesos::json::Error);

/// The info of a master of which only the address is known; its actor is called `master`
/// (upstream: `protobuf::createMasterInfo`).
pub fn from_address(id: String, hostname: String, address: SocketAddr) -> MasterInfo {
    complete(
        MasterInfo {
            id,
            pid: Some(format!("master@{address}")),
            hostname: Some(hostname),
            ..Default::default()
        },
        address,
    )
}

/// Fills in every form of the address that some client reads.
pub fn complete(mut info: MasterInfo, address: SocketAddr) -> MasterInfo {
    info.ip = match address.ip() {
        // Upstream stores the four bytes in network order and prints them as a native number.
        IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        IpAddr::V6(_) => 0,
    };
    info.port = u32::from(address.port());
    info.address = Some(Address {
        hostname: info.hostname.clone(),
        ip: Some(address.ip().to_string()),
        port: i32::from(address.port()),
    });
    info
}

/// Where a master listens, from whichever field says so.
pub fn address(info: &MasterInfo) -> Option<SocketAddr> {
    let from_pid = || info.pid.as_deref()?.rsplit_once('@')?.1.parse().ok();
    let from_address = || {
        let address = info.address.as_ref()?;
        let ip: IpAddr = address.ip.as_deref()?.parse().ok()?;
        Some(SocketAddr::new(ip, u16::try_from(address.port).ok()?))
    };
    from_pid().or_else(from_address)
}

/// The info as a node's data.
pub fn to_json(info: &MasterInfo) -> Vec<u8> {
    mesos::json::to_vec(info)
}

/// The info in a node's data.
///
/// # Errors
/// When it is no JSON, or a required field is missing.
pub fn from_json(data: &[u8]) -> Result<MasterInfo, BadInfo> {
    Ok(mesos::json::from_slice(data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> MasterInfo {
        let mut info = from_address("a-b-c".into(), "host".into(), "127.0.0.1:5050".parse().unwrap());
        info.version = Some("1.11.0".into());
        info
    }

    /// Upstream: `ZooKeeperMasterContenderDetectorTest.MasterDetectorUsesJson`.
    #[test]
    fn the_json_has_what_other_clients_read() {
        let json: serde_json::Value = serde_json::from_slice(&to_json(&info())).unwrap();
        assert_eq!(json["address"]["ip"], "127.0.0.1");
        assert_eq!(json["address"]["port"], 5050);
        assert_eq!(json["address"]["hostname"], "host");
        assert_eq!(json["ip"], 16_777_343, "127.0.0.1 as a little-endian number");
        assert_eq!(json["port"], 5050);
        assert_eq!(json["pid"], "master@127.0.0.1:5050");
        assert_eq!(json["hostname"], "host");
        assert_eq!(json["id"], "a-b-c");
        assert_eq!(json["version"], "1.11.0");
    }

    #[test]
    fn what_was_written_can_be_read() {
        assert_eq!(from_json(&to_json(&info())).unwrap(), info());
    }

    #[test]
    fn data_that_is_no_master_info_is_an_error() {
        assert!(from_json(b"master@127.0.0.1:5050").is_err());
        assert!(from_json(b"{\"hostname\":\"host\"}").is_err());
    }

    #[test]
    fn the_address_comes_from_the_pid_or_else_from_the_address() {
        let mut info = info();
        assert_eq!(address(&info).unwrap().to_string(), "127.0.0.1:5050");
        info.pid = None;
        assert_eq!(address(&info).unwrap().to_string(), "127.0.0.1:5050");
        info.address = None;
        assert_eq!(address(&info), None);
    }
}
