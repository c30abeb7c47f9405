//! What one worker knows of its sessions. They follow the protocol core's events one by one.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use ahash::AHashMap;
use callfleet_udp::{Coalescing, Lost, is_too_long, kernel_drops, read_error};

use crate::rates::Limit;
use crate::ring::{Handed, Ring};

/// Errors read of one socket before others get their turn.
const MAX_ERRORS: usize = 64;
/// Peers of one host that Send indications reach without asking the core each time.
const MAX_LEARNED: usize = 64;
const ICMP_ORIGINS: [u8; 2] = [2, 3];

/// A client's 5-tuple: which listener it came to, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Its index.
    pub listener: usize,
    /// Its source address.
    pub address: SocketAddr,
}

/// Why a datagram went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Its peer is not permitted.
    NoPermission,
    /// Its channel is not bound.
    NoChannel,
    /// A buffer of the kernel's was full, or it would not send.
    Kernel,
    /// It ends before it should.
    Malformed,
    /// It fits in no datagram.
    TooLong,
    /// It was beyond a bit rate.
    Rate,
    /// The protocol core was too far behind.
    Backlog,
}

impl Drop {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NoPermission,
        Self::NoChannel,
        Self::Kernel,
        Self::Malformed,
        Self::TooLong,
        Self::Rate,
        Self::Backlog,
    ];

    /// As the metric's label has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoPermission => "no_permission",
            Self::NoChannel => "no_channel",
            Self::Kernel => "kernel",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Rate => "rate",
            Self::Backlog => "backlog",
        }
    }

    pub(crate) fn of_send(error: &io::Error) -> Self {
        if is_too_long(error) { Self::TooLong } else { Self::Kernel }
    }
}

/// How many of each cause.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops([u64; Drop::ALL.len()]);

impl Drops {
    pub(crate) fn add(&mut self, cause: Drop, count: u64) {
        if let Some(kept) = self.0.get_mut(cause as usize) {
            *kept += count;
        }
    }

    pub(crate) fn of(&self, cause: Drop) -> u64 {
        self.0.get(cause as usize).copied().unwrap_or_default()
    }
}

/// What was relayed; bytes are those of the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent to peers.
    pub packets_from_client: u64,
    /// Their payload.
    pub bytes_from_client: u64,
    /// Datagrams sent to clients.
    pub packets_to_client: u64,
    /// Their payload.
    pub bytes_to_client: u64,
}

impl Traffic {
    pub(crate) fn add(&mut self, other: &Self) {
        self.packets_from_client += other.packets_from_client;
        self.bytes_from_client += other.bytes_from_client;
        self.packets_to_client += other.packets_to_client;
        self.bytes_to_client += other.bytes_to_client;
    }
}

/// Ports of one host that are permitted; `None` for all of them.
pub type Ports = Option<BTreeSet<u16>>;

/// A host as permissions name it: link-local ones with their interface.
pub(crate) type Host = (IpAddr, u32);

pub(crate) fn host_of(address: &SocketAddr) -> Host {
    match address {
        SocketAddr::V4(four) => ((*four.ip()).into(), 0),
        SocketAddr::V6(six) => ((*six.ip()).into(), six.scope_id()),
    }
}

#[derive(Debug, Default)]
pub(crate) struct Permission {
    ports: Ports,
    /// Ports that the core has let a Send go to since the permission was last set.
    learned: BTreeSet<u16>,
}

impl Permission {
    pub(crate) fn new(ports: Ports) -> Self {
        Self { ports, learned: BTreeSet::new() }
    }

    fn permits(&self, port: u16) -> bool {
        self.ports.as_ref().is_none_or(|ports| ports.contains(&port))
    }
}

/// One relayed address of a session.
#[derive(Debug)]
pub(crate) struct RelaySocket {
    pub(crate) socket: OwnedFd,
    pub(crate) coalescing: Coalescing,
    drops_seen: u32,
}

impl RelaySocket {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, coalescing: Coalescing::default(), drops_seen: 0 }
    }

    pub(crate) fn new_kernel_drops(&mut self) -> u64 {
        new_drops(&self.socket, &mut self.drops_seen)
    }
}

/// Drops of the kernel's since the last call.
pub(crate) fn new_drops(socket: &OwnedFd, seen: &mut u32) -> u64 {
    // A socket that cannot tell has dropped nothing that is known of.
    let now = kernel_drops(socket.as_fd()).unwrap_or(*seen);
    u64::from(now.wrapping_sub(std::mem::replace(seen, now)))
}

/// The relayed addresses of a session, IPv4 and IPv6.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    four: Option<RelaySocket>,
    six: Option<RelaySocket>,
}

