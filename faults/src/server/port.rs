//! A listening port that can be closed, or made deaf, and opened again.

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::injector::ConnectFault;

/// As many as tokio's own listeners let wait.
const BACKLOG: i32 = 1024;

/// A connection and where it comes from.
pub(super) type Accepted = (TcpStream, SocketAddr);

/// A port in one of its three states.
pub(super) enum Port {
    /// Connections come about.
    Open(TcpListener),
    /// Bound, so that nobody else takes the port, but not listening: the system refuses.
    Closed(Socket),
    /// Listening with its backlog full: the system leaves whoever knocks without an answer.
    Deaf { listener: TcpListener, filler: Socket },
}

impl Port {
    /// The next connection. Never comes unless the port is open.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Port::Open(listener) => listener.accept().await,
            Port::Closed(_) | Port::Deaf { .. } => pending().await,
        }
    }

    /// Changes to the state in which connections fail as `fault` says. Also returns the
    /// connections that came about in time.
    pub(super) fn become_as(
        self,
        fault: Option<ConnectFault>,
        address: SocketAddr,
    ) -> io::Result<(Port, Vec<Accepted>)> {
        match (&self, fault) {
            (Port::Open(_), None)
            | (Port::Closed(_), Some(ConnectFault::Refused))
            | (Port::Deaf { .. }, Some(ConnectFault::Timeout)) => return Ok((self, Vec::new())),
            _ => {}
        }
        let (listener, waiting) = self.open()?;
        let port = match fault {
            None => Port::Open(listener),
            Some(ConnectFault::Refused) => {
                drop(listener);
                Port::Closed(bind(address)?)
            }
            Some(ConnectFault::Timeout) => {
                // A backlog of 0 still holds one connection (Linux counts `>`, not `>=`).
                SockRef::from(&listener).listen(0)?;
                Port::Deaf { filler: knock(address)?, listener }
            }
        };
        Ok((port, waiting))
    }

    /// A listener with room, and the connections that had been waiting for it.
    fn open(self) -> io::Result<(TcpListener, Vec<Accepted>)> {
        match self {
            Port::Open(listener) => {
                let waiting = waiting(&listener, None)?;
                Ok((listener, waiting))
            }
            Port::Closed(socket) => {
                socket.listen(BACKLOG)?;
                Ok((TcpListener::from_std(socket.into())?, Vec::new()))
            }
            Port::Deaf { listener, filler } => {
                let own = filler.local_addr()?.as_socket();
                drop(filler);
                let waiting = waiting(&listener, own)?;
                SockRef::from(&listener).listen(BACKLOG)?;
                Ok((listener, waiting))
            }
        }
    }
}

/// All connections that wait to be accepted, but for our `own`.
fn waiting(listener: &TcpListener, own: Option<SocketAddr>) -> io::Result<Vec<Accepted>> {
    let mut waiting = Vec::new();
    while let Ok((socket, client)) = SockRef::from(listener).accept() {
        let Some(client) = client.as_socket().filter(|client| Some(*client) != own) else {
            continue;
        };
        socket.set_nonblocking(true)?;
        waiting.push((TcpStream::from_std(socket.into())?, client));
    }
    Ok(waiting)
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = new_socket(address)?;
    // Connections of the listener that was here may linger.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Starts a connection to ourselves, and does not wait for it.
fn knock(address: SocketAddr) -> io::Result<Socket> {
    let socket = new_socket(address)?;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    match socket.connect(&SocketAddr::new(ip, address.port()).into()) {
        Ok(()) => Ok(socket),
        Err(error) if is_under_way(&error) => Ok(socket),
        Err(error) => Err(error),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    // EINPROGRESS has an `ErrorKind` only on nightly.
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(EINPROGRESS)
}

/// Linux, errno(3).
const EINPROGRESS: i32 = 115;
