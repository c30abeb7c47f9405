//! TLS of clients' connections, between bytes that came and bytes that are to be sent.
//!
//! Sockets, deadlines and limits are those of who uses it. Nothing here grows without a bound: what
//! came is turned into plain bytes at once, a handshake message has rustls's limit, and what is to
//! be sent is what the caller asked for.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use rustls::{Error, ServerConfig, ServerConnection};

/// A certificate and its key. Connections keep what they began with.
#[derive(Clone, Debug)]
pub struct TlsServer {
    naming: Arc<ServerConfig>,
    /// rustls refuses who names none of the protocols that it is told of.
    silent: Arc<ServerConfig>,
}

impl TlsServer {
    /// `chain` and `key`: PEM. `protocols`: of ALPN, in the order of preference; who names others
    /// is served without. TLS 1.2 and 1.3 are spoken.
    pub fn new(chain: &[u8], key: &[u8], protocols: Vec<Vec<u8>>) -> Result<Self, Error> {
        let unreadable = |error: rustls::pki_types::pem::Error| Error::General(error.to_string());
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(unreadable)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.ignore_client_order = true;
        let mut naming = config.clone();
        naming.alpn_protocols = protocols;
        Ok(Self { naming: Arc::new(naming), silent: Arc::new(config) })
    }

    /// The server's end of one connection.
    pub fn accept(&self) -> TlsConnection {
        TlsConnection {
            stage: Stage::Hello(self.clone(), Box::default()),
            plain: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            failure: None,
            is_over: false,
        }
    }

    fn config_for(&self, accepted: &Accepted) -> Arc<ServerConfig> {
        let known = accepted.client_hello().alpn().is_some_and(|mut named| {
            named.any(|each| self.naming.alpn_protocols.iter().any(|ours| ours == each))
        });
        if known { self.naming.clone() } else { self.silent.clone() }
    }
}

enum Stage {
    /// No whole ClientHello has come.
    Hello(TlsServer, Box<Acceptor>),
    Begun(Box<ServerConnection>),
    /// The ClientHello was none.
    Refused,
}

/// The server's end of one TLS connection.
pub struct TlsConnection {
    stage: Stage,
    plain: Vec<u8>,
    /// Bytes of `plain` that have been read.
    taken: usize,
    outgoing: Vec<u8>,
    failure: Option<Error>,
    /// The client has said goodbye.
    is_over: bool,
}

impl TlsConnection {
    /// Take records as they came, in pieces that end anywhere. What is wrong with them is told by
    /// `handshake` and `read`.
    pub fn receive(&mut self, data: &[u8]) {
        let mut rest = data;
        while !rest.is_empty() && self.failure.is_none() && !self.is_over {
            if let Err(error) = self.receive_some(&mut rest) {
                self.failure = Some(error);
            }
        }
    }

    /// Whether the handshake is done. An error where it has failed.
    pub fn handshake(&self) -> Result<bool, Error> {
        if self.is_established() {
            return Ok(true);
        }
        match &self.failure {
            Some(error) => Err(error.clone()),
            None if self.is_over => Err(Error::General("the client gave up".to_owned())),
            None => Ok(false),
        }
    }

    /// Whether the handshake is done.
    pub fn is_established(&self) -> bool {
        matches!(&self.stage, Stage::Begun(connection) if !connection.is_handshaking())
    }

    /// Hand over at most `limit` plain bytes, of several records if there are. None without any, no
    /// bytes once the client has said goodbye, an error where what came next is not TLS.
    pub fn read<T>(
        &mut self,
        limit: usize,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        let there = self.plain.get(self.taken..).unwrap_or_default();
        if there.is_empty() {
            return match &self.failure {
                Some(error) => Err(error.clone()),
                None => Ok(self.is_over.then(|| take(&[]))),
            };
        }
        let part = there.get(..limit).unwrap_or(there);
        self.taken = self.taken.saturating_add(part.len());
        let result = take(part);
        if self.taken == self.plain.len() {
            (self.plain, self.taken) = (Vec::new(), 0);
        }
        Ok(Some(result))
    }

