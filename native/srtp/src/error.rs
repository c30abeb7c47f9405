//! What may be wrong with a packet or a key.

use std::fmt;

/// Why a packet was neither protected nor opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It ends before its headers do, or before its tag.
    Truncated,
    /// The buffer has no room for the tag.
    NoRoom,
    /// The tag is another: forged, damaged, or of other keys.
    Forged,
    /// It came before.
    Replayed,
    /// It is so old that nobody knows whether it came before.
    TooOld,
    /// SRTCP that is not encrypted.
    Unencrypted,
    /// As many others as there may be are known.
    TooManyStreams,
    /// This key has protected all that it may (RFC 3711 section 9.2).
    KeyExhausted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the packet is truncated",
            Self::NoRoom => "the buffer has no room for the tag",
            Self::Forged => "the packet is forged, damaged or of another key",
            Self::Replayed => "the packet came before",
            Self::TooOld => "the packet is too old to know whether it came before",
            Self::Unencrypted => "the SRTCP packet is not encrypted",
            Self::TooManyStreams => "there are too many SSRCs",
            Self::KeyExhausted => "the key has been used for all packets that it may be used for",
        })
    }
}

impl std::error::Error for Error {}

/// A master key or salt of the wrong length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the SRTP key or salt has not the length that its profile needs")
    }
}

impl std::error::Error for KeyError {}
