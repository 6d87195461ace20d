//! How a shard sleeps: in glommio, until its ring has something, its bell is rung, or a moment has come.

use super::ring::Ring;
use glommio::io::{PollState, PollableFd};
use glommio::timer::Timer;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Lives on the shard's executor.
pub(crate) struct Sleeper {
    event: Watched,
    rung: Watched,
}

/// A descriptor, and its registration with glommio's ring. That outlives a sleep which something else ended, so
/// that the next sleep does not pay for another.
struct Watched {
    fd: PollableFd<OwnedFd>,
    state: PollState,
}

impl Watched {
    fn new(fd: BorrowedFd<'_>) -> io::Result<Watched> {
        let fd = PollableFd::new(fd.try_clone_to_owned()?).map_err(io::Error::from)?;
        Ok(Watched { fd, state: PollState::new() })
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fd.poll_readable(context, &mut self.state).map_err(io::Error::from)
    }
}

impl Sleeper {
    pub(crate) fn new(ring: &Ring, rung: BorrowedFd<'_>) -> io::Result<Sleeper> {
        Ok(Sleeper { event: Watched::new(ring.armed_event())?, rung: Watched::new(rung)? })
    }

    /// True: the ring's event descriptor is readable and must be drained. False: the bell, or `at_most` has passed.
    pub(crate) async fn sleep(&mut self, at_most: Duration) -> io::Result<bool> {
        let mut timer = Timer::new(at_most);
        poll_fn(|context| {
            if let Poll::Ready(outcome) = self.event.poll(context) {
                return Poll::Ready(outcome.map(|()| true));
            }
            if let Poll::Ready(outcome) = self.rung.poll(context) {
                return Poll::Ready(outcome.map(|()| false));
            }
            Pin::new(&mut timer).poll(context).map(|_| Ok(false))
        })
        .await
    }
}
