//! A broker that knows one thing: a PUBLISH goes to every connection whose filter is its topic or ends in `#`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What is done to the deliveries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    None,
    /// Every tenth is left out.
    Lose,
}

type Table = Arc<Mutex<Vec<(Vec<u8>, TcpStream)>>>;

pub fn start(trick: Trick) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let table = Table::default();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let (socket, table) = (socket.unwrap(), table.clone());
            std::thread::spawn(move || serve(socket, &table, trick));
        }
    });
    address
}

fn packet(socket: &mut TcpStream) -> Option<(u8, Vec<u8>, Vec<u8>)> {
    let mut head = [0; 2];
    socket.read_exact(&mut head).ok()?;
    let (mut raw, mut length, mut shift) = (head.to_vec(), usize::from(head[1] & 0x7f), 7);
    while raw[raw.len() - 1] & 0x80 != 0 {
        let mut byte = [0];
        socket.read_exact(&mut byte).ok()?;
        raw.push(byte[0]);
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).ok()?;
    raw.extend(&body);
    Some((head[0], body, raw))
}

fn serve(mut socket: TcpStream, table: &Table, trick: Trick) {
    let mut number = 0;
    while let Some((first, body, raw)) = packet(&mut socket) {
        match first >> 4 {
            1 => socket.write_all(&[0x20, 2, 0, 0]).unwrap(),
            8 => {
                let filter = body[4..body.len() - 1].to_vec();
                table.lock().unwrap().push((filter, socket.try_clone().unwrap()));
                socket.write_all(&[0x90, 3, body[0], body[1], body[body.len() - 1]]).unwrap();
            }
            3 => {
                let topic = &body[2..2 + usize::from(body[0]) * 256 + usize::from(body[1])];
                if first & 6 != 0 {
                    let id = &body[2 + topic.len()..];
                    let _ = socket.write_all(&[0x40, 2, id[0], id[1]]);
                }
                number += 1;
                if trick == Trick::Lose && number % 10 == 0 {
                    continue;
                }
                for (filter, reader) in table.lock().unwrap().iter_mut() {
                    if filter == topic || filter.ends_with(b"#") {
                        let _ = reader.write_all(&raw);
                    }
                }
            }
            _ => {}
        }
    }
}
