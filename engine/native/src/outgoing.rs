//! What leaves the core: datagrams, in one piece of memory, and what Python is told.

use std::net::SocketAddr;

use callfleet_udp::Queued;

/// One datagram that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Whose connection; those of one keep their order.
    pub connection: u64,
    /// From which socket.
    pub side: usize,
    /// To whom.
    pub to: SocketAddr,
    start: usize,
    length: usize,
}

/// What the control is told, in the order in which it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A datagram that begins like STUN.
    Stun {
        /// The socket that it came to.
        side: usize,
        /// From where.
        source: SocketAddr,
        /// All of it.
        data: Vec<u8>,
    },
    /// A DTLS datagram of a connection.
    Dtls {
        /// Whose.
        connection: u64,
        /// From where.
        source: SocketAddr,
        /// All of it.
        data: Vec<u8>,
    },
    /// Authentic media of a connection from an address that is not the selected one.
    Elsewhere {
        /// Whose.
        connection: u64,
        /// From where.
        source: SocketAddr,
    },
}

impl Queued for Event {
    fn bytes(&self) -> usize {
        match self {
            Self::Stun { data, .. } | Self::Dtls { data, .. } => data.len(),
            Self::Elsewhere { .. } => 0,
        }
    }
}

/// Collects what leaves until it is sent.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// As long as it ever was; `used` bytes of it hold datagrams.
    bytes: Vec<u8>,
    used: usize,
    datagrams: Vec<Datagram>,
    events: Vec<Event>,
}

impl Outgoing {
    /// Add a datagram that `write` writes into `room` bytes; false if it writes none.
    pub(crate) fn push(
        &mut self,
        (connection, side, to): (u64, usize, SocketAddr),
        room: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        let (start, end) = (self.used, self.used + room);
        if self.bytes.len() < end {
            self.bytes.resize(end.next_power_of_two(), 0);
        }
        let length = self.bytes.get_mut(start..end).and_then(write).filter(|len| *len <= room);
        let Some(length) = length else {
            return false;
        };
        self.used += length;
        self.datagrams.push(Datagram { connection, side, to, start, length });
        true
    }

    /// Tell the control something.
    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// How many datagrams there are.
    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Put those of one socket and one connection beside each other, each in its order.
    pub(crate) fn group(&mut self) {
        self.datagrams.sort_by_key(|each| (each.side, each.connection));
    }

    /// All of them.
    pub fn datagrams(&self) -> &[Datagram] {
        &self.datagrams
    }

    /// What one of them holds.
    pub fn data(&self, datagram: &Datagram) -> &[u8] {
        self.bytes.get(datagram.start..datagram.start + datagram.length).unwrap_or_default()
    }

    /// Take what the control is to be told.
    pub fn take_events(&mut self) -> std::vec::Drain<'_, Event> {
        self.events.drain(..)
    }

    /// Forget the datagrams: they were sent.
    pub fn clear(&mut self) {
        self.used = 0;
        self.datagrams.clear();
    }
}
