//! Ports that the kernel gave, and that stay ours until a daemon takes them over.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// The variable with the address that ports are reserved at, if not the loopback interface's: one that can be
/// reached from other network namespaces.
pub const ADDRESS: &str = "MESOS_TEST_ADDRESS";

/// A port of the loopback interface, or of [`ADDRESS`]. While this lives nobody is given the port by chance; a daemon that
/// sets `SO_REUSEADDR` may still listen on it, and may do so again after a restart.
#[derive(Debug)]
pub struct Port {
    /// Bound, never listening: Linux lets another socket listen on such an address.
    _reservation: Socket,
    address: SocketAddr,
}

impl Port {
    /// Asks the kernel for a free port.
    pub fn reserve() -> std::io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        let named = std::env::var(ADDRESS).ok().and_then(|address| address.parse().ok());
        socket.bind(&SocketAddr::from((named.unwrap_or(Ipv4Addr::LOCALHOST), 0)).into())?;
        let address = socket
            .local_addr()?
            .as_socket()
            .ok_or_else(|| std::io::Error::other("the kernel gave no internet address"))?;
        Ok(Self { _reservation: socket, address })
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_can_be_listened_on_twice_in_a_row() {
        let port = Port::reserve().unwrap();
        for _ in 0..2 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&port.address().into()).unwrap();
            socket.listen(1).unwrap();
        }
    }
}
