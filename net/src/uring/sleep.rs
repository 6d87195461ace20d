//! How a shard sleeps: in glommio, until its event descriptor is readable or a moment has come.

use glommio::io::{PollState, PollableFd};
use glommio::timer::Timer;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// Lives on the shard's executor.
pub(crate) struct Sleeper {
    event: PollableFd<OwnedFd>,
    /// The registration with glommio's ring. It outlives a sleep that a timer ended, so that the next one does
    /// not pay for another.
    state: PollState,
}

impl Sleeper {
    pub(crate) fn new(event: OwnedFd) -> io::Result<Sleeper> {
        let event = PollableFd::new(event).map_err(io::Error::from)?;
        Ok(Sleeper { event, state: PollState::new() })
    }

    /// True: the event descriptor became readable. False: `at_most` has passed.
    pub(crate) async fn sleep(&mut self, at_most: Option<Duration>) -> io::Result<bool> {
        let mut timer = at_most.map(Timer::new);
        poll_fn(|context| {
            if let Poll::Ready(outcome) = self.event.poll_readable(context, &mut self.state) {
                return Poll::Ready(outcome.map(|()| true).map_err(io::Error::from));
            }
            match timer.as_mut().map(|timer| Pin::new(timer).poll(context)) {
                Some(Poll::Ready(_)) => Poll::Ready(Ok(false)),
                _ => Poll::Pending,
            }
        })
        .await
    }
}
