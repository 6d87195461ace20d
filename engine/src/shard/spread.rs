//! The rows of a message on their way to their owners.

use super::asked::{Asked, Message, Target};
use super::links::answer;
use super::outbox::Outbox;
use super::parcel::UpItem;
use super::subtree::Origin;
use super::{Shard, owner_side};
use crate::clock::Now;
use crate::dialect::{Verb, is_consumed};
use crate::key::{ShardId, Span};
use crate::row::batch::{Ask, Once, Packet, Row, View};
use crate::row::graft::{Bounds, Fault, graft, graft_as_written};
use crate::topic::Owners;

impl Shard {
    /// Whether every owner that the message may reach can take it now.
    pub(super) fn has_room(&self, target: &Result<Target<'_>, Fault>, is_stored: bool, out: &Outbox) -> bool {
        if is_stored && out.store_full {
            return false;
        }
        if let Ok(Target::Asked(asked)) = target
            && !self.has_room_for_replies(asked)
        {
            return false;
        }
        if self.subtree.is_slicing() && self.waits_for_slices(target) {
            return false;
        }
        if self.home.shards == 1 {
            return true;
        }
        let has_room = |owner: ShardId| {
            let lane = if owner == self.me { out.has_down_room() } else { out.has_up_room(owner) };
            lane && self.home.asks[owner.index()].is_empty()
        };
        match target {
            Ok(Target::Plain(topic)) => has_room(self.roots.owner(topic)),
            Ok(Target::Asked(asked)) => self.owner_list(self.owners_of(asked)).all(has_room),
            Ok(Target::Get(_)) => !self.home.has_many_asks(),
            Err(_) => true,
        }
    }

    /// Whether a message is for rows of this owner that are under way, or may be too large to be applied beside them.
    #[cold]
    fn waits_for_slices(&self, target: &Result<Target<'_>, Fault>) -> bool {
        /// Bytes of JSON that a row takes at least: a key of one letter, its quotes, the colon, a digit and a comma.
        const ROW_BYTES_MIN: usize = 6;
        match target {
            Ok(Target::Plain(topic)) => {
                let group = self.roots.group(topic);
                self.roots.shard_of_group(group) == self.me && self.subtree.is_busy(group)
            }
            Ok(Target::Asked(asked)) => {
                let is_large = match asked.verb {
                    Verb::Set => true,
                    Verb::Tree => asked.replace || self.subtree.is_large(asked.payload_bytes / ROW_BYTES_MIN),
                    _ => false,
                };
                let is_ours = self.owner_list(self.owners_of(asked)).any(|owner| owner == self.me);
                is_ours && (is_large || self.subtree.is_busy_in(self.roots.group_of_filter(&asked.filter)))
            }
            Ok(Target::Get(_)) | Err(_) => false,
        }
    }

    fn owner_list(&self, owners: Owners) -> impl Iterator<Item = ShardId> + use<> {
        let range = match owners {
            Owners::One(owner) => owner.0..owner.0 + 1,
            Owners::All => 0..self.home.shards,
        };
        range.map(ShardId)
    }

    /// Fills the scratch batch with the rows and properties of a message, and what it asks for. `is_told_alone`: its
    /// publisher learns of a conflict by a message only.
    pub(super) fn spread(
        &mut self,
        target: &Target<'_>,
        message: &Message<'_>,
        is_told_alone: bool,
        packet: &mut Packet,
    ) -> Result<(), Fault> {
        self.scratch.clear();
        match target {
            Target::Plain(topic) => self.spread_row(topic, message),
            Target::Get(_) => {} // a question has no rows
            Target::Asked(asked) => {
                match asked.verb {
                    Verb::Put => self.spread_row(asked.topic, message),
                    Verb::Tree => {
                        let limits = &self.home.config.limits;
                        let bounds = Bounds { rows: limits.tree_rows, levels: limits.topic_levels };
                        match &asked.classic {
                            Some(object) => graft_as_written(asked.topic, object, &bounds, &mut self.scratch)?,
                            None => graft(asked.topic, message.payload, &bounds, &mut self.scratch)?,
                        };
                    }
                    _ => self.spread_row(&asked.filter, message),
                }
                packet.ask = self.keep_ask(
                    asked,
                    message.payload,
                    is_told_alone || message.properties.response_topic().is_some(),
                );
            }
        }
        let start = self.scratch.bytes.len();
        message.properties.forwarded(&mut self.scratch.bytes, is_consumed);
        packet.properties = Span::new(start, self.scratch.bytes.len() - start);
        packet.row_count = self.scratch.rows.len() as u32;
        Ok(())
    }

