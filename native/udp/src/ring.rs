//! A queue to another thread that waits for a descriptor.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use parking_lot::Mutex;

use crate::sys::EventFd;

const MAX_ITEMS: usize = 8192;
const MAX_BYTES: usize = 4 << 20;

/// What a ring can hold.
pub trait Queued {
    /// Bytes of a peer's that it holds.
    fn bytes(&self) -> usize;
}

#[derive(Debug)]
struct Waiting<T> {
    items: VecDeque<T>,
    bytes: usize,
}

/// A queue, bounded in items and bytes; its descriptor can be read while something is in it.
#[derive(Debug)]
pub struct Ring<T> {
    waiting: Mutex<Waiting<T>>,
    event: EventFd,
}

impl<T: Queued> Ring<T> {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        let waiting = Waiting { items: VecDeque::new(), bytes: 0 };
        Ok(Self { waiting: Mutex::new(waiting), event: EventFd::new()? })
    }

    /// Put one at the end; false where there is no room.
    pub fn push(&self, item: T) -> bool {
        let mut waiting = self.waiting.lock();
        let bytes = waiting.bytes + item.bytes();
        if waiting.items.len() >= MAX_ITEMS || bytes > MAX_BYTES {
            return false;
        }
        waiting.bytes = bytes;
        waiting.items.push_back(item);
        if waiting.items.len() == 1 {
            self.event.signal();
        }
        true
    }

    /// Take up to `limit` from the front.
    pub fn take(&self, limit: usize) -> Vec<T> {
        let mut waiting = self.waiting.lock();
        let count = limit.min(waiting.items.len());
        let taken: Vec<T> = waiting.items.drain(..count).collect();
        waiting.bytes -= taken.iter().map(T::bytes).sum::<usize>();
        if waiting.items.is_empty() {
            self.event.clear();
        }
        taken
    }
}

impl<T> AsFd for Ring<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Queued for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    #[test]
    fn what_comes_first_is_taken_first() {
        let ring = Ring::new().unwrap();
        assert!(ring.push(1) && ring.push(2) && ring.push(3));
        assert_eq!(ring.take(2), [1, 2]);
        assert_eq!(ring.take(2), [3]);
        assert!(ring.take(2).is_empty());
    }

    #[test]
    fn it_is_bounded_in_items_and_bytes() {
        let ring = Ring::new().unwrap();
        while ring.push(1 << 16) {}
        assert_eq!(ring.take(usize::MAX).len(), MAX_BYTES >> 16);
        while ring.push(0) {}
        assert_eq!(ring.take(usize::MAX).len(), MAX_ITEMS);
        assert!(ring.push(1 << 16));
    }
}
