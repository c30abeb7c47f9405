//! STUN (RFC 8489): messages and their attributes, addresses, and the connectivity checks of ICE as
//! an agent that is lite answers them (RFC 8445 section 7.3).
//!
//! It does no I/O, and takes any bytes.

mod address;
mod check;
mod message;
#[cfg(test)]
mod testing;

pub use address::{XorAddress, read_xor_address};
pub use check::{Check, MAX_ANSWER, Password};
pub use message::{
    Attribute, COOKIE, FINGERPRINT, FIRST_OPTIONAL, HEADER, Malformed, Message, Transaction,
};
