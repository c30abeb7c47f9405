//! What is sent.

use ahash::AHashMap;

use crate::cipher::{Cipher, Identity};
use crate::header::{Rtp, rtcp_ssrc};
use crate::index::{RTCP_INDICES, WINDOW, estimate};
use crate::{Error, KeyError, Profile};

#[derive(Debug, Default)]
struct Stream {
    /// Of its RTP packets.
    highest: Option<u64>,
    /// Of its RTCP packets.
    next: u32,
}

/// The sending side of a transport.
#[derive(Debug)]
pub struct Outbound {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    streams: AHashMap<u32, Stream>,
}

impl Outbound {
    /// Streams there may be, each with an SSRC of its own.
    pub const MAX_STREAMS: usize = 4096;

    /// With the master key and salt of the side that sends.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        let (rtp, rtcp) = Cipher::pair(profile, key, salt)?;
        Ok(Self { profile, rtp, rtcp, streams: AHashMap::new() })
    }

    /// How it protects.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Nothing more is sent with this SSRC, nor ever again with these keys.
    pub fn forget(&mut self, ssrc: u32) {
        self.streams.remove(&ssrc);
    }

    fn stream(&mut self, ssrc: u32) -> Result<&mut Stream, Error> {
        if self.streams.len() >= Self::MAX_STREAMS && !self.streams.contains_key(&ssrc) {
            return Err(Error::TooManyStreams);
        }
        Ok(self.streams.entry(ssrc).or_default())
    }

    /// Protect the RTP packet in the first `length` bytes of `buffer`; returns how long it is now.
    ///
    /// A number may be sent again as long as it is one of the last 1,024. It must be the same packet
    /// then, byte for byte: two under one number tell their key stream, and with AES-GCM the key of
    /// its tags.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Error> {
        let header = Rtp::read(buffer.get(..length).ok_or(Error::NoRoom)?)?;
        self.seal(buffer, header, length)
    }

    /// The same for a packet in pieces, which are joined in `out`: `header` with its extensions,
    /// which stay in clear, and the payload, whose pieces many may share.
    pub fn protect_rtp_parts(
        &mut self,
        header: &[u8],
        payload: &[&[u8]],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let read = Rtp::read(header)?;
        let mut length = 0;
        for part in std::iter::once(&header).chain(payload) {
            let place = out.get_mut(length..).and_then(|rest| rest.get_mut(..part.len()));
            place.ok_or(Error::NoRoom)?.copy_from_slice(part);
            length += part.len();
        }
        self.seal(out, read, length)
    }

    fn seal(&mut self, buffer: &mut [u8], header: Rtp, length: usize) -> Result<usize, Error> {
        let end = length + self.profile.rtp_overhead();
        let whole = buffer.get_mut(..end).ok_or(Error::NoRoom)?;
        let (packet, tag) = whole.split_at_mut_checked(length).ok_or(Error::NoRoom)?;
        let (clear, payload) = packet.split_at_mut_checked(header.length).ok_or(Error::NoRoom)?;
        let stream = self.stream(header.ssrc)?;
        let index = match stream.highest {
            None => u64::from(header.sequence),
            Some(highest) => estimate(header.sequence, highest).ok_or(Error::KeyExhausted)?,
        };
        let highest = stream.highest.map_or(index, |highest| highest.max(index));
        if highest - index >= WINDOW {
            return Err(Error::TooOld);
        }
        stream.highest = Some(highest);
        self.rtp.seal_rtp(Identity { ssrc: header.ssrc, index }, clear, payload, tag)?;
        Ok(end)
    }

    /// Protect the compound RTCP packet in the first `length` bytes of `buffer`; returns how long it
    /// is now.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Error> {
        let ssrc = rtcp_ssrc(buffer.get(..length).ok_or(Error::NoRoom)?)?;
        if buffer.len() - length < self.profile.rtcp_overhead() {
            return Err(Error::NoRoom);
        }
        let stream = self.stream(ssrc)?;
        let index = stream.next;
        if index >= RTCP_INDICES {
            return Err(Error::KeyExhausted);
        }
        stream.next = index + 1;
        self.rtcp.seal_rtcp(Identity { ssrc, index: index.into() }, buffer, length)
    }
}
