//! AV1 payloads: the aggregation header (RTP Payload Format For AV1, section 4.4).

use super::payload::Payload;
use crate::Malformed;

const CONTINUES: u8 = 0x80;
const NEW_SEQUENCE: u8 = 0x08;

/// A decoder can begin at the first packet of a coded video sequence.
pub fn read(payload: &[u8]) -> Result<Payload, Malformed> {
    let [first, _, ..] = payload else {
        return Err(Malformed("AV1 payload is truncated"));
    };
    Ok(Payload { starts: first & (CONTINUES | NEW_SEQUENCE) == NEW_SEQUENCE, marks: None })
}
