//! Listening sockets: one per shard and address, among which the kernel deals connections.

use crate::uring::Ring;
use engine::bucket::Bucket;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Connections that the kernel completes before a shard has accepted them; the kernel lowers it to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;
/// How long an address that is in use is tried again, and the pause between.
const IN_USE_WAIT: Duration = Duration::from_millis(500);
const IN_USE_PAUSE: Duration = Duration::from_millis(5);
/// Milliseconds without accepting after the process ran out of descriptors or the kernel of memory.
const ACCEPT_PAUSE_MS: u64 = 100;
/// Milliseconds between two lines in the log that say that there are as many connections as there may be.
const TELL_FULL_EVERY_MS: u64 = 60_000;

/// Binds `shards` sockets to every address and reports the addresses bound: where the port is 0, all take the
/// port that the first was given.
pub(crate) fn bind_all(addresses: &[SocketAddr], shards: usize) -> io::Result<(Vec<SocketAddr>, Vec<Vec<OwnedFd>>)> {
    let mut bound = Vec::new();
    let mut by_shard: Vec<Vec<OwnedFd>> = (0..shards).map(|_| Vec::new()).collect();
    for address in addresses {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
        let address = bind_address(*address, addresses, &mut by_shard).map_err(named)?;
        bound.push(address);
    }
    Ok((bound, by_shard))
}

fn bind_address(address: SocketAddr, all: &[SocketAddr], by_shard: &mut [Vec<OwnedFd>]) -> io::Result<SocketAddr> {
    // Sockets that share a port share it with every process of this user: another mote on the same port would
    // silently take half of the connections. One that does not share finds out.
    if address.port() != 0 {
        drop(listen_when_free(address, all)?);
    }
    let mut address = address;
    for sockets in by_shard {
        let socket = listen(address, all, true)?;
        if let Some(local) = socket.local_addr()?.as_socket() {
            address = local;
        }
        sockets.push(socket.into());
    }
    Ok(address)
}

/// A process that was killed leaves its rings to the kernel, which lets go of them, and so of the sockets that they accept
/// on, some milliseconds after the process has ended: who starts the next one at once shall not be told that the port is taken.
fn listen_when_free(address: SocketAddr, all: &[SocketAddr]) -> io::Result<Socket> {
    let until = Instant::now() + IN_USE_WAIT;
    loop {
        match listen(address, all, false) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(IN_USE_PAUSE)
            }
            result => return result,
        }
    }
}

