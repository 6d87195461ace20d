//! From a plan to a running process, and to its end.
//!
//! Everything that can be refused is refused before the first thread starts: the kernel, the limits, the
//! addresses. Then one thread per shard; the caller's thread waits for them. One shard that fails takes the
//! process with it: the others are stopped and the error is returned.

use crate::clock::Clock;
use crate::control::ControlError;
use crate::handoff::Doors;
use crate::listener::{self, Sockets};
use crate::memory::{self, Memory, Watch};
use crate::plan::Plan;
use crate::shard_loop::{self, Keep, Parcel, Parts, Step};
use crate::signal::Stop;
use crate::uring;
pub use crate::uring::KernelError;
use crate::wake::Waker;
use engine::clock::Now;
use engine::key::ShardId;
use engine::limits::SHARDS_MAX;
use engine::mesh;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Descriptors of the store, the standard streams, and what is open for a moment while the process starts.
const DESCRIPTORS_OF_PROCESS: usize = 32;
/// Descriptors of one shard beside its listeners: rings, event descriptors, timers.
const DESCRIPTORS_OF_SHARD: usize = 15;

/// Why the process did not start, or ended before it was asked to. The text says what to do.
#[derive(Debug)]
pub enum BootError {
    Shards {
        asked: usize,
    },
    Kernel(KernelError),
    /// An address that cannot be listened on; the error names it.
    Listen(io::Error),
    /// This process may not open what it needs before the first client comes.
    Descriptors {
        allowed: u64,
        needed: u64,
    },
    /// Not even the descriptors and threads to begin with.
    Resources(io::Error),
    /// The store or what it holds; the text says what to do.
    Store(String),
    Control(ControlError),
    Shard {
        shard: u16,
        error: io::Error,
    },
    /// A bug: the shard's own message went to standard error.
    Panicked {
        shard: u16,
    },
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootError::Shards { asked } => write!(f, "{asked} shards asked for; 1 to {SHARDS_MAX} are possible"),
            BootError::Kernel(error) => error.fmt(f),
            BootError::Listen(error) => write!(f, "cannot listen on {error}{}", way_out(error.kind())),
            BootError::Descriptors { allowed, needed } => write!(
                f,
                "this process may open {allowed} files; mote needs {needed} before the first connection, and one for each. \
                 Raise the limit with `ulimit -n 65536`, LimitNOFILE=65536 in the systemd unit, or \
                 `--ulimit nofile=65536` for a container"
            ),
            BootError::Resources(error) => write!(f, "the system gives no descriptors or threads: {error}"),
            BootError::Store(why) => f.write_str(why),
            BootError::Control(error) => error.fmt(f),
            BootError::Shard { shard, error } => write!(f, "shard {shard} failed: {error}"),
            BootError::Panicked { shard } => {
                write!(f, "shard {shard} panicked, which is a bug in mote; please report the message above")
            }
        }
    }
}

impl std::error::Error for BootError {}

/// What to do about an address that cannot be listened on.
fn way_out(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => "; another program listens there: stop it, or choose another port with --listen",
        io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: `ip addr` shows those it has, 0.0.0.0 stands for all of them"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one with --listen"
        }
        _ => "",
    }
}

/// What the ready line names.
#[derive(Clone, Debug)]
pub struct Ready {
    /// With the ports that were given where 0 was asked for, in the order of the plan.
    pub listeners: Vec<SocketAddr>,
    pub shards: usize,
}

/// Wakes shards from outside: for the writer, which calls it after it committed and after it has room again.
#[derive(Clone)]
pub struct WakeShard(Waker);

impl WakeShard {
    pub fn wake(&self, shard: ShardId) {
        self.0.wake(shard);
    }

    pub fn wake_all(&self) {
        self.0.wake_all();
    }
}

/// What a shard thread reports.
enum Report {
    Ready,
    Ended { shard: ShardId, outcome: Result<(), BootError> },
}

