//! The engine's native media plane.
//!
//! Modules have the names of those of `callfleet_engine.media`, the reference: what differs is a
//! fault here. They know nothing of Python and do no I/O.

pub mod codecs;
pub mod inbound;
pub mod layers;
mod malformed;
pub mod numbering;
pub mod packet;
pub mod retransmission;
pub mod rtcp;
pub mod rtp;
#[cfg(test)]
mod testing;
pub mod timeline;
pub mod transport_feedback;

pub use malformed::Malformed;