impl Relays {
    pub(crate) fn slot(&mut self, is_ipv6: bool) -> &mut Option<RelaySocket> {
        if is_ipv6 { &mut self.six } else { &mut self.four }
    }

    pub(crate) fn of(&self, is_ipv6: bool) -> Option<&RelaySocket> {
        if is_ipv6 { self.six.as_ref() } else { self.four.as_ref() }
    }

    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut RelaySocket> {
        [&mut self.four, &mut self.six].into_iter().flatten()
    }

    /// Tell of the ICMP errors that are queued, but for refusals of this system's own; how many
    /// there was no room to tell.
    pub(crate) fn take_errors(&self, session: u64, ring: &Ring) -> u64 {
        let mut untold = 0;
        for relay in [&self.four, &self.six].into_iter().flatten() {
            for _ in 0..MAX_ERRORS {
                match read_error(relay.socket.as_fd()) {
                    Ok(Some(report)) if ICMP_ORIGINS.contains(&report.origin) => {
                        untold += u64::from(!ring.push(Handed::Error { session, report }));
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        untold
    }
}

/// One session.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) session: u64,
    pub(crate) client: Client,
    pub(crate) expected: Option<Client>,
    pub(crate) relays: Relays,
    pub(crate) channels: AHashMap<u16, SocketAddr>,
    pub(crate) numbers: AHashMap<SocketAddr, u16>,
    pub(crate) hosts: AHashMap<Host, Permission>,
    pub(crate) upstream: Option<Limit>,
    pub(crate) downstream: Option<Limit>,
    pub(crate) traffic: Traffic,
    /// The last batch in which it had a train, and which.
    pub(crate) train: (u64, usize),
}

impl Flow {
    pub(crate) fn permits(&self, peer: &SocketAddr) -> bool {
        self.hosts.get(&host_of(peer)).is_some_and(|host| host.permits(peer.port()))
    }

    /// Whether a Send to this peer needs no judgement of the core's.
    pub(crate) fn may_send(&self, peer: &SocketAddr) -> bool {
        self.hosts
            .get(&host_of(peer))
            .is_some_and(|host| host.permits(peer.port()) && host.learned.contains(&peer.port()))
    }

    /// The core has let a Send go to this peer.
    pub(crate) fn learn(&mut self, peer: &SocketAddr) {
        if let Some(host) = self.hosts.get_mut(&host_of(peer)) {
            if host.learned.len() < MAX_LEARNED {
                host.learned.insert(peer.port());
            }
        }
    }
}

/// Everything of one worker's that the core's calls and the worker's thread share.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) flows: AHashMap<u64, Flow>,
    pub(crate) clients: AHashMap<Client, u64>,
    pub(crate) expected: AHashMap<Client, u64>,
    /// Of sessions that are over.
    pub(crate) closed: Traffic,
    /// Datagrams, both directions, sessions under way included.
    pub(crate) packets: u64,
    pub(crate) drops: Drops,
}

impl Tables {
    pub(crate) fn expect_nobody(&mut self, session: u64) {
        let expected = self.flows.get_mut(&session).and_then(|flow| flow.expected.take());
        if let Some(client) = expected {
            self.expected.remove(&client);
        }
    }

    pub(crate) fn expect(&mut self, session: u64, client: Client) {
        self.expect_nobody(session);
        if let Some(flow) = self.flows.get_mut(&session) {
            flow.expected = Some(client);
            self.expected.insert(client, session);
        }
    }

    /// Its client is here now; where it was before.
    pub(crate) fn move_client(&mut self, session: u64, client: Client) -> Option<Client> {
        self.expect_nobody(session);
        let flow = self.flows.get_mut(&session)?;
        let before = std::mem::replace(&mut flow.client, client);
        self.clients.remove(&before);
        self.clients.insert(client, session);
        Some(before)
    }

    /// Forget a session; its sockets are closed.
    pub(crate) fn close(&mut self, session: u64) -> Option<(Traffic, Client, Option<Client>)> {
        let expected = self.flows.get(&session).and_then(|flow| flow.expected);
        self.expect_nobody(session);
        let mut flow = self.flows.remove(&session)?;
        self.clients.remove(&flow.client);
        for relay in flow.relays.each() {
            self.drops.add(Drop::Kernel, relay.new_kernel_drops());
        }
        self.closed.add(&flow.traffic);
        Some((flow.traffic, flow.client, expected))
    }

    /// Count what did not leave.
    pub(crate) fn add_lost(&mut self, lost: &mut Vec<Lost>) {
        for each in lost.drain(..) {
            self.drops.add(Drop::of_send(&each.error), 1);
        }
    }
}
