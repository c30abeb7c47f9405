//! What the protocol core asks of the plane. All calls come from one thread.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use ahash::{AHashMap, AHashSet};
use callfleet_udp::{Epoll, EventFd, Outbox, Train, receive_coalesced, send_to, send_unfragmented};
use parking_lot::{Mutex, RwLock};

use crate::rates::Limit;
use crate::ring::Ring;
use crate::tables::{
    Client, Drop, Drops, Flow, Permission, Ports, RelaySocket, Relays, Tables, Traffic, host_of,
    new_drops,
};
use crate::to_peers::send_from_relay;
use crate::worker::{Runner, STOP, Shared, Worker, listener_token, relay_token};

/// Totals since the start.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Sessions under way included.
    pub traffic: Traffic,
    drops: Drops,
}

impl Figures {
    /// Datagrams that went no further for this cause.
    pub fn dropped(&self, cause: Drop) -> u64 {
        self.drops.of(cause)
    }
}

/// A new session.
#[derive(Debug)]
pub struct Opening {
    /// Its number, below 2^62, never used again.
    pub session: u64,
    /// Whose it is.
    pub client: Client,
    /// Bound, non-blocking UDP sockets that report ICMP errors, one of each family.
    pub relays: Vec<(bool, OwnedFd)>,
    /// The limit of what comes from the client.
    pub upstream: Option<Limit>,
    /// The limit of what goes to it.
    pub downstream: Option<Limit>,
    /// The worker that its Allocate came to.
    pub worker: usize,
}

/// The data plane; see the crate.
pub struct Plane {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Which worker has which session.
    sessions: Mutex<AHashMap<u64, usize>>,
    outbox: Mutex<Outbox>,
    listener_drops: Mutex<Vec<Vec<u32>>>,
    relayed_hosts: AHashSet<IpAddr>,
}

impl Plane {
    /// Start a thread for each of `listeners`, which has a non-blocking UDP socket of every
    /// listener; those of one listener share its address (SO_REUSEPORT).
    ///
    /// `relayed_hosts`: of addresses that other sessions may come to be relayed on, where that
    /// makes them no peers. `now`: the second at this moment of the clock that bit rates go by.
    pub fn new(
        listeners: Vec<Vec<OwnedFd>>,
        relayed_hosts: AHashSet<IpAddr>,
        now: f64,
    ) -> io::Result<Self> {
        let listener_drops = listeners.iter().map(|sockets| vec![0; sockets.len()]).collect();
        let workers = listeners.into_iter().map(new_worker).collect::<io::Result<Vec<_>>>()?;
        let count = workers.len();
        let shared = Arc::new(Shared {
            workers,
            ring: Ring::new()?,
            homes: RwLock::default(),
            started: Instant::now(),
            started_at: now,
        });
        let plane = Self {
            shared: shared.clone(),
            threads: Mutex::default(),
            sessions: Mutex::default(),
            outbox: Mutex::default(),
            listener_drops: Mutex::new(listener_drops),
            relayed_hosts,
        };
        for index in 0..count {
            let runner = Runner::new(shared.clone(), index);
            let named = thread::Builder::new().name(format!("relay-{index}"));
            plane.threads.lock().push(named.spawn(move || runner.run())?);
        }
        Ok(plane)
    }

    /// What the core is told.
    pub fn ring(&self) -> &Ring {
        &self.shared.ring
    }

    /// Send to a client.
    pub fn reply(&self, client: Client, data: &[u8]) {
        let Some(worker) = self.shared.workers.first() else {
            return;
        };
        let Some(socket) = worker.listeners.get(client.listener) else {
            return;
        };
        if let Err(error) = send_to(socket.as_fd(), data, &client.address) {
            worker.tables.lock().drops.add(Drop::of_send(&error), 1);
        }
    }

