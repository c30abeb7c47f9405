//! Redundant audio (RFC 2198): the blocks of a payload.

use crate::Malformed;

/// More blocks than anybody sends.
pub const MAX_BLOCKS: usize = 16;

const MORE: u8 = 0x80;
const REDUNDANT_HEADER: usize = 4;
const HEADER_TRUNCATED: Malformed = Malformed("RED header is truncated");

/// How many redundant blocks there are, and the sum of their lengths.
fn redundant(payload: &[u8]) -> Result<(usize, usize), Malformed> {
    let (mut count, mut lengths) = (0, 0);
    loop {
        let rest = payload.get(REDUNDANT_HEADER * count..).ok_or(HEADER_TRUNCATED)?;
        if *rest.first().ok_or(HEADER_TRUNCATED)? & MORE == 0 {
            break;
        }
        count += 1;
        if count == MAX_BLOCKS {
            return Err(Malformed("RED payload has more than 16 blocks"));
        }
        let [_, _, high, low, _, ..] = rest else {
            return Err(HEADER_TRUNCATED);
        };
        lengths += usize::from(high & 0x03) << 8 | usize::from(*low);
    }
    if payload.len() < REDUNDANT_HEADER * count + 1 + lengths {
        return Err(Malformed("RED payload is truncated"));
    }
    Ok((count, lengths))
}

/// Give all blocks this payload type, in place: it is another for each side.
pub fn set_payload_type(payload: &mut [u8], payload_type: u8) -> Result<(), Malformed> {
    let (count, _) = redundant(payload)?;
    for header in payload.iter_mut().step_by(REDUNDANT_HEADER).take(count + 1) {
        *header = *header & MORE | payload_type & !MORE;
    }
    Ok(())
}

/// The newest block alone, for those who take no RED.
pub fn primary(payload: &[u8]) -> Result<&[u8], Malformed> {
    let (count, lengths) = redundant(payload)?;
    Ok(payload.get(REDUNDANT_HEADER * count + 1 + lengths..).unwrap_or_default())
}
