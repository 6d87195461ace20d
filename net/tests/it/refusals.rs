//! The table of refusals that the simulator holds too, said to a real broker over real sockets, with 1 and with 4 shards.
//! After each case two clients that have nothing to do with it are served as before.

use crate::broker::PATIENCE;
use crate::process::Broker;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use table::{Case, Given, cases, connect};

#[path = "../../../fuzz/tests/it/refusals/table/mod.rs"]
mod table;

#[test]
fn with_one_shard() {
    hold(1);
}

#[test]
fn with_four_shards() {
    hold(4);
}

fn hold(shards: usize) {
    let broker = Broker::start(shards);
    let (mut publisher, mut reader) = (connected(broker.port, 4, "publisher"), connected(broker.port, 4, "reader"));
    tell(&mut reader, b"\x82\x09\0\x01\0\x04kept\0", &[0x90, 3, 0, 1, 0]);
    let mut faults = Vec::new();
    for (number, case) in cases().iter().enumerate() {
        if let Err(fault) = say(broker.port, case, &format!("case {number}")) {
            faults.push(format!("{:?}, {}: {fault}", case.given, case.name));
        }
        tell(&mut publisher, b"\x32\x09\0\x04kept\0\x01a", &[0x40, 2, 0, 1]);
        tell(&mut reader, b"", b"\x30\x07\0\x04kepta");
    }
    assert!(faults.is_empty(), "{shards} shards\n{}", faults.join("\n"));
    broker.stop();
}

fn say(port: u16, case: &Case, client_id: &str) -> Result<(), String> {
    let mut stream = match case.given {
        Given::Nothing => open(port),
        Given::Connected(level) => connected(port, level, client_id),
    };
    for exchange in &case.exchanges {
        stream.write_all(&exchange.said).unwrap();
        expect(&mut stream, &exchange.answer)?;
    }
    if case.is_closed {
        return expect_end(&mut stream);
    }
    stream.write_all(&[0xC0, 0]).unwrap();
    expect(&mut stream, &[0xD0, 0])
}

fn open(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn connected(port: u16, level: u8, client_id: &str) -> TcpStream {
    let mut stream = open(port);
    stream.write_all(&connect(level, client_id, false)).unwrap();
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    let mut rest = vec![0; header[1].into()];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!((header[0], rest[1]), (0x20, 0), "accepted");
    stream
}

fn tell(stream: &mut TcpStream, bytes: &[u8], answer: &[u8]) {
    stream.write_all(bytes).unwrap();
    expect(stream, answer).unwrap();
}

fn expect(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), String> {
    let mut received = vec![0; bytes.len()];
    match stream.read_exact(&mut received) {
        Ok(()) if received == bytes => Ok(()),
        outcome => Err(format!("{received:02x?} instead of {bytes:02x?}, {outcome:?}")),
    }
}

fn expect_end(stream: &mut TcpStream) -> Result<(), String> {
    let mut more = Vec::new();
    match stream.read_to_end(&mut more) {
        Ok(0) => Ok(()),
        Err(error) if error.kind() == ErrorKind::ConnectionReset && more.is_empty() => Ok(()),
        outcome => Err(format!("not closed, but {more:02x?}, {outcome:?}")),
    }
}