    /// Make a record of this, or several where it is too long for one.
    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.write_frames(data, [data.len()])
    }

    /// Make a record of each frame; `ends` has where each ends, the first one first.
    pub fn write_frames(
        &mut self,
        frames: &[u8],
        ends: impl IntoIterator<Item = usize>,
    ) -> io::Result<()> {
        let Stage::Begun(connection) = &mut self.stage else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        if connection.is_handshaking() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let mut start = 0;
        for end in ends {
            let frame = frames.get(start..end).ok_or(io::ErrorKind::InvalidInput)?;
            connection.writer().write_all(frame)?;
            start = end;
        }
        flush(connection, &mut self.outgoing)
    }

    /// Bytes of records that are to be sent.
    pub fn pending(&self) -> usize {
        self.outgoing.len()
    }

    /// Records that are to be sent.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Make a close_notify alert, if the connection has come so far and is sound.
    pub fn say_goodbye(&mut self) -> io::Result<()> {
        match &mut self.stage {
            Stage::Begun(connection) if !connection.is_handshaking() && self.failure.is_none() => {
                connection.send_close_notify();
                flush(connection, &mut self.outgoing)
            }
            _ => Ok(()),
        }
    }

    fn receive_some(&mut self, data: &mut &[u8]) -> Result<(), Error> {
        match &mut self.stage {
            Stage::Refused => Ok(()),
            Stage::Begun(connection) => {
                connection.read_tls(data).map_err(of_io)?;
                self.process()
            }
            Stage::Hello(server, acceptor) => {
                acceptor.read_tls(data).map_err(of_io)?;
                match acceptor.accept() {
                    Ok(None) => Ok(()),
                    Ok(Some(accepted)) => {
                        let config = server.config_for(&accepted);
                        match accepted.into_connection(config) {
                            Ok(mut connection) => {
                                // Who bounds what waits is the caller.
                                connection.set_buffer_limit(None);
                                self.stage = Stage::Begun(Box::new(connection));
                                self.process()
                            }
                            Err((error, alert)) => self.refuse(error, alert),
                        }
                    }
                    Err((error, alert)) => self.refuse(error, alert),
                }
            }
        }
    }

    fn refuse(&mut self, error: Error, mut alert: AcceptedAlert) -> Result<(), Error> {
        self.stage = Stage::Refused;
        alert.write_all(&mut self.outgoing).map_err(of_io)?;
        Err(error)
    }

    /// Handle what the connection has been given. What came before an error counts.
    fn process(&mut self) -> Result<(), Error> {
        let Stage::Begun(connection) = &mut self.stage else {
            return Ok(());
        };
        let result = connection.process_new_packets();
        let mut reader = connection.reader();
        // It is an error where there is nothing for now.
        while let Ok(chunk) = reader.fill_buf() {
            let size = chunk.len();
            if size == 0 {
                self.is_over = true;
                break;
            }
            self.plain.extend_from_slice(chunk);
            reader.consume(size);
        }
        flush(connection, &mut self.outgoing).map_err(of_io)?;
        result.map(drop)
    }
}

fn flush(connection: &mut ServerConnection, outgoing: &mut Vec<u8>) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(outgoing)?;
    }
    Ok(())
}

fn of_io(error: io::Error) -> Error {
    Error::General(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{TlsConnection, TlsServer};
    use proptest::prelude::*;
    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::io::{Read, Write};
    use std::sync::Arc;

    const CHAIN: &[u8] = include_bytes!("../tests/tls/tls.crt");
    const KEY: &[u8] = include_bytes!("../tests/tls/tls.key");

    fn server() -> TlsServer {
        TlsServer::new(CHAIN, KEY, vec![b"stun.turn".to_vec()]).unwrap()
    }

    fn client() -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(CHAIN).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
    }

    fn said(client: &mut ClientConnection) -> Vec<u8> {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn hear(client: &mut ClientConnection, server: &mut TlsConnection) {
        let outgoing = server.take_outgoing();
        let mut rest = &outgoing[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().unwrap();
        }
    }

    fn connected() -> (ClientConnection, TlsConnection) {
        let (mut client, mut connection) = (client(), server().accept());
        while client.is_handshaking() || !connection.handshake().unwrap() {
            connection.receive(&said(&mut client));
            hear(&mut client, &mut connection);
        }
        (client, connection)
    }

    #[test]
    fn a_pair_that_does_not_belong_together_is_refused() {
        for (chain, key) in [(&b""[..], KEY), (CHAIN, b""), (CHAIN, CHAIN), (b"nonsense", KEY)] {
            assert!(TlsServer::new(chain, key, vec![]).is_err());
        }
    }

    #[test]
    fn data_goes_both_ways() {
        let (mut client, mut connection) = connected();
        client.writer().write_all(&[7; 40_000]).unwrap();
        connection.receive(&said(&mut client));
        let mut whole = Vec::new();
        while let Some(size) = connection
            .read(1000, |part| {
                whole.extend_from_slice(part);
                part.len()
            })
            .unwrap()
        {
            assert!(size <= 1000);
        }
        assert_eq!(whole, [7; 40_000]);
        connection.write_frames(b"onetwo", [3, 6]).unwrap();
        hear(&mut client, &mut connection);
        let mut buffer = [0; 6];
        client.reader().read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"onetwo");
    }

    #[test]
    fn ends_that_are_no_frames_are_refused() {
        let (_, mut connection) = connected();
        assert!(connection.write_frames(b"one", [4]).is_err());
        assert!(connection.write_frames(b"one", [2, 1]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_of_tls_are_read_without_a_panic(
            header in prop_oneof![
                Just(vec![]), Just(vec![22u8, 3, 1]), Just(vec![23, 3, 3]), Just(vec![21, 3, 3]),
            ],
            data in proptest::collection::vec(any::<u8>(), 0..200),
            is_established in any::<bool>(),
        ) {
            let mut connection =
                if is_established { connected().1 } else { server().accept() };
            connection.receive(&header);
            connection.receive(&data);
            let _ = connection.handshake();
            let _ = connection.read(100, <[u8]>::len);
            connection.say_goodbye().unwrap();
            let said = connection.take_outgoing().len();
            prop_assert!(said < 10_000);
        }
    }
}
