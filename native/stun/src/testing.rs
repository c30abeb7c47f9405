//! Messages for tests.

use proptest::prelude::ProptestConfig;

use crate::COOKIE;

/// How many cases a fuzz test takes.
pub(crate) fn cases() -> ProptestConfig {
    let given = std::env::var("PROPTEST_CASES").ok().and_then(|number| number.parse().ok());
    ProptestConfig {
        cases: given.unwrap_or(2000),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut made = kind.to_be_bytes().to_vec();
    made.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    made.extend(value);
    made.resize(made.len().next_multiple_of(4), 0);
    made
}

/// A whole message of transaction 7, 7, ...
pub(crate) fn message(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    let body = attributes.concat();
    let mut made = kind.to_be_bytes().to_vec();
    made.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    made.extend(COOKIE.to_be_bytes());
    made.extend([7; 12]);
    made.extend(body);
    made
}
