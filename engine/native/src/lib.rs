//! The engine's native media plane.
//!
//! Modules have the names of those of `callfleet_engine.media`, the reference: what differs is a
//! fault here. They know nothing of Python and do no I/O.

mod checks;
pub mod codecs;
mod core;
mod downtrack;
mod egress;
pub mod inbound;
mod ingress;
pub mod layers;
mod malformed;
pub mod numbering;
mod outgoing;
pub mod packet;
mod payload_types;
mod plane;
mod published;
mod published_layer;
mod publishing;
pub mod retransmission;
pub mod rtcp;
pub mod rtp;
mod subscribing;
#[cfg(test)]
mod testing;
pub mod timeline;
mod times;
mod totals;
mod transport;
pub mod transport_feedback;

pub use crate::core::{Accepted, Core, Half, Keys, Told};
pub use downtrack::{DownFigures, DownState, NewDown};
pub use egress::Report;
pub use ingress::{Outcome, TransportExtensions};
pub use malformed::Malformed;
pub use outgoing::{Datagram, Event, Outgoing};
pub use plane::Plane;
pub use published::{LayerState, TrackSettings, TrackState};
pub use publishing::{LayerFigures, PublisherSettings};
pub use subscribing::RtxSettings;
pub use times::Times;
pub use totals::{JITTER_BOUNDS_SECONDS, Totals};
