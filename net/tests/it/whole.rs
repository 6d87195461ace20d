//! Engine, store and loop together: clients on any shard reach each other, and what is retained survives.

use crate::broker::{PATIENCE, plan};
use net::boot::{BootError, Ready};
use net::serve::Broker;
use net::signal::Stop;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::channel;

fn broker(shards: usize, folder: Option<PathBuf>) -> Broker {
    let store = store::Settings { folder, ..store::Settings::default() };
    Broker { plan: plan(shards), engine: engine::config::Config::default(), store, control: None }
}

fn while_running(broker: &Broker, clients: impl FnOnce(SocketAddr)) -> Result<(), BootError> {
    let stop = Stop::new();
    let (ready, is_ready) = channel();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| broker.run_until(&stop, |what: &Ready| ready.send(what.listeners[0]).unwrap()));
        let Ok(address) = is_ready.recv_timeout(PATIENCE) else { return running.join().unwrap() };
        // Stops it when the clients fail, too.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| clients(address)));
        stop.ask();
        let ended = running.join().unwrap();
        outcome.map_or_else(|panic| std::panic::resume_unwind(panic), |()| ended)
    })
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, body.len() as u8], body].concat()
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// An MQTT 3.1.1 client after its CONNACK.
fn connect(address: SocketAddr, client_id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = [&string("MQTT")[..], &[4, 2, 0, 60], &string(client_id)].concat();
    stream.write_all(&packet(0x10, &body)).unwrap();
    expect(&mut stream, &[0x20, 2, 0, 0]);
    stream
}

fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut received = vec![0; bytes.len()];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(received, bytes);
}

fn subscribe(stream: &mut TcpStream, filter: &str) {
    let body = [&[0, 1], &string(filter)[..], &[0]].concat();
    stream.write_all(&packet(0x82, &body)).unwrap();
    expect(stream, &[0x90, 3, 0, 1, 0]);
}

fn publish(first: u8, topic: &str, payload: &str) -> Vec<u8> {
    packet(first, &[&string(topic)[..], payload.as_bytes()].concat())
}

#[test]
fn clients_of_four_shards_reach_each_other() {
    // Over TCP [MQTT-4.2.0-1] [3.1.1: MQTT-7.1.1-1].
    while_running(&broker(4, None), |address| {
        let mut readers: Vec<TcpStream> = (0..8).map(|id| connect(address, &format!("reader {id}"))).collect();
        readers.iter_mut().enumerate().for_each(|(id, reader)| subscribe(reader, &format!("room{id}/+")));
        for sender in 0..8 {
            let mut stream = connect(address, &format!("sender {sender}"));
            for (id, reader) in readers.iter_mut().enumerate() {
                let message = publish(0x30, &format!("room{id}/{sender}"), "hello");
                stream.write_all(&message).unwrap();
                expect(reader, &message);
            }
        }
    })
    .unwrap();
}

#[test]
fn what_is_retained_is_there_after_a_restart_with_other_shards() {
    // [MOTE-7.8]
    let folder = std::env::temp_dir().join(format!("mote-whole-{}", std::process::id()));
    let with = |shards| broker(shards, Some(folder.clone()));
    while_running(&with(3), |address| {
        let mut stream = connect(address, "writer");
        for id in 0..20 {
            // QoS 1: it counts when its PUBACK is there.
            let topic = string(&format!("kept{id}/state"));
            stream.write_all(&packet(0x33, &[&topic[..], &[0, 1], b"on"].concat())).unwrap();
            expect(&mut stream, &[0x40, 2, 0, 1]);
        }
    })
    .unwrap();
    let outcome = while_running(&with(2), |address| {
        for id in 0..20 {
            let mut stream = connect(address, &format!("reader {id}"));
            subscribe(&mut stream, &format!("kept{id}/#"));
            expect(&mut stream, &publish(0x31, &format!("kept{id}/state"), "on"));
        }
    });
    std::fs::remove_dir_all(&folder).unwrap();
    outcome.unwrap();
}

#[test]
fn a_peer_that_ends_its_direction_still_reads_its_answers() {
    for shards in [1, 4] {
        while_running(&broker(shards, None), |address| {
            for round in 0..50 {
                let mut stream = connect(address, &format!("half{round}"));
                stream.write_all(&[0xC0, 0].repeat(20_000)).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let mut received = Vec::new();
                stream.read_to_end(&mut received).unwrap();
                assert_eq!(received, [0xD0, 0].repeat(20_000));
            }
        })
        .unwrap();
    }
}
