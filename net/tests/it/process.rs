//! A broker process of one test: its own port, its own folder, ended with the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

pub struct Broker {
    process: Child,
    pub port: u16,
    /// Its log from the ready line on.
    log: Arc<Mutex<Vec<String>>>,
}

impl Broker {
    /// Starts `mote serve` in memory and waits for its ready line.
    pub fn start(shards: usize) -> Broker {
        Broker::start_with(shards, &[])
    }

    /// The same with more on its command line.
    pub fn start_with(shards: usize, arguments: &[&str]) -> Broker {
        Broker::with(shards, &[&["--memory"], arguments].concat(), ", no data folder")
    }

    /// On a folder, on what an earlier one left there. `durability` is a setting's value.
    pub fn on(folder: &str, shards: usize, durability: &str) -> Broker {
        let setting = format!("durability=\"{durability}\"");
        Broker::with(shards, &["--data", folder, "--set", &setting], folder)
    }

    fn with(shards: usize, more: &[&str], said_last: &str) -> Broker {
        Broker::spawn(shards, &[&["--listen", "127.0.0.1:0"], more].concat(), said_last).0
    }

    /// In memory, with two listeners by a setting. Returns the second one's port too.
    pub fn listening(shards: usize, setting: &str) -> (Broker, u16) {
        let (broker, ready) = Broker::spawn(shards, &["--memory", "--set", setting], ", no data folder");
        let ports = ready.split(&[':', ',', ' ']).filter_map(|part| part.parse().ok());
        (broker, ports.filter(|port| *port > 1_023).nth(1).unwrap())
    }

    fn spawn(shards: usize, more: &[&str], said_last: &str) -> (Broker, String) {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mote"))
            .args(["serve", "--shards", &shards.to_string()])
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready = lines.by_ref().map(Result::unwrap).find(|line| line.contains(" ready: ")).unwrap();
        assert!(ready.ends_with(said_last), "{ready}");
        let port = ready.split(&[':', ',']).find_map(|part| part.parse().ok()).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = log.clone();
        // A full pipe would stop the broker's log.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line)));
        (Broker { process, port, log }, ready)
    }

    /// Lines of its log that have this in them.
    pub fn logged(&self, text: &str) -> Vec<String> {
        self.log.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// Ends it as an operator does; it must end well.
    pub fn stop(mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
