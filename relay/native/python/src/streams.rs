//! Relay sockets of clients over streams.

use std::io::ErrorKind;
use std::os::fd::RawFd;

use callfleet_relay_plane as plane;
use callfleet_udp::duplicate;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::address::{Address, read_address, write_address};

/// One relayed address of a session.
#[pyclass]
pub(crate) struct StreamRelay(plane::StreamRelay);

#[pymethods]
impl StreamRelay {
    /// `socket`: a descriptor, which is duplicated; nobody else may read datagrams from it.
    #[new]
    fn new(socket: RawFd) -> PyResult<Self> {
        Ok(Self(plane::StreamRelay::new(duplicate(socket)?)))
    }

    fn bind_channel(&mut self, number: u16, peer: Address) -> PyResult<()> {
        self.0.bind_channel(number, read_address(&peer)?);
        Ok(())
    }

    fn unbind_channel(&mut self, number: u16) {
        self.0.unbind_channel(number);
    }
}

/// In the order of the fields of `Sent`.
type Sent = (usize, u64, u64, Vec<(u16, usize, usize)>);

/// Frames, where each ends and how long its payload is, and datagrams without a channel.
type Received<'py> = (
    Bound<'py, PyBytes>,
    Vec<(usize, usize)>,
    Vec<((Bound<'py, PyBytes>, u16, u32), Bound<'py, PyBytes>)>,
);

/// Room that all of them use by turns.
#[pyclass(frozen)]
pub(crate) struct StreamBatches(plane::StreamBatches);

#[pymethods]
impl StreamBatches {
    #[new]
    fn new() -> Self {
        Self(plane::StreamBatches::default())
    }

    /// Relay the frames that `data` begins with.
    fn send(&self, relay: PyRef<'_, StreamRelay>, data: &[u8]) -> Sent {
        let sent = self.0.send(&relay.0, data);
        let failed = sent.failed.into_iter().map(|(channel, at)| (channel, at.start, at.end));
        (sent.end, sent.packets, sent.bytes, failed.collect())
    }

    /// Take a batch of what peers have sent; None where nothing has come.
    fn receive<'py>(
        &self,
        py: Python<'py>,
        relay: PyRef<'py, StreamRelay>,
    ) -> PyResult<Option<Received<'py>>> {
        match self.0.receive(&relay.0) {
            Ok(received) => {
                let others = received
                    .others
                    .iter()
                    .map(|(peer, data)| (write_address(py, peer), PyBytes::new(py, data)));
                let frames = PyBytes::new(py, &received.frames);
                Ok(Some((frames, received.ends, others.collect())))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
