//! The configuration: defaults, then the file, then `--set` and the flags. One table (`keys.rs`) names every key with
//! its type, its range and its text; parsing, range checks, errors, `--set` and `mote config default` all read it.
//! Runs once, on the main thread, before anything is opened. Must never open, create or listen to anything.

mod keys;
mod reading;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::args::{self, Serve};
use crate::logs;
use engine::config::{Config, Profile, Tombstones};
use net::control::Place;

pub use keys::default_listing;

/// Everything that the process is told, as plain values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub engine: Config,
    pub listeners: Vec<Listener>,
    pub shards: Shards,
    pub store: Store,
    pub log: logs::Log,
    /// `control.socket`.
    pub control_socket: String,
    /// `limits.connections`; `None`: "auto".
    pub connections: Option<usize>,
    /// `limits.connect_rate`: connections a second of each listener; 0: no bound.
    pub connect_rate: u32,
    /// `limits.memory_bytes`; `None`: "auto".
    pub memory_bytes: Option<u64>,
}

/// As `control.socket`: in the data folder.
pub const CONTROL_AUTO: &str = "auto";
/// The control socket in the data folder.
const CONTROL_FILE: &str = "control.sock";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    pub address: SocketAddr,
    pub own: engine::config::Listener,
    /// Connections a second; `None`: `limits.connect_rate`.
    pub connect_rate: Option<u32>,
}

impl Listener {
    /// One that speaks what listeners speak unless they are told otherwise.
    pub fn at(address: SocketAddr) -> Listener {
        Listener { address, own: Default::default(), connect_rate: None }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shards {
    /// `None`: one per core.
    pub count: Option<u16>,
    pub pin_cores: bool,
    pub link_parcels: usize,
    /// Microseconds that an idle shard looks again before it sleeps.
    pub spin_us: u32,
    /// Microseconds that it then waits in its own ring.
    pub nap_us: u32,
    pub ring: net::plan::RingPlan,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    /// Nothing is kept on disk.
    pub memory: bool,
    pub folder: PathBuf,
    pub commit_ms: u64,
    pub pending_bytes: usize,
    /// What the data folder is mapped with at first.
    pub map_bytes: usize,
    pub tombstone_s: u64,
    pub tombstones_max: u64,
    pub recover: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            engine: engine::config::Config::default(),
            listeners: vec![Listener::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)))],
            shards: Shards {
                count: None,
                pin_cores: true,
                link_parcels: engine::limits::LINK_PARCELS_DEFAULT,
                spin_us: 0,
                nap_us: 1_000,
                ring: net::plan::RingPlan::default(),
            },
            store: Store {
                memory: false,
                folder: PathBuf::from("./mote-data"),
                commit_ms: store::COMMIT_MS_DEFAULT,
                pending_bytes: engine::limits::STORE_PENDING_BYTES_DEFAULT,
                map_bytes: store::MAP_BYTES_INITIAL_DEFAULT,
                tombstone_s: engine::limits::TOMBSTONE_S_DEFAULT,
                tombstones_max: engine::limits::TOMBSTONES_MAX_DEFAULT,
                recover: false,
            },
            log: logs::Log::default(),
            control_socket: CONTROL_AUTO.to_owned(),
            connections: None,
            connect_rate: 0,
            memory_bytes: None,
        }
    }
}

impl Settings {
    /// What the loops are told.
    pub fn plan(&self) -> net::plan::Plan {
        net::plan::Plan {
            listeners: self.listeners.iter().map(|listener| listener.address).collect(),
            connect_rates: self.listeners.iter().map(|of| of.connect_rate.unwrap_or(self.connect_rate)).collect(),
            shards: self.shards.count.map_or_else(net::plan::default_shards, usize::from),
            pin_cores: self.shards.pin_cores,
            link_parcels: self.shards.link_parcels,
            spin_us: self.shards.spin_us,
            nap_us: self.shards.nap_us,
            ring: self.shards.ring,
            connections: self.connections,
            memory_bytes: self.memory_bytes,
            ..net::plan::Plan::default()
        }
    }

