//! Waiting for descriptors: eventfd(2), epoll(7).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

use super::check;

/// A number that another thread waits for (eventfd(2)).
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// One that is not signalled.
    pub fn new() -> io::Result<Self> {
        // SAFETY: what it returns is new and nobody else's.
        unsafe {
            let made = check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
            Ok(Self(OwnedFd::from_raw_fd(made)))
        }
    }

    /// Wake who waits; does nothing where it has been done already.
    pub fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight live bytes. It fails only where it is signalled to the brim.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Not signalled from now on.
    pub fn clear(&self) {
        let mut count = [0u8; 8];
        // SAFETY: eight live bytes. It fails only where there is nothing to clear.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A descriptor that can be read, or has an error.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// As given to `Epoll::add`.
    pub token: u64,
}

/// Waits for many descriptors, level-triggered (epoll(7)).
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// One that waits for nothing yet.
    pub fn new() -> io::Result<Self> {
        // SAFETY: what it returns is new and nobody else's.
        unsafe {
            let made = check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?;
            Ok(Self(OwnedFd::from_raw_fd(made)))
        }
    }

    /// Wait for this descriptor too, until it is closed.
    pub fn add(&self, descriptor: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: the event is live during the call.
        check(unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                descriptor.as_raw_fd(),
                &raw mut event,
            )
        })?;
        Ok(())
    }

    /// Wait until there is something; `ready` has up to `limit` afterwards.
    pub fn wait(&self, ready: &mut Vec<Ready>, limit: usize) -> io::Result<()> {
        ready.clear();
        let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; limit];
        // SAFETY: the kernel writes at most `limit` events, for which there is room.
        let count = check(unsafe {
            libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), limit as c_int, -1)
        })?;
        ready.extend(events.iter().take(count as usize).map(|event| Ready { token: event.u64 }));
        Ok(())
    }
}