    /// Relay for a session from now on.
    pub fn open(&self, opening: Opening) -> io::Result<()> {
        let index = opening.worker % self.shared.workers.len().max(1);
        let Some(worker) = self.shared.workers.get(index) else {
            return Ok(());
        };
        let Opening { session, client, .. } = opening;
        let mut relays = Relays::default();
        for (is_ipv6, socket) in opening.relays {
            // Without it datagrams come one by one.
            let _ = receive_coalesced(socket.as_fd());
            worker.epoll.add(socket.as_fd(), relay_token(session, is_ipv6))?;
            *relays.slot(is_ipv6) = Some(RelaySocket::new(socket));
        }
        let flow = Flow {
            session,
            client,
            expected: None,
            relays,
            channels: AHashMap::new(),
            numbers: AHashMap::new(),
            hosts: AHashMap::new(),
            upstream: opening.upstream,
            downstream: opening.downstream,
            traffic: Traffic::default(),
            train: (0, 0),
        };
        self.set_home(client, index);
        self.sessions.lock().insert(session, index);
        let mut tables = worker.tables.lock();
        tables.clients.insert(client, session);
        tables.flows.insert(session, flow);
        Ok(())
    }

    /// Close the relay socket of one family.
    pub fn close_relay(&self, session: u64, is_ipv6: bool) {
        self.with(session, |tables, _| {
            let flow = tables.flows.get_mut(&session)?;
            let mut relay = flow.relays.slot(is_ipv6).take()?;
            tables.drops.add(Drop::Kernel, relay.new_kernel_drops());
            Some(())
        });
    }

    /// Its client is about to come from here as well.
    pub fn expect_client(&self, session: u64, client: Client) {
        self.with(session, |tables, index| {
            tables.expect(session, client);
            self.set_home(client, index);
            Some(())
        });
    }

    /// Its client is here now, and no longer where it was.
    pub fn move_client(&self, session: u64, client: Client) {
        self.with(session, |tables, index| {
            let before = tables.move_client(session, client)?;
            self.forget_home(&before);
            self.set_home(client, index);
            Some(())
        });
    }

    /// Relay datagrams of this host, from these ports of it.
    pub fn permit(&self, session: u64, host: &SocketAddr, ports: Ports) {
        self.with(session, |tables, _| {
            let flow = tables.flows.get_mut(&session)?;
            flow.hosts.insert(host_of(host), Permission::new(ports));
            Some(())
        });
    }

    /// Relay nothing of this host any more.
    pub fn forbid(&self, session: u64, host: &SocketAddr) {
        self.with(session, |tables, _| {
            tables.flows.get_mut(&session)?.hosts.remove(&host_of(host));
            Some(())
        });
    }

    /// Carry this peer's datagrams by ChannelData.
    pub fn bind_channel(&self, session: u64, number: u16, peer: SocketAddr) {
        self.with(session, |tables, _| {
            let flow = tables.flows.get_mut(&session)?;
            flow.channels.insert(number, peer);
            flow.numbers.insert(peer, number);
            Some(())
        });
    }

    /// Carry ChannelData of this number no longer.
    pub fn unbind_channel(&self, session: u64, number: u16) {
        self.with(session, |tables, _| {
            let flow = tables.flows.get_mut(&session)?;
            let peer = flow.channels.remove(&number)?;
            flow.numbers.remove(&peer);
            Some(())
        });
    }

    /// Send a Send indication's data from the relayed address.
    pub fn send_to_peer(&self, session: u64, peer: SocketAddr, data: &[u8], unfragmented: bool) {
        self.with(session, |tables, _| {
            let flow = tables.flows.get_mut(&session)?;
            if let Some(limit) = &flow.upstream {
                if !limit.admits(data.len(), self.shared.now()) {
                    tables.drops.add(Drop::Rate, 1);
                    return None;
                }
            }
            if !self.relayed_hosts.contains(&peer.ip()) {
                flow.learn(&peer);
            }
            let sent = if unfragmented {
                self.send_unfragmented(flow, &peer, data)
            } else {
                self.send_plain(flow, &peer, data)
            };
            let (lost, untold) = sent;
            tables.drops.add(Drop::Backlog, untold);
            if let Some(cause) = lost {
                tables.drops.add(cause, 1);
                return None;
            }
            flow.traffic.packets_from_client += 1;
            flow.traffic.bytes_from_client += data.len() as u64;
            tables.packets += 1;
            Some(())
        });
    }

