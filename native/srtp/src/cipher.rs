//! The two ways to protect: AES-GCM (RFC 7714), and AES-CM with HMAC-SHA1 (RFC 3711 section 4).
//!
//! Both work on a packet whose parts the caller has found: what stays in clear and what is
//! encrypted.

use std::fmt;

use aes::Aes128Enc;
use aes::cipher::KeyInit;
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use sha1::Sha1;

use crate::keys::{Master, Part, SessionKeys, apply_key_stream};
use crate::{Error, KeyError, Profile};

/// Protects one kind of packets, RTP or RTCP.
pub(crate) enum Cipher {
    Gcm(Box<Gcm>),
    Cm(Box<Cm>),
}

/// AES-GCM.
pub(crate) struct Gcm {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Gcm {
    fn seal<A: AsRef<[u8]>>(
        &self,
        identity: Identity,
        clear: A,
        data: &mut [u8],
    ) -> Result<Tag, Error> {
        let nonce = nonce(&self.salt, identity);
        let made = self.key.seal_in_place_separate_tag(nonce, Aad::from(clear), data);
        made.map_err(|_| Error::NoRoom)
    }

    fn open<A: AsRef<[u8]>>(
        &self,
        identity: Identity,
        clear: A,
        sealed: &mut [u8],
    ) -> Result<(), Error> {
        let nonce = nonce(&self.salt, identity);
        let opened = self.key.open_in_place(nonce, Aad::from(clear), sealed);
        opened.map(|_| ()).map_err(|_| Error::Forged)
    }
}

/// AES-CM and HMAC-SHA1, of whose tag so many bytes are kept.
pub(crate) struct Cm {
    cipher: Aes128Enc,
    mac: Hmac<Sha1>,
    salt: [u8; 14],
    tag: usize,
}

impl Cm {
    fn apply_key_stream(&self, identity: Identity, data: &mut [u8]) {
        apply_key_stream(&self.cipher, counter(&self.salt, identity), data);
    }

    fn updated(&self, parts: &[&[u8]]) -> Hmac<Sha1> {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(part);
        }
        mac
    }

    fn authenticated(&self, parts: &[&[u8]]) -> [u8; 20] {
        self.updated(parts).finalize().into_bytes().into()
    }

    fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Result<(), Error> {
        self.updated(parts).verify_truncated_left(tag).map_err(|_| Error::Forged)
    }
}

impl Cipher {
    /// Those of RTP and of RTCP, with the master key and salt of the side that sends.
    pub(crate) fn pair(
        profile: Profile,
        key: &[u8],
        salt: &[u8],
    ) -> Result<(Self, Self), KeyError> {
        let master = Master::new(profile, key, salt)?;
        let rtp = Self::new(profile, &master.session(Part::Rtp)?, profile.rtp_overhead())?;
        let rtcp = Self::new(profile, &master.session(Part::Rtcp)?, profile.rtcp_tag())?;
        Ok((rtp, rtcp))
    }

    /// `tag` is how many bytes are kept of an HMAC.
    pub(crate) fn new(profile: Profile, keys: &SessionKeys, tag: usize) -> Result<Self, KeyError> {
        let [salt @ .., _, _] = keys.salt;
        let (key, _) = keys.encryption.split_at_checked(profile.key_length()).ok_or(KeyError)?;
        let algorithm = match profile {
            Profile::AeadAes128Gcm => &AES_128_GCM,
            Profile::AeadAes256Gcm => &AES_256_GCM,
            Profile::Aes128CmSha1_80 | Profile::Aes128CmSha1_32 => {
                return Ok(Self::Cm(Box::new(Cm {
                    cipher: Aes128Enc::new_from_slice(key).map_err(|_| KeyError)?,
                    mac: Hmac::new_from_slice(&keys.authentication).map_err(|_| KeyError)?,
                    salt: keys.salt,
                    tag,
                })));
            }
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| KeyError)?;
        Ok(Self::Gcm(Box::new(Gcm { key: LessSafeKey::new(key), salt })))
    }
}

/// The initialisation vector of AES-GCM: RTP's with a rollover counter and a number, RTCP's with an
/// index of 31 bits (RFC 7714 sections 8.1, 9.1).
fn nonce(salt: &[u8; 12], identity: Identity) -> Nonce {
    let value = u128::from(identity.ssrc) << 48 | u128::from(identity.index);
    let [_, _, _, _, value @ ..] = value.to_be_bytes();
    let mut bytes = *salt;
    for (byte, mask) in bytes.iter_mut().zip(value) {
        *byte ^= mask;
    }
    Nonce::assume_unique_for_key(bytes)
}

/// The initial counter of AES-CM (RFC 3711 section 4.1.1).
fn counter(salt: &[u8; 14], identity: Identity) -> [u8; 16] {
    let mut padded = [0; 16];
    for (place, byte) in padded.iter_mut().zip(salt) {
        *place = *byte;
    }
    let mask = u128::from(identity.ssrc) << 64 | u128::from(identity.index) << 16;
    (u128::from_be_bytes(padded) ^ mask).to_be_bytes()
}

/// Which packet it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) ssrc: u32,
    pub(crate) index: u64,
}

impl Identity {
    fn rollover(self) -> [u8; 4] {
        ((self.index >> 16) as u32).to_be_bytes()
    }
}

