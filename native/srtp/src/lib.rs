//! SRTP and SRTCP (RFC 3711, RFC 7714) of one direction, with keys as DTLS exports them (RFC 5764).
//!
//! [`Outbound`] protects, [`Inbound`] checks and opens, both in a buffer of the caller and without
//! an allocation for a packet of a known SSRC. The cryptography is that of `ring` and RustCrypto.

mod cipher;
mod error;
mod header;
mod inbound;
mod index;
mod keys;
mod outbound;
mod profile;
#[cfg(test)]
mod tests;

pub use error::{Error, KeyError};
pub use inbound::Inbound;
pub use outbound::Outbound;
pub use profile::Profile;

/// What protection adds to a packet at most: a tag, and of SRTCP a word with the index.
pub const MAX_OVERHEAD: usize = 20;
