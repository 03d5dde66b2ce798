//! Where a node listens, and what it is known by.

use std::net::SocketAddr;

use libprocess::{Environment, Node, StartError};

use crate::host::Host;

#[test]
fn a_port_that_is_taken_is_named() {
    libprocess::run(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Node::builder().bind(address).start().await.unwrap_err();
        assert!(matches!(&error, StartError::Bind { address: named, .. } if *named == address));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    });
}

#[test]
fn a_port_is_free_after_shutdown_and_a_node_can_take_it_again() {
    libprocess::run(async {
        let a = Host::start().await;
        let address = a.node.address();
        a.node.shutdown().await;
        let again = Host::with(|builder| builder.bind(address)).await;
        assert_eq!(again.node.address(), address);
        again.node.shutdown().await;
    });
}

#[test]
fn a_node_is_known_by_what_it_advertises() {
    libprocess::run(async {
        let a = Host::with(|builder| builder.advertise(SocketAddr::from(([10, 1, 2, 3], 0)))).await;
        assert_eq!(a.node.address().ip().to_string(), "10.1.2.3");
        assert_ne!(a.node.address().port(), 0);
        assert_eq!(a.ear.pid().address(), a.node.address());
        a.node.shutdown().await;
    });
}

#[test]
fn the_environment_counts_where_the_program_says_nothing() {
    libprocess::run(async {
        let environment = Environment {
            ip: Some([127, 0, 0, 1].into()),
            advertise_ip: Some([10, 1, 2, 3].into()),
            advertise_port: Some(77),
            ..Environment::default()
        };
        let any = || Node::builder().bind(SocketAddr::from(([0, 0, 0, 0], 0)));
        let node = any().environment(environment.clone()).start().await.unwrap();
        assert_eq!(node.address().to_string(), "10.1.2.3:77");
        node.shutdown().await;
        let told = any().environment(environment).advertise(SocketAddr::from(([10, 9, 9, 9], 0)));
        let node = told.start().await.unwrap();
        assert_eq!(node.address().to_string(), "10.9.9.9:77");
        node.shutdown().await;
        let environment = Environment { ip: Some([127, 0, 0, 2].into()), ..Environment::default() };
        let node = Node::builder().environment(environment.clone()).start().await.unwrap();
        assert_eq!(node.address().ip().to_string(), "127.0.0.2");
        let port = node.address().port();
        node.shutdown().await;
        let environment = Environment { port: Some(port), ..environment };
        let node = Node::builder().environment(environment).start().await.unwrap();
        assert_eq!(node.address(), SocketAddr::from(([127, 0, 0, 2], port)));
        node.shutdown().await;
    });
}
