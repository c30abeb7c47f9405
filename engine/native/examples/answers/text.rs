//! Arguments and answers as text.

use std::fmt::{Display, Write};
use std::str::FromStr;

use callfleet_media::Malformed;
use callfleet_media::rtp::Identifiers;

/// A number.
pub fn number<N: FromStr>(word: &str) -> Option<N> {
    word.parse().ok()
}

/// A number, or "-".
pub fn optional<N: FromStr>(word: &str) -> Option<Option<N>> {
    if word == "-" { Some(None) } else { word.parse().ok().map(Some) }
}

/// Bytes in hexadecimal.
pub fn bytes(word: &str) -> Option<Vec<u8>> {
    if word == "-" {
        return Some(Vec::new());
    }
    (0..word.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(word.get(at..at + 2)?, 16).ok())
        .collect()
}

/// Numbers separated by commas.
pub fn list<N: FromStr>(word: &str) -> Option<Vec<N>> {
    if word == "-" {
        return Some(Vec::new());
    }
    word.split(',').map(|each| each.parse().ok()).collect()
}

/// Pairs such as "3:5,4:6".
pub fn pairs(word: &str) -> Option<Vec<(u8, u8)>> {
    if word == "-" {
        return Some(Vec::new());
    }
    word.split(',')
        .map(|pair| {
            let (from, to) = pair.split_once(':')?;
            Some((from.parse().ok()?, to.parse().ok()?))
        })
        .collect()
}

/// Pairs as the numbers of header extensions.
pub fn identifiers(word: &str) -> Option<Identifiers> {
    Some(pairs(word)?.into_iter().collect())
}

/// Bytes in hexadecimal.
pub fn hex(data: &[u8]) -> String {
    let mut text = String::new();
    for byte in data {
        let _ = write!(text, "{byte:02x}");
    }
    if text.is_empty() { "-".into() } else { text }
}

/// Values separated by commas.
pub fn joined<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let text: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if text.is_empty() { "-".into() } else { text.join(",") }
}

/// A value, or "-".
pub fn shown<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// The bits of a floating-point number.
pub fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}

/// The answer, or "refused".
pub fn or_refused(answer: Result<String, Malformed>) -> String {
    answer.unwrap_or_else(|_| "refused".into())
}