/// Bytes of the tag of AES-GCM (RFC 7714 section 13.1).
const GCM_TAG: usize = 16;
/// Bytes of an RTCP header that stay in clear.
const RTCP_CLEAR: usize = 8;
/// Bytes of the word with the index of SRTCP.
const WORD: usize = 4;
/// Marks an SRTCP packet that is encrypted, beside its index.
const ENCRYPTED: u32 = 1 << 31;

impl Cipher {
    /// Bytes of the tag.
    fn tag(&self) -> usize {
        match self {
            Self::Gcm(_) => GCM_TAG,
            Self::Cm(cm) => cm.tag,
        }
    }

    /// Encrypt `payload`, and write the tag of it and the header behind it, to `tag`.
    pub(crate) fn seal_rtp(
        &self,
        identity: Identity,
        header: &[u8],
        payload: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), Error> {
        match self {
            Self::Gcm(gcm) => put(tag, gcm.seal(identity, header, payload)?.as_ref()),
            Self::Cm(cm) => {
                cm.apply_key_stream(identity, payload);
                put(tag, &cm.authenticated(&[header, payload, &identity.rollover()]));
            }
        }
        Ok(())
    }

    /// Check and open what follows the header; returns how much of it is payload.
    pub(crate) fn open_rtp(
        &self,
        identity: Identity,
        header: &[u8],
        sealed: &mut [u8],
    ) -> Result<usize, Error> {
        let length = sealed.len().checked_sub(self.tag()).ok_or(Error::Truncated)?;
        match self {
            Self::Gcm(gcm) => gcm.open(identity, header, sealed)?,
            Self::Cm(cm) => {
                let (payload, tag) = sealed.split_at_mut_checked(length).ok_or(Error::Truncated)?;
                cm.verify(&[header, payload, &identity.rollover()], tag)?;
                cm.apply_key_stream(identity, payload);
            }
        }
        Ok(length)
    }

    /// Protect a compound RTCP packet, behind which `buffer` has room; returns how long it is now.
    pub(crate) fn seal_rtcp(
        &self,
        identity: Identity,
        buffer: &mut [u8],
        length: usize,
    ) -> Result<usize, Error> {
        let end = length + self.tag() + WORD;
        let whole = buffer.get_mut(..end).ok_or(Error::NoRoom)?;
        let (packet, trailer) = whole.split_at_mut_checked(length).ok_or(Error::NoRoom)?;
        let (clear, body) = packet.split_at_mut_checked(RTCP_CLEAR).ok_or(Error::Truncated)?;
        let word = (identity.index as u32 | ENCRYPTED).to_be_bytes();
        match self {
            Self::Gcm(gcm) => {
                put(trailer, gcm.seal(identity, joined(clear, word), body)?.as_ref());
                put(trailer.get_mut(GCM_TAG..).unwrap_or_default(), &word);
            }
            Self::Cm(cm) => {
                cm.apply_key_stream(identity, body);
                let tag = cm.authenticated(&[clear, body, &word]);
                put(trailer, &word);
                put(trailer.get_mut(WORD..).unwrap_or_default(), &tag);
            }
        }
        Ok(end)
    }

    /// The index of an SRTCP packet.
    pub(crate) fn rtcp_index(&self, packet: &[u8]) -> Result<u32, Error> {
        let behind = match self {
            Self::Gcm(_) => 0,
            Self::Cm(cm) => cm.tag,
        };
        let before = packet.len().checked_sub(behind).and_then(|end| packet.get(..end));
        let word = before.and_then(<[u8]>::last_chunk).ok_or(Error::Truncated)?;
        let word = u32::from_be_bytes(*word);
        if word & ENCRYPTED == 0 {
            return Err(Error::Unencrypted);
        }
        Ok(word & !ENCRYPTED)
    }

    /// Check and open an SRTCP packet; returns how long the RTCP packet is.
    pub(crate) fn open_rtcp(&self, identity: Identity, packet: &mut [u8]) -> Result<usize, Error> {
        let length = packet.len().checked_sub(self.tag() + WORD).ok_or(Error::Truncated)?;
        let (clear, rest) = packet.split_at_mut_checked(RTCP_CLEAR).ok_or(Error::Truncated)?;
        let body = length.checked_sub(RTCP_CLEAR).ok_or(Error::Truncated)?;
        let word = (identity.index as u32 | ENCRYPTED).to_be_bytes();
        match self {
            Self::Gcm(gcm) => {
                let sealed = rest.get_mut(..body + GCM_TAG).ok_or(Error::Truncated)?;
                gcm.open(identity, joined(clear, word), sealed)?;
            }
            Self::Cm(cm) => {
                let (body, trailer) = rest.split_at_mut_checked(body).ok_or(Error::Truncated)?;
                let tag = trailer.get(WORD..).ok_or(Error::Truncated)?;
                cm.verify(&[clear, body, &word], tag)?;
                cm.apply_key_stream(identity, body);
            }
        }
        Ok(length)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher") // nothing of its keys
    }
}

/// Write as much of `bytes` as there is room for.
fn put(place: &mut [u8], bytes: &[u8]) {
    for (place, byte) in place.iter_mut().zip(bytes) {
        *place = *byte;
    }
}

/// What AES-GCM authenticates of an RTCP packet beside its body (RFC 7714 section 9.2).
fn joined(clear: &[u8], word: [u8; WORD]) -> [u8; RTCP_CLEAR + WORD] {
    let mut both = [0; RTCP_CLEAR + WORD];
    put(&mut both, clear);
    put(both.get_mut(RTCP_CLEAR..).unwrap_or_default(), &word);
    both
}
