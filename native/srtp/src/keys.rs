//! Session keys from a master key (RFC 3711 section 4.3, RFC 7714 section 11).

use aes::cipher::{BlockSizeUser, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use aes::{Aes128Enc, Aes256Enc};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;

use crate::{KeyError, Profile};

/// The parts that keys are derived for; those of SRTCP are three further.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Rtp = 0,
    Rtcp = 3,
}

const ENCRYPTION: u8 = 0;
const AUTHENTICATION: u8 = 1;
const SALT: u8 = 2;

/// Where the label stands in the initial counter: above 48 bits of index and 16 of counter.
const LABEL_AT: usize = 7;

/// What protects one kind of packets.
#[derive(Clone)]
pub(crate) struct SessionKeys {
    pub(crate) encryption: [u8; 32],
    pub(crate) authentication: [u8; 20],
    pub(crate) salt: [u8; 14],
}

/// A master key and its salt.
pub(crate) struct Master<'a> {
    key: &'a [u8],
    /// Filled with zeros at its end.
    salt: [u8; 14],
}

impl<'a> Master<'a> {
    pub(crate) fn new(profile: Profile, key: &'a [u8], salt: &[u8]) -> Result<Self, KeyError> {
        if key.len() != profile.key_length() || salt.len() != profile.salt_length() {
            return Err(KeyError);
        }
        let mut filled = [0; 14];
        for (place, byte) in filled.iter_mut().zip(salt) {
            *place = *byte;
        }
        Ok(Self { key, salt: filled })
    }

    fn derive<const N: usize>(&self, label: u8) -> Result<[u8; N], KeyError> {
        let mut counter = [0; 16];
        for (at, (place, byte)) in counter.iter_mut().zip(self.salt).enumerate() {
            *place = if at == LABEL_AT { byte ^ label } else { byte };
        }
        let mut key = [0; N];
        if let Ok(cipher) = Aes128Enc::new_from_slice(self.key) {
            apply_key_stream(&cipher, counter, &mut key);
        } else {
            let cipher = Aes256Enc::new_from_slice(self.key).map_err(|_| KeyError)?;
            apply_key_stream(&cipher, counter, &mut key);
        }
        Ok(key)
    }

    pub(crate) fn session(&self, part: Part) -> Result<SessionKeys, KeyError> {
        Ok(SessionKeys {
            encryption: self.derive(part as u8 + ENCRYPTION)?,
            authentication: self.derive(part as u8 + AUTHENTICATION)?,
            salt: self.derive(part as u8 + SALT)?,
        })
    }
}

/// AES in counter mode from that initial counter on, in place.
pub(crate) fn apply_key_stream<C>(cipher: &C, counter: [u8; 16], data: &mut [u8])
where
    C: aes::cipher::BlockCipherEncrypt + BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    let core = CtrCore::<&C, Ctr128BE>::inner_iv_init(cipher, &counter.into());
    StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::hex;

    /// RFC 3711 appendix B.3.
    #[test]
    fn session_keys_are_those_of_rfc_3711() {
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        let master = Master::new(Profile::Aes128CmSha1_80, &key, &salt).unwrap();
        let keys = master.session(Part::Rtp).unwrap();
        assert_eq!(keys.encryption[..16], hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(keys.salt, *hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(keys.authentication, *hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    }

    /// RFC 3711 appendix B.2.
    #[test]
    fn the_key_stream_is_that_of_rfc_3711() {
        let cipher = Aes128Enc::new_from_slice(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
        let mut stream = [0; 16 * 0xFF02];
        apply_key_stream(
            &cipher,
            *hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").first_chunk().unwrap(),
            &mut stream,
        );
        assert_eq!(
            stream[..32],
            hex("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB")
        );
        assert_eq!(
            stream[16 * 0xFEFF..16 * 0xFF01],
            hex("EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE")
        );
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        for profile in Profile::ALL {
            let (key, salt) = (vec![0; profile.key_length()], vec![0; profile.salt_length()]);
            assert!(Master::new(profile, &key, &salt).is_ok());
            assert!(Master::new(profile, &key[1..], &salt).is_err());
            assert!(Master::new(profile, &key, &salt[1..]).is_err());
        }
    }
}