    /// What is served.
    pub fn broker(&self) -> net::serve::Broker {
        let store = store::Settings {
            folder: (!self.store.memory).then(|| self.store.folder.clone()),
            commit_ms: self.store.commit_ms,
            pending_bytes: self.store.pending_bytes,
            map_bytes_initial: self.store.map_bytes,
            recover: self.store.recover,
        };
        let tombstones = Tombstones { keep_s: self.store.tombstone_s, max: self.store.tombstones_max };
        let listeners = self.listeners.iter().map(|listener| listener.own).collect();
        let engine = Config { tombstones, listeners, ..self.engine.clone() };
        net::serve::Broker { plan: self.plan(), engine, store, control: self.control() }
    }

    /// Where the control socket lies, if there is one.
    pub fn control(&self) -> Option<Place> {
        match self.control_socket.as_str() {
            "" => None,
            CONTROL_AUTO if self.store.memory => None,
            CONTROL_AUTO => Some(Place { path: self.store.folder.join(CONTROL_FILE), is_named: false }),
            path => Some(Place { path: PathBuf::from(path), is_named: true }),
        }
    }

    /// The line that says that the broker is up; scripts wait for it.
    pub fn ready_line(&self, ready: &net::boot::Ready) -> String {
        let named = |(index, address): (usize, &SocketAddr)| match self
            .listeners
            .get(index)
            .map(|listener| listener.own.profile)
        {
            Some(Profile::Classic) => format!("mqtt {address} classic"),
            Some(Profile::Mote) | None => format!("mqtt {address}"),
        };
        let listeners: Vec<String> = ready.listeners.iter().enumerate().map(named).collect();
        let shards = if ready.shards == 1 { "1 shard".to_owned() } else { format!("{} shards", ready.shards) };
        let data = if self.store.memory {
            "no data folder".to_owned()
        } else {
            format!("data {}", self.store.folder.display())
        };
        format!("mote {} ready: {}, {shards}, {data}", env!("CARGO_PKG_VERSION"), listeners.join(", "))
    }
}

/// What is wrong with the configuration, all of it: one line each, `where: what`.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Faults(pub Vec<String>);

impl Faults {
    fn one(text: String) -> Faults {
        Faults(vec![text])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| writeln!(f, "{}", logs::Escaped(fault)))
    }
}

/// The settings of `mote config check`: defaults, then the file.
pub fn from_file(file: &Path) -> Result<Settings, Faults> {
    let mut settings = Settings::default();
    read_file(&mut settings, file)?;
    agree(&settings)?;
    Ok(settings)
}

/// The settings of `mote serve`: defaults, the file, `--set`, the flags.
pub fn from_command_line(serve: &Serve) -> Result<Settings, Faults> {
    let mut settings = Settings::default();
    if let Some(file) = &serve.config {
        read_file(&mut settings, file)?;
    }
    for set in &serve.sets {
        reading::set(&mut settings, set)?;
    }
    apply_flags(&mut settings, serve);
    agree(&settings)?;
    Ok(settings)
}

/// Where the control socket of the broker is that `mote shards` is told of.
pub fn control_of(shards: &args::Shards) -> Result<Option<PathBuf>, Faults> {
    if let Some(socket) = &shards.socket {
        return Ok(Some(socket.clone()));
    }
    let serve = Serve { config: shards.config.clone(), data: shards.data.clone(), ..Serve::default() };
    Ok(from_command_line(&serve)?.control().map(|place| place.path))
}

fn read_file(settings: &mut Settings, file: &Path) -> Result<(), Faults> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| Faults::one(format!("{name}: {error}")))?;
    reading::file(settings, &name, &text)
}

fn apply_flags(settings: &mut Settings, serve: &Serve) {
    if !serve.listen.is_empty() {
        settings.listeners = serve.listen.iter().map(|&address| Listener::at(address)).collect();
    }
    if let Some(data) = &serve.data {
        settings.store.folder = data.clone();
        settings.store.memory = false;
    }
    settings.store.memory |= serve.memory;
    settings.store.recover = serve.recover;
    if serve.shards.is_some() {
        settings.shards.count = serve.shards;
    }
    settings.log.level = match (serve.quiet, serve.verbose) {
        (true, _) => tracing::Level::ERROR,
        (_, 0) => settings.log.level,
        (_, 1) => tracing::Level::DEBUG,
        (_, _) => tracing::Level::TRACE,
    };
}

