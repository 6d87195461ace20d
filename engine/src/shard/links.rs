//! Parcels: what other shards ask of this one as an owner, what owners tell it as a home, and what it asks of them.

use super::home::{Ask, Home};
use super::outbox::Outbox;
use super::parcel::{Down, DownItem, Kind, Refusal, Up, UpItem, Verdict, WalkStart};
use super::subtree::{Homes, Origin};
use super::{Shard, owner_side};
use crate::clock::Now;
use crate::key::{ShardId, Span};
use crate::row::batch::{Packet, View};
use crate::session::cursor::Versions;
use std::sync::Arc;

impl Shard {
    /// Work from a home for this owner.
    pub(super) fn take_up(&mut self, now: Now, from: ShardId, parcel: Up, out: &mut Outbox) {
        let Up { items, batch, reports } = parcel;
        let batch = Arc::new(batch);
        let text = |span: Span| span.text_of(&batch.bytes);
        for item in items {
            if let UpItem::Run(at) = item {
                self.take_run(now, at, &batch, out);
                continue;
            }
            let (subtree, roots, mut reach) = owner_side!(self, now, out);
            match item {
                UpItem::Run(_) => {}
                UpItem::Packet { index } => {
                    let view = batch.view(index);
                    let origin = Origin::Parcel(&batch, index);
                    if let Some(verdict) = subtree.apply(now, view, origin, roots, &mut reach) {
                        answer(&view, verdict, reach.down_to(from));
                    }
                }
                UpItem::Want { filter, kind: Kind::Shared, handle, session, ticket, counts } => {
                    subtree.join(from, text(filter), handle, counts, &mut reach);
                    reach.down_to(from).items.push(DownItem::Applied { to: session, ticket });
                }
                UpItem::Presence { share, handle, counts } => {
                    subtree.tell_presence(from, text(share), handle, counts, &mut reach);
                }
                UpItem::Return { index, share, returns } => {
                    subtree.take_back(batch.view(index), text(share), returns, &mut reach);
                }
                UpItem::Want { filter, kind, handle, session, ticket, .. } => {
                    subtree.make_way(now, text(filter), roots, &mut reach);
                    subtree.want(from, text(filter), kind, handle, roots, &mut reach);
                    reach.down_to(from).items.push(DownItem::Applied { to: session, ticket });
                }
                UpItem::Drop { filter, kind, handle } => {
                    subtree.make_way(now, text(filter), roots, &mut reach);
                    subtree.unwant(from, text(filter), kind);
                    reach.down_to(from).items.push(DownItem::Dropped { handle });
                }
                UpItem::Walk(start) => {
                    let since = Versions::read(start.since.of(&batch.bytes)).unwrap_or_default();
                    subtree.walk(from, start, (text(start.filter), &since), roots, &mut reach);
                }
                UpItem::More { walk } => subtree.continue_walk(from, walk, roots, &mut reach),
                UpItem::Cancel { walk } => subtree.cancel_walk(from, walk),
                UpItem::Report { index } => self.sys.take(from, reports[index as usize]),
            }
        }
    }

    /// What an owner tells this home.
    pub(super) fn take_down(&mut self, now: Now, from: ShardId, parcel: Down, out: &mut Outbox) {
        self.take_down_items(now, from, &parcel, out);
    }

