//! Share groups at the owner of their filter: each message that matches goes to one member, wherever that is. The
//! owner picks the home, the home the member (`members`). A filter with a wildcard inside the root has its groups at
//! every owner, each with a state of its own: a message has one owner, so it still goes to one member.

use super::parcel::{Counts, DownItem, Offer, Source};
use super::subtree::{Homes, Origin, Subtree};
use crate::key::{FilterHandle, ShardId};
use crate::limits::SHARE_RETURNS_MAX;
use crate::row::batch::{Row, View};
use crate::row::change::Join;
use crate::topic::share::Share;
use crate::topic::{FilterId, parse_share};
use crate::wire::QoS;

/// A row on its way to share groups.
struct Shared<'a> {
    me: ShardId,
    view: &'a View<'a>,
    origin: &'a Origin<'a>,
    row: &'a Row,
    index: u32,
    returns: u8,
}

impl Subtree {
    /// `home` has members of the group that the shared filter names.
    pub fn join(&mut self, home: ShardId, share: &str, handle: FilterHandle, counts: Counts, homes: &mut impl Homes) {
        let Some(Ok((name, filter))) = parse_share(share) else { return };
        let before = self.subscriptions.share(name, filter, &self.interner);
        let was_awake = before.is_some_and(|group| group.is_awake());
        let group = self.subscriptions.join(name, filter, (home, handle), counts, &mut self.interner);
        recall(group, home, was_awake, homes);
    }

    /// `home` has no members of it any longer.
    pub(super) fn leave(&mut self, home: ShardId, share: &str) {
        if let Some(Ok((name, filter))) = parse_share(share) {
            self.subscriptions.leave(name, filter, home, &mut self.interner);
        }
    }

    /// The members at `home` are others now, or can take more or less.
    pub fn tell_presence(
        &mut self,
        home: ShardId,
        share: &str,
        handle: FilterHandle,
        counts: Counts,
        homes: &mut impl Homes,
    ) {
        let Some(Ok((name, filter))) = parse_share(share) else { return };
        let Some(group) = self.subscriptions.share(name, filter, &self.interner) else { return };
        let was_awake = group.is_awake();
        group.tell(home, handle, counts);
        recall(group, home, was_awake, homes);
    }

    /// A row goes to one member of each group of the filters that it matched.
    pub(super) fn pass_to_shares(
        &mut self,
        view: &View<'_>,
        origin: &Origin<'_>,
        row: &Row,
        index: u32,
        matched: &[FilterId],
        homes: &mut impl Homes,
    ) {
        let shared = Shared { me: self.me, view, origin, row, index, returns: 0 };
        for id in matched {
            let Some(groups) = self.subscriptions.shares(*id) else { continue };
            for group in groups.iter_mut() {
                let home = shared.hand_out(group, homes);
                self.reached.opens += u32::from(home.is_some() && view.packet.is_opened());
                self.reached.homes |= home.map_or(0, |home| 1 << home.index());
            }
        }
    }

    /// A message whose member had gone: to another. Of a group that is no more it goes too, MQTT 5 section 4.8.2.
    pub fn take_back(&mut self, view: View<'_>, share: &str, returns: u8, homes: &mut impl Homes) {
        let me = self.me;
        let shared = Shared { me, view: &view, origin: &Origin::Local, row: &view.rows[0], index: 0, returns };
        let parsed = parse_share(share).and_then(Result::ok);
        let group = parsed.and_then(|(name, filter)| self.subscriptions.share(name, filter, &self.interner));
        let home = group.and_then(|group| shared.hand_out(group, homes));
        if home.is_none() && view.packet.is_moved() {
            // Nobody gets it: that it has left its member stands alone.
            let changes = &mut homes.outbox().changes;
            changes.joins.push(Join { publish: view.packet.publish, parts: 0 });
            changes.advance();
        }
    }
}

impl Shared<'_> {
    /// Where it went.
    fn hand_out(&self, group: &mut Share, homes: &mut impl Homes) -> Option<ShardId> {
        let is_last = self.returns >= SHARE_RETURNS_MAX;
        // Ends: a home that does not take it is not picked again.
        while let Some(pick) = group.pick(self.view.packet.qos > QoS::AtMostOnce, is_last) {
            let offer = Offer { handle: pick.handle, keep: pick.keep || is_last, returns: self.returns };
            let is_opened = self.view.packet.is_opened();
            let open = DownItem::Open { publish: self.view.packet.publish };
            if pick.home != self.me {
                let down = homes.down_to(pick.home);
                down.items.extend(is_opened.then_some(open));
                let (source, packet, row) = match self.origin {
                    Origin::Parcel(batch, packet) => (down.share(batch), *packet, self.index),
                    Origin::Local => (Source::Own, down.batch.copy_rows(*self.view, std::iter::once(*self.row)), 0),
                };
                down.items.push(DownItem::Share { source, packet, row, offer });
                return Some(pick.home);
            }
            if homes.offer_here(self.view, self.row, offer) {
                if is_opened {
                    homes.open_here(self.view.packet.publish);
                }
                return Some(self.me);
            }
            group.is_away(self.me); // what its home has to tell is under way
        }
        None
    }
}

/// `home` told of its members: where nobody is connected while others are elsewhere, what waits is had by those.
fn recall(group: &Share, home: ShardId, was_awake: bool, homes: &mut impl Homes) {
    for (asleep, handle) in group.asleep() {
        if asleep == home || !was_awake {
            homes.down_to(asleep).items.push(DownItem::Recall { handle });
        }
    }
}