/// Runs the process until `stop` is asked for. `make` builds the shards in order, each with its way to the writer, on
/// the calling thread, and is told the moment on the clock that they will be driven by; `ready` is called once, when every listener listens and every shard turns.
pub fn run_with<S, K>(
    plan: &Plan,
    stop: &Stop,
    make: impl FnOnce(&WakeShard, Now) -> Result<Vec<(S, K)>, BootError>,
    ready: impl FnOnce(&Ready),
) -> Result<(), BootError>
where
    S: Step + Send + 'static,
    K: Keep + Send + 'static,
{
    if plan.shards == 0 || plan.shards > SHARDS_MAX {
        return Err(BootError::Shards { asked: plan.shards });
    }
    uring::check_kernel().map_err(BootError::Kernel)?;
    raise_descriptor_limit();
    check_descriptors(plan)?;
    let (listeners, listening) = listener::bind_all(&plan.listeners, plan.shards).map_err(BootError::Listen)?;

    let ports = mesh::build::<Parcel>(plan.shards, plan.link_parcels);
    let waker = Waker::new(ports[0].bell.ringer(), plan.shards).map_err(BootError::Resources)?;
    stop.bind(waker.clone(), plan.shards);
    let doors = Doors::new(plan.shards);
    let clock = Clock::start();
    let wake = WakeShard(waker.clone());

    let shards = make(&wake, clock.now())?;
    let sockets = Sockets::new(plan.connections.unwrap_or_else(|| connections_auto(plan)));
    let memory = Memory::default();
    let limit_bytes = plan.memory_bytes.or_else(memory::auto_bytes).filter(|bytes| *bytes > 0);
    let watch = limit_bytes.map(|bytes| Watch::start(bytes, memory.clone(), waker.clone())).transpose();
    let _watch = watch.map_err(BootError::Resources)?;
    assert_eq!(shards.len(), plan.shards, "as many shards as planned");
    let (reports, inbox) = channel();
    let mut threads = Vec::new();
    let each = shards.into_iter().zip(ports).zip(listening).zip(plan.cores()).enumerate();
    for (index, ((((shard, keep), ports), listeners), core)) in each {
        let id = ShardId(index as u16);
        let (doors, waker, stop, plan) = (doors.clone(), waker.clone(), stop.clone(), plan.clone());
        let (sockets, memory) = (sockets.clone(), memory.clone());
        let parts = Parts { id, shard, keep, ports, doors, waker, stop, listeners, clock, plan, sockets, memory };
        match start(parts, core, reports.clone()) {
            Ok(thread) => threads.push((id, thread)),
            Err(error) => {
                let _ = reports.send(Report::Ended { shard: id, outcome: Err(BootError::Resources(error)) });
                break;
            }
        }
    }
    drop(reports);
    let outcome = wait(inbox, plan.shards, stop, || ready(&Ready { listeners, shards: plan.shards }));
    join(threads).and(outcome)
}

fn start<S, K>(
    parts: Parts<S, K>,
    core: Option<usize>,
    reports: Sender<Report>,
) -> io::Result<JoinHandle<io::Result<()>>>
where
    S: Step + Send + 'static,
    K: Keep + Send + 'static,
{
    let ending = Ending { shard: parts.id, outcome: None, reports };
    uring::spawn(format!("mote-shard-{}", parts.id.0), core, move || async move {
        let ready = ending.reports.clone();
        let outcome = shard_loop::run(parts, move || drop(ready.send(Report::Ready))).await;
        ending.report(outcome);
        Ok(())
    })
}

/// Reports the end of a shard however it comes about.
struct Ending {
    shard: ShardId,
    outcome: Option<Result<(), BootError>>,
    reports: Sender<Report>,
}

impl Ending {
    fn report(mut self, outcome: io::Result<()>) {
        let shard = self.shard.0;
        self.outcome = Some(outcome.map_err(|error| BootError::Shard { shard, error }));
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let shard = self.shard;
        let outcome = self.outcome.take().unwrap_or_else(|| match std::thread::panicking() {
            true => Err(BootError::Panicked { shard: shard.0 }),
            // The executor did not even start; its thread returns why.
            false => Ok(()),
        });
        let _ = self.reports.send(Report::Ended { shard, outcome });
    }
}

/// Waits until every shard has ended; the first that failed stops the others.
fn wait(inbox: Receiver<Report>, shards: usize, stop: &Stop, ready: impl FnOnce()) -> Result<(), BootError> {
    let mut ready = Some(ready);
    let mut turning = 0;
    let mut outcome = Ok(());
    // The iteration ends when the last thread has dropped its sender.
    for report in inbox {
        match report {
            Report::Ready => {
                turning += 1;
                if turning == shards
                    && let Some(ready) = ready.take()
                {
                    ready();
                }
            }
            Report::Ended { outcome: Ok(()), .. } if stop.asked() != crate::signal::Stopping::No => {}
            Report::Ended { outcome: Ok(()), shard } => {
                tracing::debug!(shard = shard.0, "a shard ended unasked");
                stop.ask_at_once();
            }
            Report::Ended { outcome: Err(error), .. } => {
                tracing::error!(%error, "stopping");
                stop.ask_at_once();
                outcome = outcome.and(Err(error));
            }
        }
    }
    outcome
}

fn join(threads: Vec<(ShardId, JoinHandle<io::Result<()>>)>) -> Result<(), BootError> {
    let mut outcome = Ok(());
    for (shard, thread) in threads {
        let shard = shard.0;
        outcome = outcome.and(match thread.join() {
            Ok(ended) => ended.map_err(|error| BootError::Shard { shard, error }),
            Err(_) => Err(BootError::Panicked { shard }),
        });
    }
    outcome
}

/// What the process needs beside its connections, those of the store and of the control socket among them.
fn descriptors_needed(plan: &Plan) -> u64 {
    let each = DESCRIPTORS_OF_SHARD + plan.listeners.len();
    (DESCRIPTORS_OF_PROCESS + plan.shards * each) as u64
}

/// As many connections as there are descriptors, without those that the process needs itself: a crowd shall not take the
/// store's.
fn connections_auto(plan: &Plan) -> usize {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(allowed.saturating_sub(descriptors_needed(plan))).unwrap_or(usize::MAX)
}

/// Too few would otherwise end in a panic of the executor, or in a broker that takes nobody.
fn check_descriptors(plan: &Plan) -> Result<(), BootError> {
    let needed = descriptors_needed(plan);
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => Err(BootError::Descriptors { allowed, needed }),
        _ => Ok(()),
    }
}

/// Every connection is a descriptor: as many as the system lets this process have.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit of open files stays at {:?}", limit.current);
    }
}
