//! ICMP errors of a socket: ip(7), ipv6(7), "IP_RECVERR".

use std::io;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_void, sockaddr_storage};

use super::address::decode;
use super::{Control, length_of};

const ERROR_CONTROL: usize = 256;

/// An ICMP message about a datagram that was sent (`sock_extended_err`, ip(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    /// Where the datagram went.
    pub peer: SocketAddr,
    /// SO_EE_ORIGIN_...: 2 for ICMP, 3 for ICMPv6.
    pub origin: u8,
    /// ICMP type.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// The next hop's MTU where the message is about one.
    pub info: u32,
}

/// Take the next of the queued errors. `WouldBlock` where there is none; `None` for one that tells
/// nothing.
pub fn read_error(socket: BorrowedFd<'_>) -> io::Result<Option<ErrorReport>> {
    let mut control = Control([0; ERROR_CONTROL]);
    // SAFETY: all zero bytes are valid for both; the header points to locals that outlive the call,
    // and the macros keep to the length that the kernel has written.
    unsafe {
        let mut name: sockaddr_storage = zeroed();
        let mut header: libc::msghdr = zeroed();
        header.msg_name = (&raw mut name).cast::<c_void>();
        header.msg_namelen = length_of::<sockaddr_storage>();
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = ERROR_CONTROL as _;
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        if libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut message = libc::CMSG_FIRSTHDR(&raw const header);
        while !message.is_null() {
            let kind = ((*message).cmsg_level, (*message).cmsg_type);
            if kind == (libc::IPPROTO_IP, libc::IP_RECVERR)
                || kind == (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            {
                let error =
                    ptr::read_unaligned(libc::CMSG_DATA(message).cast::<libc::sock_extended_err>());
                return Ok(decode(&name).map(|peer| ErrorReport {
                    peer,
                    origin: error.ee_origin,
                    kind: error.ee_type,
                    code: error.ee_code,
                    info: error.ee_info,
                }));
            }
            message = libc::CMSG_NXTHDR(&raw const header, message);
        }
    }
    Ok(None)
}
