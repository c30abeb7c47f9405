//! The core with its sockets, its thread and its lock.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::thread::{JoinHandleExt, RawPthread};
use std::process;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime};

use callfleet_udp::{
    Coalescing, Epoll, EventFd, Inbox, Outbox, Ring, Train, receive_coalesced, receive_times,
    send_to,
};
use parking_lot::{Mutex, MutexGuard};

use crate::{Core, Datagram, Event, Outgoing, Times};

/// Messages received before they are sent on; each may be of several datagrams.
const BATCH: usize = 64;
/// Datagrams that are sent before more are made.
const MAX_UNSENT: usize = 1024;
const MAX_READY: usize = 64;
const STOP: u64 = u64::MAX;

struct State {
    /// None after the end.
    sockets: Vec<OwnedFd>,
    core: Core,
    outgoing: Outgoing,
    outbox: Outbox,
    /// Of each socket, what it refuses.
    coalescing: Vec<Coalescing>,
}

struct Shared {
    /// Whether there are sockets, or were.
    has_io: bool,
    epoll: Epoll,
    stop: EventFd,
    ring: Ring<Event>,
    state: Mutex<State>,
    started: Instant,
    started_at: f64,
}

/// One UDP port and all that comes to it. Calls may come from any thread: each is done when it
/// returns.
///
/// Without sockets it does no I/O: datagrams are given to it and taken from it.
pub struct Plane {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Plane {
    /// `sockets` are bound and do not block. `now`: the second at this moment of the clock that all
    /// times are of.
    pub fn new(sockets: Vec<OwnedFd>, now: f64) -> io::Result<Self> {
        let (epoll, stop) = (Epoll::new()?, EventFd::new()?);
        epoll.add(stop.as_fd(), STOP)?;
        for (side, socket) in sockets.iter().enumerate() {
            // Without it datagrams come one by one.
            let _ = receive_coalesced(socket.as_fd());
            // Without it they come when they are taken.
            let _ = receive_times(socket.as_fd());
            epoll.add(socket.as_fd(), side as u64)?;
        }
        let has_io = !sockets.is_empty();
        let state = State {
            core: Core::default(),
            outgoing: Outgoing::default(),
            outbox: Outbox::default(),
            coalescing: sockets.iter().map(|_| Coalescing::default()).collect(),
            sockets,
        };
        let shared = Arc::new(Shared {
            has_io,
            epoll,
            stop,
            ring: Ring::new()?,
            state: Mutex::new(state),
            started: Instant::now(),
            started_at: now,
        });
        let plane = Self { shared: shared.clone(), thread: Mutex::default() };
        if has_io {
            let named = thread::Builder::new().name("media".to_owned());
            *plane.thread.lock() = Some(named.spawn(move || shared.run())?);
        }
        Ok(plane)
    }

    /// By what the operating system knows the thread; `None` without sockets, and once stopped.
    pub fn thread(&self) -> Option<RawPthread> {
        self.thread.lock().as_ref().map(JoinHandleExt::as_pthread_t)
    }

    /// What the control is told.
    pub fn ring(&self) -> &Ring<Event> {
        &self.shared.ring
    }

    /// Do something with the core; what it sends has left afterwards.
    pub fn with<T>(&self, act: impl FnOnce(&mut Core, &mut Outgoing) -> T) -> T {
        let mut state = self.shared.state.lock();
        let State { core, outgoing, .. } = &mut *state;
        let done = act(core, outgoing);
        self.shared.flush(&mut state);
        done
    }

    /// Send a datagram that is not media.
    pub fn send(&self, side: usize, to: &SocketAddr, data: &[u8]) {
        let mut state = self.shared.state.lock();
        let State { sockets, core, outgoing, .. } = &mut *state;
        if let Some(socket) = sockets.get(side) {
            let sent = send_to(socket.as_fd(), data, to);
            if sent.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                core.totals_mut().send_buffer += 1;
            }
        } else if !self.shared.has_io {
            outgoing.push((u64::MAX, side, *to), data.len(), |out| {
                out.copy_from_slice(data);
                Some(data.len())
            });
        }
    }