    fn send_plain(&self, flow: &Flow, peer: &SocketAddr, data: &[u8]) -> (Option<Drop>, u64) {
        let (train, parts) = (Train::new(*peer, data.len()), [[IoSlice::new(data)]]);
        let (mut outbox, mut lost) = (self.outbox.lock(), Vec::new());
        let ring = &self.shared.ring;
        let untold =
            send_from_relay(flow, peer.is_ipv6(), &[train], &parts, &mut outbox, ring, &mut lost);
        (lost.first().map(|each| Drop::of_send(&each.error)), untold)
    }

    fn send_unfragmented(
        &self,
        flow: &Flow,
        peer: &SocketAddr,
        data: &[u8],
    ) -> (Option<Drop>, u64) {
        let Some(relay) = flow.relays.of(peer.is_ipv6()) else {
            return (None, 0);
        };
        let mut untold = 0;
        let mut sent = send_unfragmented(relay.socket.as_fd(), data, peer);
        if sent.is_err() {
            untold += flow.relays.take_errors(flow.session, &self.shared.ring);
            sent = send_unfragmented(relay.socket.as_fd(), data, peer);
        }
        if sent.is_err() {
            untold += flow.relays.take_errors(flow.session, &self.shared.ring);
        }
        (sent.err().map(|error| Drop::of_send(&error)), untold)
    }

    /// Close a session's sockets; what it has relayed.
    pub fn close_session(&self, session: u64) -> Traffic {
        let closed = self.with(session, |tables, _| tables.close(session));
        self.sessions.lock().remove(&session);
        let Some((traffic, client, expected)) = closed else {
            return Traffic::default();
        };
        self.forget_home(&client);
        if let Some(expected) = expected {
            self.forget_home(&expected);
        }
        traffic
    }

    /// Datagrams relayed up to now, both directions.
    pub fn packets(&self) -> u64 {
        self.shared.workers.iter().map(|worker| worker.tables.lock().packets).sum()
    }

    /// Totals up to now.
    pub fn figures(&self) -> Figures {
        let mut total = Figures::default();
        let mut listener_drops = self.listener_drops.lock();
        for (worker, seen) in self.shared.workers.iter().zip(listener_drops.iter_mut()) {
            let mut tables = worker.tables.lock();
            for (socket, seen) in worker.listeners.iter().zip(seen) {
                tables.drops.add(Drop::Kernel, new_drops(socket, seen));
            }
            let mut of_relays = 0;
            total.traffic.add(&tables.closed);
            for flow in tables.flows.values_mut() {
                of_relays += flow.relays.each().map(RelaySocket::new_kernel_drops).sum::<u64>();
                total.traffic.add(&flow.traffic);
            }
            tables.drops.add(Drop::Kernel, of_relays);
            for cause in Drop::ALL {
                total.drops.add(cause, tables.drops.of(cause));
            }
        }
        total
    }

    /// End the threads. The sockets are closed with the plane.
    pub fn stop(&self) {
        for worker in &self.shared.workers {
            worker.stop.signal();
        }
        for thread in self.threads.lock().drain(..) {
            // A thread that panicked has ended the process.
            let _ = thread.join();
        }
    }

    fn with<T>(
        &self,
        session: u64,
        act: impl FnOnce(&mut Tables, usize) -> Option<T>,
    ) -> Option<T> {
        let index = *self.sessions.lock().get(&session)?;
        let worker = self.shared.workers.get(index)?;
        let mut tables = worker.tables.lock();
        act(&mut tables, index)
    }

    fn set_home(&self, client: Client, index: usize) {
        if self.shared.workers.len() > 1 {
            self.shared.homes.write().insert(client, index);
        }
    }

    fn forget_home(&self, client: &Client) {
        if self.shared.workers.len() > 1 {
            self.shared.homes.write().remove(client);
        }
    }
}

fn new_worker(listeners: Vec<OwnedFd>) -> io::Result<Worker> {
    let (epoll, stop) = (Epoll::new()?, EventFd::new()?);
    epoll.add(stop.as_fd(), STOP)?;
    for (index, socket) in listeners.iter().enumerate() {
        // Without it datagrams come one by one.
        let _ = receive_coalesced(socket.as_fd());
        epoll.add(socket.as_fd(), listener_token(index))?;
    }
    Ok(Worker { listeners, epoll, stop, tables: Mutex::new(Tables::default()) })
}

impl std::ops::Drop for Plane {
    fn drop(&mut self) {
        self.stop();
    }
}