/// What no single key can say: values that must agree with each other.
fn agree(settings: &Settings) -> Result<(), Faults> {
    let mut faults = Faults::default();
    if settings.listeners.is_empty() {
        faults.0.push("listener: none is left; name at least one address".to_owned());
    }
    if let Some(count) = settings.shards.count {
        for pin in settings.engine.shards.pin.iter().filter(|pin| pin.shard >= count) {
            faults.0.push(format!(
                "shards.pin: {:?} is pinned to shard {}, but shards.count is {count} (shards are numbered from 0)",
                pin.root, pin.shard
            ));
        }
    }
    let net::plan::RingPlan { submissions, buffers, .. } = settings.shards.ring;
    for (key, value) in [("ring_entries", submissions), ("receive_buffers", buffers.into())] {
        if !value.is_power_of_two() {
            let (below, above) = (1 << value.ilog2(), 2 << value.ilog2());
            faults.0.push(format!("shards.{key}: {value} is no power of two; {below} and {above} are"));
        }
    }
    if settings.store.memory && settings.engine.durability == engine::config::Durability::Disk {
        faults.0.push("durability: \"disk\" needs a data folder, but nothing is kept on disk".to_owned());
    }
    if faults.0.is_empty() { Ok(()) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_listeners_shards_and_data() {
        let mut settings = Settings::default();
        let mut ready = net::boot::Ready { listeners: vec![settings.listeners[0].address], shards: 2 };
        assert_eq!(settings.ready_line(&ready), "mote 0.1.0 ready: mqtt 127.0.0.1:1883, 2 shards, data ./mote-data");
        settings.store.memory = true;
        ready.shards = 1;
        ready.listeners.push(SocketAddr::from(([0, 0, 0, 0], 40_000)));
        let mut classic = Listener::at(ready.listeners[1]);
        classic.own.profile = Profile::Classic;
        settings.listeners.push(classic);
        assert_eq!(
            settings.ready_line(&ready),
            "mote 0.1.0 ready: mqtt 127.0.0.1:1883, mqtt 0.0.0.0:40000 classic, 1 shard, no data folder"
        );
    }

    #[test]
    fn flags_stand_above_set_and_set_above_the_file() {
        let file = std::env::temp_dir().join(format!("mote-{}.toml", std::process::id()));
        std::fs::write(&file, "[shards]\ncount = 2\nspin_us = 5\n[limits]\ntree_rows = 7\n[store]\nmemory = true\n")
            .unwrap();
        let serve = Serve {
            config: Some(file.clone()),
            sets: vec!["shards.count=3".to_owned(), "shards.spin_us=6".to_owned(), "shards.nap_us=0".to_owned()],
            shards: Some(4),
            data: Some("elsewhere".into()),
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9))],
            ..Serve::default()
        };
        let settings = from_command_line(&serve).unwrap();
        std::fs::remove_file(file).unwrap();
        assert_eq!(settings.engine.limits.tree_rows, 7);
        assert_eq!(settings.shards.count, Some(4));
        assert_eq!((settings.store.memory, settings.store.folder.to_str()), (false, Some("elsewhere")));
        let plan = settings.plan();
        assert_eq!((plan.listeners, plan.spin_us, plan.nap_us), (serve.listen, 6, 0));
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let sets = |sets: &[&str]| {
            let sets = sets.iter().map(|&set| set.to_owned()).collect();
            from_command_line(&Serve { sets, ..Serve::default() }).unwrap_err().0
        };
        assert!(sets(&["shards.count=2", "shards.pin.factory=2"])[0].contains("pinned to shard 2"));
        assert!(sets(&["store.memory=true", "durability=disk"])[0].contains("durability"));
        assert!(sets(&["listener=[]"])[0].contains("name at least one"));
        assert!(sets(&["shards.receive_buffers=100"])[0].contains("64 and 128 are"));
    }
}
