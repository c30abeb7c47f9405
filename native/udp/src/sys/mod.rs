//! System calls. The one module with `unsafe`; what it gives out is safe to use.

use std::io::{self, IoSlice};
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::{Duration, SystemTime};

use libc::{c_int, iovec, mmsghdr, sockaddr_storage, socklen_t, timespec};

mod address;
mod errors;
mod waiting;

use address::{decode, encode};
pub use errors::{ErrorReport, read_error};
pub use waiting::{Epoll, EventFd, Ready};

/// Room for a control message with an integer and one with a time, on every architecture.
const CONTROL: usize = 64;
const MEMINFO_ITEMS: usize = 9;
const MEMINFO_DROPS: usize = 8;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control<const N: usize>([u8; N]);

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn length_of<T>() -> socklen_t {
    size_of::<T>() as socklen_t
}

/// A descriptor of one's own for the same open file.
pub fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes any number; what it returns is new and nobody else's.
    unsafe {
        let made = check(libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0))?;
        Ok(OwnedFd::from_raw_fd(made))
    }
}

fn set_option(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let size = length_of::<c_int>();
    // SAFETY: the pointer is to an integer of the size that is said.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size)
    })?;
    Ok(())
}

/// Let the kernel hand over several datagrams of one sender as one (UDP_GRO, udp(7)).
pub fn receive_coalesced(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SOL_UDP, libc::UDP_GRO, 1)
}

/// Have the kernel say when it took each datagram in (SO_TIMESTAMPNS, socket(7)).
pub fn receive_times(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// Send with the DF bit, or not at all, whatever the system remembers of the path.
pub fn send_unfragmented(socket: BorrowedFd<'_>, data: &[u8], to: &SocketAddr) -> io::Result<()> {
    let (level, name) = if to.is_ipv6() {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)
    };
    set_option(socket, level, name, libc::IP_PMTUDISC_PROBE)?;
    let result = send_to(socket, data, to);
    set_option(socket, level, name, libc::IP_PMTUDISC_WANT)?;
    result
}

/// Send one datagram.
pub fn send_to(socket: BorrowedFd<'_>, data: &[u8], to: &SocketAddr) -> io::Result<()> {
    let (name, length) = encode(to);
    // SAFETY: data and address are live and as long as is said.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            data.as_ptr().cast(),
            data.len(),
            libc::MSG_DONTWAIT,
            (&raw const name).cast(),
            length,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Datagrams dropped because the socket's buffer was full, modulo 2^32 (SO_MEMINFO).
pub fn kernel_drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut values = [0u32; MEMINFO_ITEMS];
    let mut size = length_of::<[u32; MEMINFO_ITEMS]>();
    // SAFETY: the kernel writes at most `size` bytes, which the array has.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut size,
        )
    })?;
    Ok(values.get(MEMINFO_DROPS).copied().unwrap_or_default())
}

/// What recvmmsg needs for so many datagrams, kept between calls.
pub(crate) struct ReceiveSlots {
    headers: Vec<mmsghdr>,
    vectors: Vec<iovec>,
    names: Vec<sockaddr_storage>,
    controls: Vec<Control<CONTROL>>,
}

// SAFETY: its pointers are set anew in each call, to memory that is the caller's or its own.
unsafe impl Send for ReceiveSlots {}

/// One received message.
pub(crate) struct Received {
    pub(crate) length: usize,
    pub(crate) source: Option<SocketAddr>,
    pub(crate) noted: Noted,
}

/// What the kernel says of a received message.
#[derive(Clone, Copy, Default)]
pub(crate) struct Noted {
    /// Bytes of each of the datagrams that it was made of; 0 where it is one.
    pub(crate) segment: usize,
    /// When it came, where that was asked for.
    pub(crate) arrived: Option<SystemTime>,
}

impl ReceiveSlots {
    pub(crate) fn new(count: usize) -> Self {
        // SAFETY: all zero bytes are valid for each of these.
        unsafe {
            Self {
                headers: vec![zeroed(); count],
                vectors: vec![zeroed(); count],
                names: vec![zeroed(); count],
                controls: vec![Control([0; CONTROL]); count],
            }
        }
    }

