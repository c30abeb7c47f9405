//! One session, relayed by a plane without Python.

#![allow(clippy::unwrap_used)] // a helper of tests is not known to be one

use std::net::UdpSocket;

use ahash::AHashSet;
use callfleet_relay_plane::{Client, Handed, Opening, Plane};

fn any_port() -> UdpSocket {
    let bound = UdpSocket::bind("127.0.0.1:0").unwrap();
    bound.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    bound
}

#[test]
fn a_session_is_relayed_and_ended() {
    let (listener, client, peer, relay) = (any_port(), any_port(), any_port(), any_port());
    let (to_listener, to_relay) = (listener.local_addr().unwrap(), relay.local_addr().unwrap());
    let plane = Plane::new(vec![vec![listener.into()]], AHashSet::new(), 0.0).unwrap();
    let tuple = Client { listener: 0, address: client.local_addr().unwrap() };
    plane
        .open(Opening {
            session: 1,
            client: tuple,
            relays: vec![(false, relay.into())],
            upstream: None,
            downstream: None,
            worker: 0,
        })
        .unwrap();
    plane.permit(1, &peer.local_addr().unwrap(), None);
    plane.bind_channel(1, 0x4000, peer.local_addr().unwrap());
    let mut buffer = [0; 64];
    client.send_to(b"\x40\0\0\x02hi", to_listener).unwrap();
    assert_eq!(peer.recv_from(&mut buffer).unwrap(), (2, to_relay));
    peer.send_to(b"you", to_relay).unwrap();
    assert_eq!(client.recv_from(&mut buffer).unwrap(), (7, to_listener));
    assert_eq!(&buffer[..7], b"\x40\0\0\x03you");
    client.send_to(b"\0\x01..", to_listener).unwrap();
    let mut handed = Vec::new();
    while handed.is_empty() {
        handed = plane.ring().take(1);
    }
    let data = b"\0\x01..".to_vec();
    assert_eq!(handed, [Handed::Datagram { client: tuple, worker: 0, data }]);
    let traffic = plane.close_session(1);
    assert_eq!((traffic.packets_from_client, traffic.bytes_to_client), (1, 3));
    UdpSocket::bind(to_relay).unwrap();
    assert_eq!(plane.packets(), 2);
}