    /// Take what would have been sent by sockets.
    pub fn take_datagrams(&self) -> Vec<(Datagram, Vec<u8>)> {
        let mut state = self.shared.state.lock();
        let outgoing = &mut state.outgoing;
        let taken = outgoing.datagrams().iter().map(|each| (*each, outgoing.data(each).to_vec()));
        let taken = taken.collect();
        outgoing.clear();
        taken
    }

    /// End the thread and close the sockets.
    pub fn stop(&self) {
        self.shared.stop.signal();
        if let Some(thread) = self.thread.lock().take() {
            // A thread that panicked has ended the process.
            let _ = thread.join();
        }
        self.shared.state.lock().sockets.clear();
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn now(&self) -> f64 {
        self.started_at + self.started.elapsed().as_secs_f64()
    }

    /// Forward until told to stop.
    fn run(&self) {
        let mut inbox = Inbox::new(BATCH);
        let mut ready = Vec::with_capacity(MAX_READY);
        loop {
            if let Err(error) = self.epoll.wait(&mut ready, MAX_READY) {
                if error.kind() == ErrorKind::Interrupted {
                    continue;
                }
                // Without it nothing is forwarded any more: better to be started anew.
                eprintln!("callfleet-engine: epoll_wait: {error}");
                process::abort();
            }
            if ready.iter().any(|each| each.token == STOP) {
                return;
            }
            let mut state = self.state.lock();
            for each in &ready {
                self.take(each.token as usize, &mut inbox, &mut state);
                MutexGuard::bump(&mut state);
            }
            // Once for all sockets, so that what goes to one client goes together.
            self.flush(&mut state);
            MutexGuard::unlock_fair(state);
        }
    }

    /// Take a batch of one socket. What is to leave stays, unless it is much.
    fn take(&self, side: usize, inbox: &mut Inbox, state: &mut State) {
        let Some(socket) = state.sockets.get(side) else {
            return;
        };
        inbox.clear();
        // An error is that of an earlier datagram (ICMP), or there is nothing after all.
        if inbox.receive(socket.as_fd(), BATCH).is_err() {
            return;
        }
        let (now, clock) = (self.now(), SystemTime::now());
        for message in 0..inbox.len() {
            for callfleet_udp::Datagram { source, data, arrived } in inbox.datagrams(message) {
                let State { core, outgoing, .. } = state;
                let times = Times::since(arrived, clock, now);
                core.receive(side, source, data, times, outgoing);
                if outgoing.len() >= MAX_UNSENT {
                    self.flush(state);
                }
            }
        }
    }

    /// Send all that is to leave.
    fn flush(&self, state: &mut State) {
        let State { sockets, core, outgoing, outbox, coalescing } = state;
        for event in outgoing.take_events() {
            if !self.ring.push(event) {
                core.totals_mut().backlog += 1;
            }
        }
        if !self.has_io || outgoing.is_empty() {
            return;
        }
        outgoing.group();
        let mut refused = 0;
        let mut lost = Vec::new();
        for group in outgoing.datagrams().chunk_by(|one, other| one.side == other.side) {
            let side = group.first().map_or(0, |first| first.side);
            let (Some(socket), Some(coalescing)) = (sockets.get(side), coalescing.get(side)) else {
                continue;
            };
            let mut trains: Vec<Train> = Vec::with_capacity(group.len());
            let mut parts = Vec::with_capacity(group.len());
            for each in group {
                let data = outgoing.data(each);
                let last = trains.last_mut().filter(|last| last.to == each.to);
                if !last.is_some_and(|last| last.admit(data.len(), coalescing)) {
                    trains.push(Train::new(each.to, data.len()));
                }
                parts.push([IoSlice::new(data)]);
            }
            lost.clear();
            outbox.send(socket.as_fd(), &trains, &parts, coalescing, || false, &mut lost);
            let full = lost.iter().filter(|each| each.error.kind() == ErrorKind::WouldBlock);
            refused += full.count() as u64;
        }
        core.totals_mut().send_buffer += refused;
        outgoing.clear();
    }
}
