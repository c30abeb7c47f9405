//! H.264 payloads: which packet starts a sequence (RFC 6184 section 5).

use super::payload::Payload;
use crate::Malformed;

const TYPE: u8 = 0x1F;
const SEQUENCE_PARAMETERS: u8 = 7;
const AGGREGATE: u8 = 24;
const FRAGMENT: u8 = 28;
const FRAGMENT_STARTS: u8 = 0x80;

/// A decoder can begin where sequence parameters are: they come before each IDR picture.
pub fn read(payload: &[u8]) -> Result<Payload, Malformed> {
    let (first, rest) = payload.split_first().ok_or(Malformed("H.264 payload is truncated"))?;
    let starts = match first & TYPE {
        SEQUENCE_PARAMETERS => true,
        FRAGMENT => {
            let header = rest.first().ok_or(Malformed("H.264 fragment is truncated"))?;
            header & FRAGMENT_STARTS != 0 && header & TYPE == SEQUENCE_PARAMETERS
        }
        AGGREGATE => aggregate_starts(rest).ok_or(Malformed("H.264 aggregate is truncated"))?,
        _ => false,
    };
    Ok(Payload { starts, marks: None })
}

/// Whether a STAP-A (section 5.7.1) holds sequence parameters; `None` if it is truncated before.
fn aggregate_starts(mut units: &[u8]) -> Option<bool> {
    while !units.is_empty() {
        let (size, rest) = units.split_first_chunk()?;
        let (unit, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        if unit.first().is_some_and(|header| header & TYPE == SEQUENCE_PARAMETERS) {
            return Some(true);
        }
        units = rest;
    }
    Some(false)
}
