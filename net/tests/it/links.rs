//! Parcels cross between shards in order, through lanes that hold next to nothing.

use crate::broker::{Broker, plan};
use engine::clock::Now;
use engine::key::{ConnId, ShardId};
use engine::shard::input::Input;
use engine::shard::outbox::{Order, Outbox};
use engine::shard::parcel::{Down, Up};
use net::plan::Plan;
use net::shard_loop::Step;
use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::Shutdown;

/// Every piece that a socket sends travels up to another shard and down again before it is echoed; it lies in the
/// arena with the name of its connection.
struct Detour {
    id: ShardId,
    shards: u16,
    /// Pieces that no lane had room for yet.
    waiting: VecDeque<(ShardId, ConnId, Vec<u8>)>,
    /// Pieces under way, by connection.
    under_way: HashMap<ConnId, usize>,
}

impl Detour {
    fn send_up(&mut self, out: &mut Outbox) {
        while let Some((owner, ..)) = self.waiting.front() {
            if out.up[owner.index()].len() >= out.up_credit[owner.index()] {
                return;
            }
            let (owner, conn, bytes) = self.waiting.pop_front().unwrap();
            let mut parcel = Up::default();
            write_record(&mut parcel.batch.bytes, conn, &bytes);
            // A parcel for every piece, so that the up lanes are full all the time.
            out.up[owner.index()].push(parcel);
        }
    }

    fn turn_round(&mut self, from: ShardId, parcel: &Up, out: &mut Outbox) {
        out.down_to(from).batch.bytes.extend_from_slice(&parcel.batch.bytes);
    }

    fn come_back(&mut self, parcel: &Down, out: &mut Outbox) {
        let mut rest = &parcel.batch.bytes[..];
        while let Some((conn, piece, after)) = read_record(rest) {
            out.sends.buffer(conn).extend_from_slice(piece);
            *self.under_way.get_mut(&conn).unwrap() -= 1;
            rest = after;
        }
        assert!(rest.is_empty());
    }
}

/// Index, generation and length, then the bytes.
fn write_record(arena: &mut Vec<u8>, conn: ConnId, bytes: &[u8]) {
    for number in [conn.index, conn.generation, bytes.len() as u32] {
        arena.extend_from_slice(&number.to_be_bytes());
    }
    arena.extend_from_slice(bytes);
}

fn read_record(arena: &[u8]) -> Option<(ConnId, &[u8], &[u8])> {
    let number = |at: usize| Some(u32::from_be_bytes(*arena.get(at..)?.first_chunk()?));
    let conn = ConnId { index: number(0)?, generation: number(4)? };
    let (piece, after) = arena.get(12..)?.split_at_checked(number(8)? as usize)?;
    Some((conn, piece, after))
}

impl Step for Detour {
    fn step(&mut self, _: Now, input: Input<'_>, out: &mut Outbox) {
        match input {
            Input::Opened { conn, .. } => {
                out.sends.open(conn);
                out.orders.push(Order::Establish(conn));
                self.under_way.insert(conn, 0);
            }
            Input::Bytes { conn, bytes } => {
                let owner = ShardId((self.id.0 + 1 + (conn.index as u16 % (self.shards - 1))) % self.shards);
                for piece in bytes.chunks(500) {
                    self.waiting.push_back((owner, conn, piece.to_vec()));
                    *self.under_way.get_mut(&conn).unwrap() += 1;
                }
            }
            Input::Up { from, parcel } => self.turn_round(from, &parcel, out),
            Input::Down { parcel, .. } => self.come_back(&parcel, out),
            // A client ends its connection when it has everything back.
            Input::Closed { conn } => assert_eq!(self.under_way.remove(&conn), Some(0)),
            _ => {}
        }
        self.send_up(out);
    }

    fn deadline(&self) -> Option<u64> {
        None
    }
}

fn detour(link_parcels: usize, shards: usize) {
    let plan = Plan { link_parcels, ..plan(shards) };
    let broker = Broker::start(plan, move |id| Detour {
        id,
        shards: shards as u16,
        waiting: VecDeque::new(),
        under_way: HashMap::new(),
    });
    std::thread::scope(|scope| {
        for seed in 0..16 {
            let broker = &broker;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                let sent: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(300_000).collect();
                let mut stream = broker.connect();
                let mut writer = stream.try_clone().unwrap();
                let mut received = vec![0; sent.len()];
                std::thread::scope(|scope| {
                    scope.spawn(|| writer.write_all(&sent).unwrap());
                    stream.read_exact(&mut received).unwrap();
                });
                assert!(received == sent, "other bytes came back, or in another order");
                stream.shutdown(Shutdown::Both).unwrap();
            });
        }
    });
}

#[test]
fn a_credit_of_one_is_slow_and_never_stands_still() {
    detour(1, 3);
    detour(2, 2);
}

#[test]
fn four_shards_exchange_parcels() {
    detour(64, 4);
}
