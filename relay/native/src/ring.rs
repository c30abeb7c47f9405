//! What is handed to the protocol core.

use callfleet_udp::{ErrorReport, Queued};

use crate::tables::Client;

/// In the order in which it came.
pub type Ring = callfleet_udp::Ring<Handed>;

/// One thing that the core is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// A datagram that is not for the data plane, and which worker's listener it came to.
    Datagram {
        /// From whom.
        client: Client,
        /// Which thread owns the flows of this 5-tuple.
        worker: usize,
        /// All of it.
        data: Vec<u8>,
    },
    /// The client of a session has come from where it was expected.
    Arrived {
        /// Whose.
        session: u64,
        /// From where.
        client: Client,
    },
    /// An ICMP error about a datagram of a session.
    Error {
        /// Whose.
        session: u64,
        /// What.
        report: ErrorReport,
    },
}

impl Queued for Handed {
    fn bytes(&self) -> usize {
        match self {
            Self::Datagram { data, .. } => data.len(),
            _ => 0,
        }
    }
}
