//! Addresses as the kernel has them.

use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

use libc::{c_int, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};

use super::length_of;

pub(super) fn encode(address: &SocketAddr) -> (sockaddr_storage, socklen_t) {
    // SAFETY: all zero bytes are a valid sockaddr_storage, and both kinds fit into it, aligned.
    unsafe {
        let mut storage: sockaddr_storage = zeroed();
        let length = match address {
            SocketAddr::V4(four) => {
                let name = &mut *(&raw mut storage).cast::<sockaddr_in>();
                name.sin_family = libc::AF_INET as libc::sa_family_t;
                name.sin_port = four.port().to_be();
                name.sin_addr.s_addr = u32::from_ne_bytes(four.ip().octets());
                length_of::<sockaddr_in>()
            }
            SocketAddr::V6(six) => {
                let name = &mut *(&raw mut storage).cast::<sockaddr_in6>();
                name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                name.sin6_port = six.port().to_be();
                name.sin6_addr.s6_addr = six.ip().octets();
                name.sin6_scope_id = six.scope_id();
                length_of::<sockaddr_in6>()
            }
        };
        (storage, length)
    }
}

pub(super) fn decode(storage: &sockaddr_storage) -> Option<SocketAddr> {
    // SAFETY: the storage is as large and as aligned as either kind, and its family says which.
    unsafe {
        match c_int::from(storage.ss_family) {
            libc::AF_INET => {
                let name = &*ptr::from_ref(storage).cast::<sockaddr_in>();
                let ip = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
            }
            libc::AF_INET6 => {
                let name = &*ptr::from_ref(storage).cast::<sockaddr_in6>();
                let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
                let port = u16::from_be(name.sin6_port);
                Some(SocketAddrV6::new(ip, port, 0, name.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}
