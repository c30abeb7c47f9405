//! The relay's native data plane: it relays for the sessions that it is told of and hands over
//! everything else.
//!
//! It knows nothing of Python. [`Plane`] is what the protocol core asks; [`Ring`] is what it is
//! told. Its reference is `callfleet_relay.transport.python`: what differs is a fault here.

mod plane;
mod rates;
mod ring;
mod streams;
mod stun;
mod tables;
mod tls;
mod to_clients;
mod to_peers;
mod worker;

pub use plane::{Figures, Opening, Plane};
pub use rates::{BitRates, Limit};
pub use ring::{Handed, Ring};
pub use streams::{Received, Sent, StreamBatches, StreamRelay};
pub use tables::{Client, Drop, Ports, Traffic};
pub use tls::{TlsConnection, TlsServer};
