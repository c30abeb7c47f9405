//! Protection profiles by their DTLS names (RFC 5764 section 4.1.2, RFC 7714 section 14.2).

/// How packets are encrypted and authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// AES-CM with 128 bits, HMAC-SHA1 with 80.
    Aes128CmSha1_80,
    /// AES-CM with 128 bits, HMAC-SHA1 with 32; 80 of SRTCP.
    Aes128CmSha1_32,
    /// AES-GCM with 128 bits.
    AeadAes128Gcm,
    /// AES-GCM with 256 bits.
    AeadAes256Gcm,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Aes128CmSha1_80, Self::Aes128CmSha1_32, Self::AeadAes128Gcm, Self::AeadAes256Gcm];

    /// As OpenSSL calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128CmSha1_80 => "SRTP_AES128_CM_SHA1_80",
            Self::Aes128CmSha1_32 => "SRTP_AES128_CM_SHA1_32",
            Self::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
        }
    }

    /// The one that OpenSSL calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Bytes of the master key.
    pub const fn key_length(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Bytes of the master salt.
    pub const fn salt_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            _ => 14,
        }
    }

    /// Bytes that protection adds to an RTP packet: its tag.
    pub const fn rtp_overhead(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => 10,
            Self::Aes128CmSha1_32 => 4,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    /// Bytes of an RTCP packet's tag.
    pub(crate) const fn rtcp_tag(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 => 10,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    /// Bytes that protection adds to an RTCP packet, the word with the index among them.
    pub const fn rtcp_overhead(self) -> usize {
        self.rtcp_tag() + 4
    }
}
