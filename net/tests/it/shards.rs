//! `mote shards` and the control socket of a real process.

use crate::process::Broker;
use net::control::advice::Kind;
use net::control::picture::Picture;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// More than the broker takes at once.
const HUNG_CLIENTS: usize = 16;
/// Rows of a tree; its packet has a length of two bytes.
const ROWS: u64 = 100;
/// Trees of a client that are not acknowledged.
const UNDER_WAY: u8 = 16;
/// How often and how long a picture is looked at until what is waited for is there; there is a new one each second.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOKS_MAX: usize = 300;

/// A folder that is not there yet, with a path short enough for a socket.
fn folder(name: &str) -> String {
    let folder = std::env::temp_dir().join(format!("mote-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder.display().to_string()
}

fn socket_in(folder: &str) -> PathBuf {
    PathBuf::from(folder).join("control.sock")
}

fn shards(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mote")).arg("shards").args(arguments).output().unwrap()
}

fn picture(folder: &str) -> Picture {
    let output = shards(&["--socket", &socket_in(folder).display().to_string(), "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ask(folder: &str, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket_in(folder)).unwrap();
    stream.write_all(request).unwrap();
    answer(&mut stream)
}

fn answer(stream: &mut UnixStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Publishes retained trees below `plant/<n>` until it is told to stop, some of them under way: much work for the owner
/// of `plant`, and little for who publishes.
fn flood(port: u16, number: usize, stop: &AtomicBool) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let id = format!("flood{number}");
    let mut connect = vec![0x10, 12 + id.len() as u8, 0, 4];
    connect.extend(b"MQTT\x04\x02\x00\x00");
    connect.extend([0, id.len() as u8]);
    connect.extend(id.bytes());
    stream.write_all(&connect).unwrap();
    let topic = format!("$tree/plant/{number}");
    let tree = format!("{{{}}}", (0..ROWS).map(|row| format!("\"k{row}\":{row}")).collect::<Vec<_>>().join(","));
    let length = 2 + topic.len() + 2 + tree.len();
    let mut publish = vec![0x33, 0x80 | (length % 128) as u8, (length / 128) as u8, 0, topic.len() as u8];
    publish.extend(topic.bytes().chain([0, 1]).chain(tree.bytes()));
    let id_at = 5 + topic.len() + 1;
    let mut ids = (1..=UNDER_WAY).cycle();
    let mut send = |stream: &mut TcpStream| {
        publish[id_at] = ids.next().unwrap();
        stream.write_all(&publish).unwrap();
    };
    (0..UNDER_WAY).for_each(|_| send(&mut stream));
    // CONNACK and PUBACK have four bytes each.
    stream.read_exact(&mut [0; 4]).unwrap();
    while !stop.load(Ordering::Relaxed) {
        stream.read_exact(&mut [0; 4]).unwrap();
        send(&mut stream);
    }
}

#[test]
fn a_subtree_that_is_too_much_for_its_shard_is_found_and_its_split_is_named() {
    let folder = folder("hot");
    std::fs::create_dir(&folder).unwrap();
    let named = format!("control.socket={}", socket_in(&folder).display());
    let broker = Broker::start_with(2, &["--set", &named]);
    let (stop, port) = (AtomicBool::new(false), broker.port);
    let pictures = std::thread::scope(|scope| {
        for number in 0..4 {
            let stop = &stop;
            scope.spawn(move || flood(port, number, stop));
        }
        let mut pictures = Vec::new();
        while pictures.len() < LOOKS_MAX && broker.logged("[shards.split]").is_empty() {
            std::thread::sleep(LOOK_EVERY);
            pictures.push(picture(&folder));
        }
        stop.store(true, Ordering::Relaxed);
        pictures
    });
    let is_told = |picture: &&Picture| picture.advice.iter().any(|advice| advice.kind == Kind::Split);
    let Some(found) = pictures.iter().find(is_told) else { panic!("none advises to split: {:#?}", pictures.last()) };
    // Where one of the clients hardly comes to its turn, another's part may be nearly all.
    let lines = &found.advice[0].lines;
    assert!(lines[0] == "[shards.split]" && lines[1].starts_with("\"plant"), "{lines:?}");
    let hottest = &found.subtrees[0];
    assert!(hottest.root == "plant" && hottest.share > 0.9, "{hottest:?}");
    let owner = &found.shards[hottest.shard];
    assert!(owner.busy > 0.5 && owner.rows_per_s > 1_000.0 && owner.turn_p99_us > 0, "{owner:?}");
    assert!(owner.retained_rows >= ROWS && found.shards.iter().any(|shard| shard.in_per_s > 1.0), "{found:#?}");
    let warned = broker.logged("[shards.split]");
    assert!(warned.len() == 1 && warned[0].contains("WARN") && warned[0].contains("\"plant"), "{warned:?}");
    let drawn = shards(&["--socket", &socket_in(&folder).display().to_string()]);
    let drawn = String::from_utf8(drawn.stdout).unwrap();
    assert!(
        drawn.starts_with("mote 0.1.0, 2 shards, the last ") && drawn.contains("\nshard  core  clients "),
        "{drawn}"
    );
    broker.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_socket_is_its_owners_alone_and_takes_no_rubbish() {
    let folder = folder("rubbish");
    let broker = Broker::on(&folder, 1, "memory");
    let mode = std::fs::metadata(socket_in(&folder)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    for rubbish in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\n", b"\0\xff\n", &[b'x'; 64], b"shards of others\n"] {
        assert!(ask(&folder, rubbish).starts_with("{\"error\":"), "{rubbish:?}");
    }
    drop(UnixStream::connect(socket_in(&folder)).unwrap()); // gone before it asked
    // In pieces, and two at once: both are told the same time.
    let mut streams = [(); 2].map(|()| UnixStream::connect(socket_in(&folder)).unwrap());
    for piece in [&b"sha"[..], b"rds", b"\n"] {
        streams.iter_mut().for_each(|stream| stream.write_all(piece).unwrap());
    }
    let pictures = streams.each_mut().map(|stream| serde_json::from_str::<Picture>(&answer(stream)).unwrap());
    assert_eq!(pictures[0].shards.len(), 1);
    // Who has nothing more to say is answered as well.
    let mut stream = UnixStream::connect(socket_in(&folder)).unwrap();
    stream.write_all(b"shards\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(serde_json::from_str::<Picture>(&answer(&mut stream)).is_ok());
    assert!(pictures.iter().all(|picture| (0.5..5.0).contains(&picture.seconds)), "{pictures:?}");
    broker.stop();
    assert!(!socket_in(&folder).exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn clients_that_hang_are_few_and_let_go() {
    let folder = folder("hung");
    let broker = Broker::on(&folder, 1, "memory");
    let mut hung: Vec<UnixStream> =
        (0..HUNG_CLIENTS).map(|_| UnixStream::connect(socket_in(&folder)).unwrap()).collect();
    let refused = String::from_utf8(shards(&["--data", &folder]).stderr).unwrap();
    assert!(refused.contains("too many ask at once"), "{refused}");
    hung.iter_mut().for_each(|stream| assert_eq!(answer(stream), "", "it did not ask in time"));
    assert_eq!(picture(&folder).shards.len(), 1);
    broker.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_socket_that_a_crash_left_is_replaced_and_one_in_use_is_not() {
    let folder = folder("left");
    drop(Broker::on(&folder, 1, "memory")); // killed
    assert!(socket_in(&folder).exists());
    assert!(!shards(&["--data", &folder]).status.success());
    let broker = Broker::on(&folder, 1, "memory");
    let named = format!("control.socket={}", socket_in(&folder).display());
    let second = ["serve", "--memory", "--listen", "127.0.0.1:0", "--set", &named];
    let second = Command::new(env!("CARGO_BIN_EXE_mote")).args(second).output().unwrap();
    let why = String::from_utf8(second.stderr).unwrap();
    assert!(second.status.code() == Some(1) && why.contains("a broker answers at"), "{why}");
    assert_eq!(picture(&folder).shards.len(), 1, "the first is as before");
    broker.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_broker_in_memory_has_a_socket_where_one_is_named() {
    let folder = folder("named");
    std::fs::create_dir(&folder).unwrap();
    let socket = socket_in(&folder).display().to_string();
    let broker = Broker::start_with(1, &["--set", &format!("control.socket={socket}")]);
    assert!(shards(&["--socket", &socket, "--json"]).status.success());
    broker.stop();
    let config = PathBuf::from(&folder).join("mote.toml");
    std::fs::write(&config, "[control]\nsocket = \"\"\n").unwrap();
    let none = shards(&["-c", config.to_str().unwrap()]);
    assert!(String::from_utf8(none.stderr).unwrap().contains("has no control socket"));
    let gone = shards(&["--socket", &socket]);
    assert!(gone.status.code() == Some(1), "{gone:?}");
    std::fs::remove_dir_all(folder).unwrap();
}