    pub(super) fn take_down_items(&mut self, now: Now, from: ShardId, parcel: &Down, out: &mut Outbox) {
        for item in &parcel.items {
            match *item {
                DownItem::Deliver { source, packet, row, first, count, revision } => {
                    let view = parcel.source(source).view(packet);
                    let handles = &parcel.handles[first as usize..(first + count) as usize];
                    self.home.deliver_row(now, &view, (&view.rows[row as usize], revision), handles, out);
                }
                DownItem::Run { source, at, handle } => self.on_run(now, parcel, (source, at), handle, out),
                DownItem::Share { source, packet, row, offer } => {
                    let view = parcel.source(source).view(packet);
                    self.home.take_or_return(now, &view, &view.rows[row as usize], (offer, from), out);
                }
                DownItem::Recall { handle } => self.home.recall(handle),
                DownItem::Frame(frame) => {
                    self.home.on_frame(now, from, &frame, frame.body.of(&parcel.batch.bytes), out);
                }
                DownItem::Rows { walk, first, count, first_version, done } => {
                    self.retained_slice(now, walk, parcel, (first..first + count, first_version), done, out);
                }
                DownItem::Part(part) => {
                    let bytes = &parcel.batch.bytes;
                    if self.home.readers.get(&part.walk).is_some_and(|reader| reader.is_get) {
                        self.take_get_part(now, &part, bytes, out);
                    } else {
                        self.home.on_part(now, &part, bytes, out);
                    }
                }
                DownItem::Stands { handle, versions } => {
                    self.home.filters.raise(handle, &versions_in(versions, &parcel.batch.bytes));
                }
                DownItem::Applied { to, ticket } => {
                    if let Some(session) = self.home.sessions.get_mut(to) {
                        session.acks.settle(ticket, Verdict { matched: true, applied: 1, ..Verdict::default() });
                    }
                    self.flush_acks(to, out);
                }
                DownItem::Dropped { handle } => self.home.filters.dropped(handle),
                DownItem::Refused { to, refusal, named } => {
                    self.say_refused(to, refusal, named.text_of(&parcel.batch.bytes), out);
                }
                DownItem::Conflict(conflict) => self.on_conflict(&conflict, &parcel.batch.bytes, out),
                DownItem::Verdict { to, ticket, publish, verdict } => {
                    self.home.settle_verdict(to, ticket, publish, verdict);
                    self.flush_acks(to, out);
                }
                DownItem::Open { publish } => self.home.writing.open(publish),
                DownItem::Confirm { publisher, ticket, publish } => {
                    self.home.writing.confirm(publisher, ticket, publish);
                }
                DownItem::Kept { to, ticket } => {
                    if let Some(session) = self.home.sessions.get_mut(to) {
                        session.acks.kept(ticket);
                    }
                    self.flush_acks(to, out);
                }
            }
        }
    }

    fn retained_slice(
        &mut self,
        now: Now,
        walk: u32,
        parcel: &Down,
        (packets, first_version): (std::ops::Range<u32>, u32),
        done: bool,
        out: &mut Outbox,
    ) {
        let Some(reader) = self.home.readers.get(&walk).copied() else { return };
        for (packet, version) in packets.zip(&parcel.versions[first_version as usize..]) {
            let view = parcel.batch.view(packet);
            self.home.deliver_retained(now, &view, *version, (reader.session, reader.handle), out);
        }
        if !done {
            return self.home.ask_for_next_slice(walk, out);
        }
        self.home.readers.remove(&walk);
        if let Some(session) = self.home.sessions.get_mut(reader.session) {
            session.walks.remove(reader.handle, walk);
        }
        self.home.go_on_walks(reader.session, out); // one of those behind the first may begin
    }

    /// Passes asks on to owners as far as their lanes have room. Returns whether the owner is this shard for any.
    pub(super) fn pass_asks(&mut self, now: Now, out: &mut Outbox) -> bool {
        let mut any_here = false;
        for owner in (0..self.home.shards).map(ShardId) {
            while !self.home.asks[owner.index()].is_empty() && (owner == self.me || out.has_up_room(owner)) {
                let Some(ask) = self.home.asks[owner.index()].pop_front() else { break };
                if owner == self.me {
                    any_here = true;
                    self.answer_here(now, ask, out);
                } else {
                    send_ask(&mut self.home, owner, ask, out);
                }
            }
        }
        any_here
    }

