//! TLS of clients' connections: `callfleet_relay.transport.tls.TlsLayer` in Rust.

use callfleet_relay_plane as plane;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A certificate and its key.
#[pyclass(frozen)]
pub(crate) struct TlsServer(plane::TlsServer);

#[pymethods]
impl TlsServer {
    /// `chain` and `key` are PEM, `protocols` those of ALPN. ValueError: it cannot be used.
    #[new]
    fn new(chain: &[u8], key: &[u8], protocols: Vec<String>) -> PyResult<Self> {
        let protocols = protocols.into_iter().map(String::into_bytes).collect();
        plane::TlsServer::new(chain, key, protocols)
            .map(Self)
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// The server's end of one connection.
    fn accept(&self) -> TlsConnection {
        TlsConnection(self.0.accept())
    }
}

/// The server's end of one TLS connection.
#[pyclass]
pub(crate) struct TlsConnection(plane::TlsConnection);

#[pymethods]
impl TlsConnection {
    #[getter]
    fn is_established(&self) -> bool {
        self.0.is_established()
    }

    #[getter]
    fn pending(&self) -> usize {
        self.0.pending()
    }

    fn receive(&mut self, py: Python<'_>, data: PyBuffer<u8>) -> PyResult<()> {
        self.0.receive(&data.to_vec(py)?);
        Ok(())
    }

    fn handshake(&self) -> PyResult<()> {
        self.0.handshake().map(drop).map_err(refused)
    }

    fn read_into(&mut self, py: Python<'_>, buffer: PyBuffer<u8>) -> PyResult<Option<usize>> {
        let Some(target) = buffer.as_mut_slice(py) else {
            return Err(PyValueError::new_err(
                "a buffer of bytes that can be written to is needed",
            ));
        };
        let copied = self.0.read(target.len(), |plain| {
            for (cell, byte) in target.iter().zip(plain) {
                cell.set(*byte);
            }
            plain.len()
        });
        copied.map_err(refused)
    }

    fn write(&mut self, py: Python<'_>, data: PyBuffer<u8>) -> PyResult<()> {
        Ok(self.0.write(&data.to_vec(py)?)?)
    }

    /// `ends`: where each frame ends, and something that does not matter here.
    fn write_frames(&mut self, frames: &[u8], ends: Vec<(usize, usize)>) -> PyResult<()> {
        Ok(self.0.write_frames(frames, ends.into_iter().map(|(end, _)| end))?)
    }

    fn take_outgoing<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.take_outgoing())
    }

    fn say_goodbye(&mut self) -> PyResult<()> {
        Ok(self.0.say_goodbye()?)
    }
}

fn refused(error: impl std::fmt::Display) -> PyErr {
    PyOSError::new_err(error.to_string())
}
