//! A process in the process: `boot` with a stand-in for the engine, stopped and joined when it is dropped.

use engine::key::ShardId;
use net::boot::{BootError, run_with};
use net::plan::Plan;
use net::shard_loop::{Forget, Step};
use net::signal::Stop;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

/// Nothing here waits this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Broker {
    pub address: SocketAddr,
    pub stop: Stop,
    thread: Option<JoinHandle<Result<(), BootError>>>,
}

pub fn plan(shards: usize) -> Plan {
    Plan { listeners: vec![SocketAddr::from(([127, 0, 0, 1], 0))], shards, pin_cores: false, ..Plan::default() }
}

impl Broker {
    pub fn start<S: Step + Send + 'static>(plan: Plan, make: impl Fn(ShardId) -> S + Send + 'static) -> Broker {
        let stop = Stop::new();
        let (ready, is_ready) = channel();
        let asked = stop.clone();
        let thread = std::thread::spawn(move || {
            let ready = |what: &net::boot::Ready| ready.send(what.listeners[0]).unwrap();
            let shards = (0..plan.shards as u16).map(ShardId);
            let make = |_: &net::boot::WakeShard, _: engine::clock::Now| {
                Ok(shards.map(|id| (make(id), Forget::default())).collect())
            };
            run_with(&plan, &asked, make, ready)
        });
        let address = is_ready.recv_timeout(PATIENCE).expect("the broker did not start");
        Broker { address, stop, thread: Some(thread) }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Waits for the end that somebody asked for.
    pub fn join(mut self) -> Result<(), BootError> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop.ask_at_once();
            let outcome = thread.join().unwrap();
            if !std::thread::panicking() {
                outcome.unwrap();
            }
        }
    }
}
