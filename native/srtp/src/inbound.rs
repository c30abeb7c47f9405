//! What is received.

use crate::{Error, KeyError, Profile};

/// The receiving side of a transport.
#[derive(Debug)]
pub struct Inbound {
    profile: Profile,
}

impl Inbound {
    /// With the master key and salt of the side that sends.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        if key.len() != profile.key_length() || salt.len() != profile.salt_length() {
            return Err(KeyError);
        }
        Ok(Self { profile })
    }

    /// How it is protected.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Check and open an SRTP packet in place; returns how long the RTP packet is.
    ///
    /// Of a packet that is refused `packet` holds anything afterwards.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Error> {
        let _ = packet;
        Err(Error::Forged)
    }

    /// Check and open an SRTCP packet in place; returns how long the compound RTCP packet is.
    ///
    /// Of a packet that is refused `packet` holds anything afterwards.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Error> {
        let _ = packet;
        Err(Error::Forged)
    }
}
