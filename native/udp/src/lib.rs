//! UDP in batches on Linux: many datagrams a system call, and many a walk through the kernel.
//!
//! [`Inbox`] receives with recvmmsg(2) and splits what UDP_GRO has put together. [`Outbox`] sends
//! with sendmmsg(2) and lets UDP_SEGMENT cut runs of equal datagrams. Where the kernel refuses
//! either, datagrams go one by one. [`Ring`] hands over to another thread. Every `unsafe` stands in `sys`.

mod inbox;
mod outbox;
mod ring;
#[allow(unsafe_code)]
mod sys;

pub use inbox::{Datagram, Inbox};
pub use outbox::{Coalescing, Lost, Outbox, Train, is_too_long};
pub use ring::{Queued, Ring};
pub use sys::{
    Epoll, ErrorReport, EventFd, Ready, duplicate, kernel_drops, read_error, receive_coalesced,
    receive_times, send_to, send_unfragmented,
};