/// TCP: ordered and lossless [MQTT-4.2.0-1] [3.1.1: MQTT-7.1.1-1].
fn listen(address: SocketAddr, all: &[SocketAddr], is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart shall not wait for connections of the process before to time out.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    if address.is_ipv6() {
        // `[::]` means IPv4 as well, unless IPv4 has a listener of its own.
        let has_ipv4 = all.iter().any(|other| other.is_ipv4() && other.port() == address.port());
        socket.set_only_v6(has_ipv4)?;
    }
    // Accepted sockets inherit it: every send is a whole turn's bytes, and shall not wait for more.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// How many sockets the process has, and how many it may have. Shared by all shards.
#[derive(Clone, Debug)]
pub(crate) struct Sockets {
    open: Arc<AtomicUsize>,
    max: usize,
}

impl Sockets {
    pub(crate) fn new(max: usize) -> Sockets {
        Sockets { open: Arc::new(AtomicUsize::new(0)), max }
    }

    /// Counts one more, if there may be one more.
    fn take(&self) -> bool {
        let taken = self.open.fetch_add(1, Ordering::Relaxed) < self.max;
        if !taken {
            self.left();
        }
        taken
    }

    /// One is closed.
    pub(crate) fn left(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What became of those who came, upward from the start of the shard.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Accepting {
    /// Closed as they came, since there were as many as there may be.
    pub(crate) sockets_refused: u64,
    /// Times that no descriptor was left.
    pub(crate) accept_outages: u64,
}

/// The listeners of one shard.
pub(crate) struct Listeners {
    list: Vec<Listener>,
    sockets: Sockets,
    accepting: Accepting,
    /// Since when nobody can be accepted, until somebody is; told once.
    out_since_ms: Option<u64>,
    /// When it was last told that there are as many sockets as there may be.
    told_full_ms: Option<u64>,
}

struct Listener {
    /// `None`: it no longer listens.
    fd: Option<OwnedFd>,
    is_armed: bool,
    paused_until_ms: Option<u64>,
    /// How fast it accepts, if there is a bound.
    rate: Option<Bucket>,
}

impl Listeners {
    /// `rates`: connections a second of each; 0: no bound.
    pub(crate) fn new(listening: Vec<OwnedFd>, rates: impl Iterator<Item = u32>, sockets: Sockets) -> Listeners {
        let rates = rates.chain(std::iter::repeat(0));
        let list = listening.into_iter().zip(rates).map(|(fd, rate)| Listener {
            fd: Some(fd),
            is_armed: false,
            paused_until_ms: None,
            rate: (rate > 0).then(|| Bucket::new(rate.into(), 0)),
        });
        Listeners {
            list: list.collect(),
            sockets,
            accepting: Accepting::default(),
            out_since_ms: None,
            told_full_ms: None,
        }
    }

    pub(crate) fn accepting(&self) -> Accepting {
        self.accepting
    }

    /// Whether somebody who has been accepted may stay; it is counted then, until [`Sockets::left`].
    pub(crate) fn takes_one_more(&mut self, index: usize, now_ms: u64) -> bool {
        if let Some(rate) = &mut self.list[index].rate {
            rate.take(1);
        }
        if let Some(since_ms) = self.out_since_ms.take() {
            tracing::info!(after_ms = now_ms - since_ms, "there are descriptors for new connections again");
        }
        if self.sockets.take() {
            return true;
        }
        self.accepting.sockets_refused += 1;
        if self.told_full_ms.is_none_or(|told_ms| now_ms - told_ms >= TELL_FULL_EVERY_MS) {
            self.told_full_ms = Some(now_ms);
            let max = self.sockets.max;
            tracing::warn!(max, "as many connections as there may be (limits.connections): new ones are closed");
        }
        false
    }

    /// Arms every accept that should be and is not.
    pub(crate) fn arm(&mut self, now_ms: u64, ring: &mut Ring) -> io::Result<()> {
        for (index, listener) in self.list.iter_mut().enumerate() {
            let Some(fd) = listener.fd.as_ref() else { continue };
            if listener.is_armed || listener.paused_until_ms.is_some_and(|until| now_ms < until) {
                continue;
            }
            listener.paused_until_ms = None;
            if let Some(rate) = &mut listener.rate {
                if !rate.is_open(now_ms) {
                    listener.paused_until_ms = Some(now_ms + rate.waits_ms());
                    continue;
                }
                // One at a time: many would all be taken before the rate is looked at again.
                ring.accept_one(index, fd.as_fd())?;
            } else {
                ring.accept(index, fd.as_fd())?;
            }
            listener.is_armed = true;
        }
        Ok(())
    }

    /// When `arm` has something to do.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.list.iter().filter_map(|listener| listener.paused_until_ms).min()
    }

    /// The accept of a listener ended; it is armed again when the turn ends.
    pub(crate) fn ended(&mut self, index: usize) {
        self.list[index].is_armed = false;
    }

    /// An accept failed. One connection that went away meanwhile means nothing; no descriptors or no memory means
    /// that trying again at once would fail again, and again.
    pub(crate) fn failed(&mut self, index: usize, error: &io::Error, now_ms: u64) {
        match error.raw_os_error() {
            Some(libc::ECANCELED | libc::ECONNABORTED | libc::EINTR | libc::EAGAIN) => {}
            Some(libc::EMFILE | libc::ENFILE) => {
                if self.out_since_ms.is_none() {
                    self.out_since_ms = Some(now_ms);
                    self.accepting.accept_outages += 1;
                    tracing::warn!(%error, "no descriptor for a new connection; raise LimitNOFILE or `ulimit -n`");
                }
                self.list[index].paused_until_ms = Some(now_ms + ACCEPT_PAUSE_MS);
            }
            _ => {
                tracing::warn!(%error, "a connection could not be accepted");
                self.list[index].paused_until_ms = Some(now_ms + ACCEPT_PAUSE_MS);
            }
        }
    }

    /// Listens no more.
    pub(crate) fn close(&mut self, ring: &mut Ring) -> io::Result<()> {
        for (index, listener) in self.list.iter_mut().enumerate() {
            if listener.fd.take().is_some() && listener.is_armed {
                ring.stop_accepting(index)?;
            }
            listener.paused_until_ms = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shards_share_the_port_that_the_first_was_given() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (bound, by_shard) = bind_all(&[any], 3).unwrap();
        assert_ne!(bound[0].port(), 0);
        for sockets in &by_shard {
            let socket = Socket::from(sockets[0].try_clone().unwrap());
            assert_eq!(socket.local_addr().unwrap().as_socket(), Some(bound[0]));
            assert!(socket.tcp_nodelay().unwrap());
        }
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_refused_even_to_the_same_user() {
        let (bound, _sockets) = bind_all(&[SocketAddr::from(([127, 0, 0, 1], 0))], 2).unwrap();
        let error = bind_all(&bound, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&bound[0].to_string()), "{error}");
    }

    #[test]
    fn a_port_that_is_let_go_of_a_moment_later_is_waited_for() {
        let (bound, sockets) = bind_all(&[SocketAddr::from(([127, 0, 0, 1], 0))], 2).unwrap();
        let lets_go = thread::spawn(move || {
            thread::sleep(IN_USE_WAIT / 10);
            drop(sockets);
        });
        assert_eq!(bind_all(&bound, 2).unwrap().0, bound);
        lets_go.join().unwrap();
    }

    #[test]
    fn ipv6_and_ipv4_listen_on_one_port() {
        let (bound, _sockets) = bind_all(&[SocketAddr::from(([0, 0, 0, 0], 0))], 1).unwrap();
        let both = [bound[0], SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, bound[0].port()))];
        drop(_sockets);
        match bind_all(&both, 1) {
            Ok((bound, _)) => assert_eq!(bound, both),
            // A machine without IPv6.
            Err(error) => assert_eq!(error.raw_os_error(), None, "{error}"),
        }
    }
}
