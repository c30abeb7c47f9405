//! Addresses as the kernel has them.

use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{c_int, sa_family_t, sockaddr_in, sockaddr_in6, socklen_t};

use super::length_of;

/// Room for an address of either family, a quarter of what sockaddr_storage takes.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) union Name {
    /// At the same place in both.
    family: sa_family_t,
    four: sockaddr_in,
    six: sockaddr_in6,
}

impl Name {
    /// Of no family.
    pub(super) fn empty() -> Self {
        // SAFETY: all zero bytes are a valid address of either kind.
        unsafe { zeroed() }
    }
}

pub(super) fn encode(address: &SocketAddr) -> (Name, socklen_t) {
    match address {
        SocketAddr::V4(four) => {
            let name = sockaddr_in {
                sin_family: libc::AF_INET as sa_family_t,
                sin_port: four.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(four.ip().octets()) },
                sin_zero: [0; 8],
            };
            (Name { four: name }, length_of::<sockaddr_in>())
        }
        SocketAddr::V6(six) => {
            let name = sockaddr_in6 {
                sin6_family: libc::AF_INET6 as sa_family_t,
                sin6_port: six.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: six.ip().octets() },
                sin6_scope_id: six.scope_id(),
            };
            (Name { six: name }, length_of::<sockaddr_in6>())
        }
    }
}

pub(super) fn decode(name: &Name) -> Option<SocketAddr> {
    // SAFETY: every byte of it is initialized from `empty` on, any bytes are a valid address of
    // either kind, and its family says which it is.
    unsafe {
        match c_int::from(name.family) {
            libc::AF_INET => {
                let ip = Ipv4Addr::from(name.four.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(name.four.sin_port)).into())
            }
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(name.six.sin6_addr.s6_addr);
                let port = u16::from_be(name.six.sin6_port);
                Some(SocketAddrV6::new(ip, port, 0, name.six.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}
