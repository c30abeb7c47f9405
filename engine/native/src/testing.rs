//! What tests have in common.

use std::path::PathBuf;

use proptest::prelude::*;

/// So many cases of each property; `PROPTEST_CASES` says another number.
pub(crate) fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(500),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The recorded packets of the Python plane's tests whose names begin so.
pub(crate) fn recorded(kind: &str) -> Vec<Vec<u8>> {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    let files = std::fs::read_dir(tests.join("callfleet_engine/media/packets")).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    let named = paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(kind));
    let packets: Vec<_> = named.map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!packets.is_empty());
    packets
}

/// One of those packets, cut short and with some other bytes.
pub(crate) fn damaged(kind: &str) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (
        prop::sample::select(recorded(kind)),
        prop::collection::vec(change, 0..5),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(mut packet, changes, cut)| {
            for (at, byte) in changes {
                let place = at.index(packet.len());
                packet[place] = byte;
            }
            packet.truncate(cut.index(packet.len()) + 1);
            packet
        })
}