    fn spread_row(&mut self, topic: &str, message: &Message<'_>) {
        let topic = self.scratch.keep(topic.as_bytes());
        let payload = self.scratch.keep(message.payload);
        self.scratch.rows.push(Row { topic, payload, text: message.is_text });
    }

    fn keep_ask(&mut self, asked: &Asked<'_>, payload: &[u8], tells_conflict: bool) -> u32 {
        let Asked { verb, topic, ref filter, condition, replace, .. } = *asked;
        let once = asked.id.map(|id| Once {
            // No text contains this byte, so no topic and key are another topic and key.
            key: self.roots.digest(&[topic.as_bytes(), &[0xFF], id.as_bytes()]),
            payload: self.roots.digest(&[payload]),
        });
        let pattern = self.scratch.keep(topic.as_bytes());
        let filter = self.scratch.keep(filter.as_bytes());
        self.scratch.asks.push(Ask { verb, condition, replace, tells_conflict, once, pattern, filter });
        0
    }

    /// Sends the rows of the scratch batch to their owners, one part per group, or the whole of what cannot be parted.
    /// `owe` is told how many answer.
    pub(super) fn send_scratch(
        &mut self,
        now: Now,
        mut packet: Packet,
        owe: impl FnOnce(&mut Shard, u32) -> (u32, u64),
        out: &mut Outbox,
    ) {
        let scratch = std::mem::take(&mut self.scratch);
        let (bytes, rows) = (&scratch.bytes[..], &scratch.rows[..]);
        let ask = scratch.asks.first();
        if let Some(whole) = ask.filter(|ask| ask.is_whole()) {
            let owners = self.roots.owners_of_filter(whole.filter.text_of(bytes));
            let count = self.owner_list(owners).count() as u32;
            (packet.ticket, packet.publish) = owe(self, count);
            for owner in self.owner_list(owners) {
                self.send_to_owner(now, owner, View { bytes, packet: &packet, rows, ask }, out);
            }
        } else if let [row] = rows {
            (packet.ticket, packet.publish) = owe(self, 1);
            let owner = self.roots.owner(row.topic.text_of(bytes));
            self.send_to_owner(now, owner, View { bytes, packet: &packet, rows, ask }, out);
        } else {
            let parts = self.parts_by_group(bytes, rows);
            (packet.ticket, packet.publish) = owe(self, parts.len() as u32);
            for rows in &parts {
                packet.row_count = rows.len() as u32;
                let owner = self.roots.owner(rows[0].topic.text_of(bytes));
                self.send_to_owner(now, owner, View { bytes, packet: &packet, rows, ask }, out);
            }
        }
        self.scratch = scratch;
    }

    /// Rows by group, in the order in which the groups first come; the rows of one keep their order.
    fn parts_by_group(&self, bytes: &[u8], rows: &[Row]) -> Vec<Vec<Row>> {
        let topic = |row: &Row| row.topic.text_of(bytes);
        let mut parts: Vec<Vec<Row>> = Vec::new();
        let mut part_of_group: Vec<Option<usize>> = vec![None; crate::limits::GROUPS];
        let mut last: Option<(&str, usize)> = None;
        for row in rows {
            let root = self.roots.root_of(topic(row));
            let part = match last {
                Some((same, part)) if same == root => part,
                _ => {
                    let group = self.roots.group(topic(row));
                    *part_of_group[group.index()].get_or_insert_with(|| {
                        parts.push(Vec::new());
                        parts.len() - 1
                    })
                }
            };
            parts[part].push(*row);
            last = Some((root, part));
        }
        parts
    }

    /// What one owner has of a packet goes to it: by call where that is this shard, else by link.
    pub(super) fn send_to_owner(&mut self, now: Now, owner: ShardId, view: View<'_>, out: &mut Outbox) {
        if owner != self.me {
            let up = out.up_to(owner);
            let index = up.batch.copy_packet(view);
            up.items.push(UpItem::Packet { index });
            return;
        }
        let (subtree, roots, mut reach) = owner_side!(self, now, out);
        let Some(verdict) = subtree.apply(now, view, Origin::Local, roots, &mut reach) else { return };
        if view.ask.is_some() {
            // Behind what it told this home on the way.
            return answer(&view, verdict, reach.local);
        }
        if let Some(refusal) = verdict.refusal
            && !view.packet.named.is_empty()
        {
            let named = view.packet.named.text_of(view.bytes);
            self.say_refused(view.packet.publisher.session, refusal, named, out);
        }
        if view.packet.wants_verdict {
            let Packet { publisher, ticket, publish, .. } = *view.packet;
            self.home.settle_verdict(publisher.session, ticket, publish, verdict);
        }
    }
}
