//! Answers questions about packets, one a line on standard input, for the test that holds this
//! crate against the Python plane.
//!
//! A question is a name and its arguments, bytes in hexadecimal ("-": none). An answer is a line;
//! "refused" where the packet is malformed.

mod protection;
mod reading;
mod streams;
mod text;
mod writing;

use std::io::{BufRead, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut streams = streams::Streams::default();
    let mut protection = protection::Protection::default();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = reading::answer(&words)
            .or_else(|| writing::answer(&words))
            .or_else(|| streams.answer(&words))
            .or_else(|| protection.answer(&words));
        writeln!(out, "{}", answer.ok_or_else(|| format!("not a question: {line}"))?)?;
    }
    out.flush()?;
    Ok(())
}