    /// Receive what is there, one message into each of `buffers`; tells each to `take`.
    pub(crate) fn receive<'a>(
        &mut self,
        socket: BorrowedFd<'_>,
        buffers: impl Iterator<Item = &'a mut [u8]>,
        mut take: impl FnMut(Received),
    ) -> io::Result<usize> {
        let mut count = 0;
        let slots = self.headers.iter_mut().zip(&mut self.vectors).zip(&mut self.names);
        for ((((header, vector), name), control), buffer) in
            slots.zip(&mut self.controls).zip(buffers)
        {
            vector.iov_base = buffer.as_mut_ptr().cast();
            vector.iov_len = buffer.len();
            header.msg_len = 0;
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = length_of::<sockaddr_storage>();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = ptr::from_mut(control).cast();
            header.msg_hdr.msg_controllen = CONTROL as _;
            count += 1;
        }
        // SAFETY: the first `count` headers point to buffers that are borrowed for this call, and
        // to names and control buffers of this object.
        let received = check(unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        })? as usize;
        for (header, name) in self.headers.iter().zip(&self.names).take(received) {
            take(Received {
                length: header.msg_len as usize,
                source: decode(name),
                noted: noted(&header.msg_hdr),
            });
        }
        Ok(received)
    }
}

fn noted(header: &libc::msghdr) -> Noted {
    let mut found = Noted::default();
    if header.msg_controllen == 0 {
        return found;
    }
    // SAFETY: the kernel has filled the control buffer, and the macros keep to its length. What a
    // message of a type holds is as long as the type says.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size = ptr::read_unaligned(libc::CMSG_DATA(message).cast::<c_int>());
                    found.segment = usize::try_from(size).unwrap_or_default();
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time = ptr::read_unaligned(libc::CMSG_DATA(message).cast::<timespec>());
                    found.arrived = since_epoch(&time);
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    found
}

fn since_epoch(time: &timespec) -> Option<SystemTime> {
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
}

/// What sendmmsg needs, kept between calls.
#[derive(Default)]
pub(crate) struct SendSlots {
    headers: Vec<mmsghdr>,
    names: Vec<sockaddr_storage>,
    controls: Vec<Control<CONTROL>>,
}

// SAFETY: as with `ReceiveSlots`.
unsafe impl Send for SendSlots {}

/// One message to send.
pub(crate) struct Outgoing<'a, 'b> {
    pub(crate) to: &'a SocketAddr,
    pub(crate) parts: &'a [IoSlice<'b>],
    /// Bytes of the datagrams that the kernel is to cut it into; 0 for one.
    pub(crate) segment: u16,
}

impl SendSlots {
    /// Send in this order; how many went. An error is that of the first.
    pub(crate) fn send<'a, 'b: 'a>(
        &mut self,
        socket: BorrowedFd<'_>,
        messages: impl Iterator<Item = Outgoing<'a, 'b>>,
    ) -> io::Result<usize> {
        self.headers.clear();
        self.names.clear();
        self.controls.clear();
        for message in messages {
            let (name, length) = encode(message.to);
            self.names.push(name);
            self.controls.push(Control([0; CONTROL]));
            // SAFETY: all zero bytes are a valid header.
            let mut header: mmsghdr = unsafe { zeroed() };
            header.msg_hdr.msg_namelen = length;
            header.msg_hdr.msg_iov = message.parts.as_ptr().cast_mut().cast::<iovec>();
            header.msg_hdr.msg_iovlen = message.parts.len() as _;
            header.msg_len = u32::from(message.segment);
            self.headers.push(header);
        }
        let slots = self.headers.iter_mut().zip(&mut self.names).zip(&mut self.controls);
        for ((header, name), control) in slots {
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            let segment = std::mem::take(&mut header.msg_len) as u16;
            if segment > 0 {
                // SAFETY: the buffer has room for one control message of this size.
                unsafe {
                    header.msg_hdr.msg_control = ptr::from_mut(control).cast();
                    header.msg_hdr.msg_controllen = libc::CMSG_SPACE(2) as _;
                    let message = libc::CMSG_FIRSTHDR(&raw const header.msg_hdr);
                    if !message.is_null() {
                        (*message).cmsg_level = libc::SOL_UDP;
                        (*message).cmsg_type = libc::UDP_SEGMENT;
                        (*message).cmsg_len = libc::CMSG_LEN(2) as _;
                        ptr::write_unaligned(libc::CMSG_DATA(message).cast::<u16>(), segment);
                    }
                }
            }
        }
        // SAFETY: IoSlice has iovec's layout; all that is pointed to is borrowed or this object's.
        let sent = check(unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as _,
                libc::MSG_DONTWAIT as _,
            )
        })?;
        Ok(sent as usize)
    }
}
