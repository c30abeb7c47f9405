//! What is sent.

use crate::{Error, KeyError, Profile};

/// The sending side of a transport.
#[derive(Debug)]
pub struct Outbound {
    profile: Profile,
}

impl Outbound {
    /// With the master key and salt of the side that sends.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        if key.len() != profile.key_length() || salt.len() != profile.salt_length() {
            return Err(KeyError);
        }
        Ok(Self { profile })
    }

    /// How it protects.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Protect the RTP packet in the first `length` bytes of `buffer`; returns how long it is now.
    ///
    /// A number may be sent again, as long as it is one of the last 1,024: with the same bytes, or
    /// its key stream is given away.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Error> {
        let _ = (buffer, length);
        Err(Error::KeyExhausted)
    }

    /// The same for a packet in pieces, which are joined in `out`: `header` with its extensions,
    /// which stays in clear, and the payload, whose pieces many may share.
    pub fn protect_rtp_parts(
        &mut self,
        header: &[u8],
        payload: &[&[u8]],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let _ = (header, payload, out);
        Err(Error::KeyExhausted)
    }

    /// Protect the compound RTCP packet in the first `length` bytes of `buffer`.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Error> {
        let _ = (buffer, length);
        Err(Error::KeyExhausted)
    }
}
