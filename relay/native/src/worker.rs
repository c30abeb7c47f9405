//! One thread: it waits for its sockets and relays what comes, a batch at a time.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ahash::{AHashMap, RandomState};
use callfleet_udp::{Coalescing, Epoll, EventFd, Inbox, Outbox, Ready};
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::ring::Ring;
use crate::tables::{Client, Tables};

/// Messages received before they are sent on; each may be of several datagrams.
pub(crate) const BATCH: usize = 64;
const MAX_READY: usize = 256;
/// Who had something to do again so soon will soon have more.
const BUSY: Duration = Duration::from_micros(50);
/// How long that is waited for: what comes meanwhile is received, and leaves, at one go. The system
/// adds its timer slack, 50 microseconds.
const NAP: Duration = Duration::from_micros(50);

const LISTENER: u64 = 1 << 63;
pub(crate) const STOP: u64 = u64::MAX;

pub(crate) fn listener_token(listener: usize) -> u64 {
    LISTENER | listener as u64
}

pub(crate) fn relay_token(session: u64, is_ipv6: bool) -> u64 {
    session << 1 | u64::from(is_ipv6)
}

/// What all workers and the core's calls share.
pub(crate) struct Shared {
    pub(crate) workers: Vec<Worker>,
    pub(crate) ring: Ring,
    /// Which worker has the flow of a client; kept where there are several.
    pub(crate) homes: RwLock<AHashMap<Client, usize>>,
    pub(crate) started: Instant,
    pub(crate) started_at: f64,
}

/// The part of a worker that others may touch.
pub(crate) struct Worker {
    pub(crate) listeners: Vec<OwnedFd>,
    pub(crate) epoll: Epoll,
    pub(crate) stop: EventFd,
    pub(crate) tables: Mutex<Tables>,
}

impl Shared {
    /// Seconds of the clock that bit rates go by.
    pub(crate) fn now(&self) -> f64 {
        self.started_at + self.started.elapsed().as_secs_f64()
    }

    pub(crate) fn home(&self, client: &Client) -> Option<usize> {
        if self.workers.len() > 1 { self.homes.read().get(client).copied() } else { None }
    }
}

/// Runs on the worker's thread.
pub(crate) struct Runner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) index: usize,
    pub(crate) outbox: Outbox,
    /// Per listener, what it refuses.
    pub(crate) coalescing: Vec<Coalescing>,
    pub(crate) batch: u64,
    random: RandomState,
    transactions: u64,
}

impl Runner {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Self {
        let listeners = shared.workers.get(index).map_or(0, |worker| worker.listeners.len());
        Self {
            shared,
            index,
            outbox: Outbox::default(),
            coalescing: (0..listeners).map(|_| Coalescing::default()).collect(),
            batch: 0,
            random: RandomState::new(),
            transactions: 0,
        }
    }

    /// Relay until told to stop.
    pub(crate) fn run(mut self) {
        let shared = self.shared.clone();
        let Some(worker) = shared.workers.get(self.index) else {
            return;
        };
        let mut inbox = Inbox::new(BATCH);
        let mut ready = Vec::with_capacity(MAX_READY);
        let mut relays = Vec::with_capacity(MAX_READY);
        loop {
            let idle_since = Instant::now();
            if let Err(error) = worker.epoll.wait(&mut ready, MAX_READY) {
                if error.kind() == ErrorKind::Interrupted {
                    continue;
                }
                // Without it nothing is relayed any more: better to be started anew.
                eprintln!("callfleet-relay: epoll_wait: {error}");
                process::abort();
            }
            if ready.iter().any(|each| each.token == STOP) {
                return;
            }
            let is_busy = idle_since.elapsed() < BUSY;
            let mut tables = worker.tables.lock();
            let before = tables.packets;
            relays.clear();
            for Ready { token } in &ready {
                if token & LISTENER != 0 {
                    self.take_from_clients(
                        worker,
                        (token ^ LISTENER) as usize,
                        &mut inbox,
                        &mut tables,
                    );
                    MutexGuard::bump(&mut tables);
                } else {
                    relays.push((token >> 1, token & 1 == 1));
                }
            }
            self.take_from_peers(worker, &relays, &mut inbox, &mut tables);
            let relayed = tables.packets - before;
            MutexGuard::unlock_fair(tables);
            if is_busy && (1..BATCH as u64).contains(&relayed) {
                thread::sleep(NAP);
            }
        }
    }

    /// A transaction ID that nobody can foretell.
    pub(crate) fn transaction(&mut self) -> [u8; 12] {
        self.transactions += 1;
        let mut id = [0; 12];
        let words =
            [self.random.hash_one(self.transactions), self.random.hash_one((self.transactions, 1))];
        for (place, byte) in id.iter_mut().zip(words.iter().flat_map(|word| word.to_ne_bytes())) {
            *place = byte;
        }
        id
    }
}