    fn answer_here(&mut self, now: Now, ask: Ask, out: &mut Outbox) {
        let me = self.me;
        let (subtree, roots, mut reach) = owner_side!(self, now, out);
        match ask {
            Ask::Want { handle, session, ticket } if reach.home.filters.slot(handle).members.is_some() => {
                let slot = reach.home.filters.slot(handle);
                let (share, counts) = (slot.text.clone(), slot.counts());
                subtree.join(me, &share, handle, counts, &mut reach);
                reach.local.items.push(DownItem::Applied { to: session, ticket });
            }
            Ask::Presence { handle } => {
                let counts = reach.home.presence_to_tell(handle, me);
                let share = std::mem::take(&mut reach.home.filters.slot_mut(handle).text);
                subtree.tell_presence(me, &share, handle, counts, &mut reach);
                reach.home.filters.slot_mut(handle).text = share;
            }
            Ask::Return(returned) => {
                subtree.take_back(returned.batch.view(0), &returned.share, returned.returns, &mut reach);
            }
            Ask::Want { handle, session, ticket } => {
                let slot = reach.home.filters.slot(handle);
                let (text, kind) = (slot.text.clone(), slot.kind);
                subtree.make_way(now, &text, roots, &mut reach);
                subtree.want(me, &text, kind, handle, roots, &mut reach);
                reach.local.items.push(DownItem::Applied { to: session, ticket });
            }
            Ask::Drop { handle } => {
                let slot = reach.home.filters.slot(handle);
                let (text, kind) = (slot.text.clone(), slot.kind);
                subtree.make_way(now, &text, roots, &mut reach);
                subtree.unwant(me, &text, kind);
                reach.local.items.push(DownItem::Dropped { handle });
            }
            Ask::Walk { handle, start, since } => {
                let filter = reach.home.filters.slot(handle).text.clone();
                subtree.walk(me, start, (&filter, &since.unwrap_or_default()), roots, &mut reach);
            }
            Ask::WalkOf { filter, start } => {
                subtree.walk(me, start, (&filter, &Versions::default()), roots, &mut reach);
            }
            Ask::More { walk } => subtree.continue_walk(me, walk, roots, &mut reach),
            Ask::Cancel { walk } => subtree.cancel_walk(me, walk),
            Ask::Report(report) => self.sys.take(me, *report),
        }
    }
}

/// What became of a packet, for its publisher.
pub(super) fn answer(view: &View<'_>, verdict: Verdict, down: &mut Down) {
    let Packet { publisher, ticket, publish, named, .. } = *view.packet;
    let to = publisher.session;
    if let Some(refusal) = verdict.refusal.filter(|refusal| !matches!(refusal, Refusal::Conflict { .. }))
        && !named.is_empty()
    {
        let named = down.batch.keep(named.of(view.bytes));
        down.items.push(DownItem::Refused { to, refusal, named });
    }
    if view.packet.wants_verdict {
        down.items.push(DownItem::Verdict { to, ticket, publish, verdict });
    }
}

fn send_ask(home: &mut Home, owner: ShardId, ask: Ask, out: &mut Outbox) {
    let up = out.up_to(owner);
    let item = match ask {
        Ask::Want { handle, session, ticket } => {
            let slot = home.filters.slot(handle);
            let filter = up.batch.keep(slot.text.as_bytes());
            UpItem::Want { filter, kind: slot.kind, handle, session, ticket, counts: slot.counts() }
        }
        Ask::Presence { handle } => {
            let counts = home.presence_to_tell(handle, owner);
            let share = up.batch.keep(home.filters.slot(handle).text.as_bytes());
            UpItem::Presence { share, handle, counts }
        }
        Ask::Return(returned) => {
            let index = up.batch.copy_packet(returned.batch.view(0));
            UpItem::Return { index, share: up.batch.keep(returned.share.as_bytes()), returns: returned.returns }
        }
        Ask::Drop { handle } => {
            let slot = home.filters.slot(handle);
            let filter = up.batch.keep(slot.text.as_bytes());
            UpItem::Drop { filter, kind: slot.kind, handle }
        }
        Ask::Walk { handle, start, since } => {
            let filter = up.batch.keep(home.filters.slot(handle).text.as_bytes());
            let mut bytes = Vec::new();
            since.unwrap_or_default().write(&mut bytes);
            UpItem::Walk(WalkStart { filter, since: up.batch.keep(&bytes), ..start })
        }
        Ask::WalkOf { filter, start } => {
            let filter = up.batch.keep(filter.as_bytes());
            UpItem::Walk(WalkStart { filter, ..start })
        }
        Ask::More { walk } => UpItem::More { walk },
        Ask::Cancel { walk } => UpItem::Cancel { walk },
        Ask::Report(report) => {
            up.reports.push(*report);
            UpItem::Report { index: up.reports.len() as u32 - 1 }
        }
    };
    up.items.push(item);
}

/// Versions as an owner wrote them.
pub(super) fn versions_in(span: Span, bytes: &[u8]) -> Versions {
    Versions::read(span.of(bytes)).unwrap_or_default()
}
