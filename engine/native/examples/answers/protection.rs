//! SRTP, held against libsrtp.

use callfleet_srtp::{Inbound, MAX_OVERHEAD, Outbound, Profile};

use crate::text::{bytes, hex};

/// Both directions of a transport under the same keys.
#[derive(Default)]
pub struct Protection(Option<(Outbound, Inbound)>);

impl Protection {
    /// The answer to a question about protection.
    pub fn answer(&mut self, words: &[&str]) -> Option<String> {
        if let ["keys", name, key, salt] = *words {
            let (profile, key, salt) = (Profile::from_name(name)?, bytes(key)?, bytes(salt)?);
            let outbound = Outbound::new(profile, &key, &salt).ok()?;
            self.0 = Some((outbound, Inbound::new(profile, &key, &salt).ok()?));
            return Some("new".into());
        }
        let (outbound, inbound) = self.0.as_mut()?;
        let [question, data] = *words else {
            return None;
        };
        let mut data = bytes(data)?;
        let length = data.len();
        let result = match question {
            "protect" => {
                data.resize(length + MAX_OVERHEAD, 0);
                outbound.protect_rtp(&mut data, length)
            }
            "protect_rtcp" => {
                data.resize(length + MAX_OVERHEAD, 0);
                outbound.protect_rtcp(&mut data, length)
            }
            "unprotect" => inbound.unprotect_rtp(&mut data),
            "unprotect_rtcp" => inbound.unprotect_rtcp(&mut data),
            _ => return None,
        };
        Some(match result {
            Ok(length) => hex(data.get(..length)?),
            Err(_) => "refused".into(),
        })
    }
}
