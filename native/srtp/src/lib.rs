//! SRTP and SRTCP (RFC 3711, RFC 7714) of one direction, with keys as DTLS exports them (RFC 5764).
//!
//! [`Outbound`] protects, [`Inbound`] checks and opens, both in a buffer of the caller and without
//! an allocation for a packet of a known SSRC. The cryptography is that of `ring` and RustCrypto.

mod error;
mod inbound;
mod outbound;
mod profile;

pub use error::{Error, KeyError};
pub use inbound::Inbound;
pub use outbound::Outbound;
pub use profile::Profile;

/// Streams that one direction may have; each is known by its SSRC.
pub const MAX_STREAMS: usize = 4096;

/// What protection adds to a packet at most: a tag, and of SRTCP a word with the index.
pub const MAX_OVERHEAD: usize = 20;
