//! What is received.

use ahash::AHashMap;

use crate::cipher::{Cipher, Identity};
use crate::header::{Rtp, rtcp_ssrc};
use crate::index::{ShortWindow, Standing, Window, estimate};
use crate::{Error, KeyError, Profile};

#[derive(Debug, Default)]
struct Stream {
    rtp: Option<Window>,
    rtcp: ShortWindow,
}

/// The receiving side of a transport.
#[derive(Debug)]
pub struct Inbound {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    streams: AHashMap<u32, Stream>,
}

impl Standing {
    fn fresh(self) -> Result<(), Error> {
        match self {
            Self::New => Ok(()),
            Self::Replayed => Err(Error::Replayed),
            Self::TooOld => Err(Error::TooOld),
        }
    }
}

impl Inbound {
    /// Streams there may be, each with an SSRC of its own; only genuine packets begin one.
    pub const MAX_STREAMS: usize = 1024;

    /// With the master key and salt of the side that sends.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        let (rtp, rtcp) = Cipher::pair(profile, key, salt)?;
        Ok(Self { profile, rtp, rtcp, streams: AHashMap::new() })
    }

    /// How it is protected.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The stream of that SSRC, `None` if it is new; an error if there is no room for another.
    fn known(&self, ssrc: u32) -> Result<Option<&Stream>, Error> {
        let found = self.streams.get(&ssrc);
        if found.is_none() && self.streams.len() >= Self::MAX_STREAMS {
            return Err(Error::TooManyStreams);
        }
        Ok(found)
    }

    /// Check and open an SRTP packet in place; returns how long the RTP packet is.
    ///
    /// Of a packet that is refused `packet` holds anything afterwards.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Error> {
        let header = Rtp::read(packet)?;
        let (clear, sealed) = packet.split_at_mut_checked(header.length).ok_or(Error::Truncated)?;
        let window = self.known(header.ssrc)?.and_then(|stream| stream.rtp.as_ref());
        let index = match window {
            None => u64::from(header.sequence),
            Some(window) => {
                let index = estimate(header.sequence, window.highest).ok_or(Error::KeyExhausted)?;
                window.standing(index).fresh()?;
                index
            }
        };
        let identity = Identity { ssrc: header.ssrc, index };
        let length = self.rtp.open_rtp(identity, clear, sealed)?;
        let stream = self.streams.entry(header.ssrc).or_default();
        stream.rtp.get_or_insert_with(|| Window::new(index)).note(index);
        Ok(header.length + length)
    }

    /// Check and open an SRTCP packet in place; returns how long the compound RTCP packet is.
    ///
    /// Of a packet that is refused `packet` holds anything afterwards.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Error> {
        let ssrc = rtcp_ssrc(packet)?;
        if packet.len() < 8 + self.profile.rtcp_overhead() {
            return Err(Error::Truncated);
        }
        let index = self.rtcp.rtcp_index(packet)?;
        if let Some(stream) = self.known(ssrc)? {
            stream.rtcp.standing(index).fresh()?;
        }
        let length = self.rtcp.open_rtcp(Identity { ssrc, index: index.into() }, packet)?;
        self.streams.entry(ssrc).or_default().rtcp.note(index);
        Ok(length)
    }
}
