//! SUBSCRIBE and UNSUBSCRIBE at the subscriber's home.

use super::Shard;
use super::filters::Subscriber;
use super::home::{Ask, Reader};
use super::merged::{First, MergedAsked, ReaderOptions};
use super::outbox::Outbox;
use super::parcel::Stand;
use super::receive::Flow;
use crate::clock::Now;
use crate::dialect::{
    CLASSIC, Form, Intent, Parsed, Verb, allowed_on_subscribe, classic_filter, combine, find_property,
    is_shared_intent, parse_prefix, parse_property, parse_unsubscribe, without_start,
};
use crate::key::{FilterHandle, SessionKey};
use crate::limits::TOPIC_LEVELS_MAX;
use crate::session::acks::OwedKind;
use crate::session::cursor::{read_cursor, read_stand};
use crate::session::lasting::Wanted;
use crate::session::{SubscriptionRef, Wish};
use crate::topic::{Kind, check_filter, is_wildcard, parse_share, stem};
use crate::wire::{ReasonCode, Subscribe, SubscriptionOptions, Unsubscribe};
use foldhash::HashSet;
use smallvec::SmallVec;
use std::borrow::Cow;

/// What a filter of a SUBSCRIBE asks for.
struct Asked<'a> {
    filter: &'a str,
    kind: Kind,
    /// A snapshot first.
    sync: bool,
    /// The cursor after which that begins.
    since: Option<&'a str>,
    /// With it: each change by itself, where a history has it.
    events: bool,
    options: ReaderOptions,
    /// Plain: deliveries say which version the row has.
    versions: bool,
    /// What topics are to match; of a share group the filter behind its name.
    matches: &'a str,
}

impl<'a> Asked<'a> {
    fn plain(filter: &'a str) -> Asked<'a> {
        let options = ReaderOptions::default();
        Asked {
            filter,
            kind: Kind::Plain,
            sync: false,
            since: None,
            events: false,
            options,
            versions: false,
            matches: filter,
        }
    }
}

/// A merged subscription as an UNSUBSCRIBE names it: its form does not matter.
const MERGED: Kind = Kind::Merged(Form::CLASSIC);

/// Why a filter is refused: what its code says instead of the granted QoS [MQTT-3.8.4-7].
type Refusal = (ReasonCode, &'static str);

/// A subscription that was made.
struct Made {
    handle: FilterHandle,
    /// Retained rows follow the SUBACK.
    reads: bool,
    /// It replaced one to the same filter.
    is_again: bool,
    /// Merged: it is to learn that the SUBACK has left.
    waiting: u32,
}

impl Shard {
    pub(super) fn subscribe(&mut self, now: Now, key: SessionKey, subscribe: &Subscribe<'_>, out: &mut Outbox) -> Flow {
        let Some(session) = self.home.sessions.get(key) else { return Flow::Gone };
        let version = session.version;
        if version.is_v5() && session.acks.is_in_use(subscribe.packet_id) {
            let codes = vec![ReasonCode::PacketIdentifierInUse as u8; subscribe.filters.len()].into_boxed_slice();
            let owed = OwedKind::Suback { codes, reading: SmallVec::new() };
            return self.answer_at_once(key, owed, subscribe.packet_id, out);
        }
        let mote = find_property(subscribe.properties.user_properties());
        let mote = mote.and_then(|mote| one_cursor_for_one_filter(mote, subscribe.filters.len()));
        let is_classic = session.conn.is_some_and(|conn| self.home.conns.is_classic(conn));
        let mote = spelled(mote, is_classic);
        let subscription_id = subscribe.properties.subscription_identifier().unwrap_or(0);
        let ticket = session.acks.next_ticket();
        let (mut codes, mut reading) = (Vec::new(), SmallVec::new());
        let (mut waiting, mut what) = (0, None);
        // One after the other, a code for each in their order [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1]
        // [3.1.1: MQTT-3.8.4-4] [3.1.1: MQTT-3.8.4-5] [3.1.1: MQTT-3.9.3-1].
        for (filter, options) in subscribe.filters.iter() {
            let made = self
                .judge_filter(key, filter, mote)
                .map(|asked| self.make_subscription(key, &asked, options, subscription_id, ticket, None));
            match made {
                Ok(made) => {
                    self.keep_subscription(key, made.handle, (filter, mote.ok().flatten()), options, subscription_id);
                    codes.push(options.qos as u8);
                    waiting += made.waiting;
                    if made.reads && !(made.is_again && reading.contains(&made.handle)) {
                        reading.push(made.handle);
                    }
                }
                Err((code, why)) => {
                    codes.push(if version.is_v5() { code as u8 } else { 0x80 }); // [MQTT-3.9.3-2]
                    what = Some(why);
                }
            }
        }
        if let Some(session) = self.home.sessions.get_mut(key) {
            let codes = codes.into_boxed_slice();
            session.acks.owe(OwedKind::Suback { codes, reading }, subscribe.packet_id, waiting);
            if self.home.writing.waits_for_disk {
                let token = self.home.writing.list(key, session);
                session.acks.hold(ticket, token);
            }
            if let Some(what) = what {
                session.acks.explain(ticket, what);
            }
        }
        // What follows in the same bytes must find the wishes ahead of it: who subscribes and then publishes sees it.
        self.settle(now, out);
        self.flush_acks(key, out);
        Flow::Next
    }

    /// Owes an answer that no owner decides about: it leaves behind those that are owed already.
    fn answer_at_once(&mut self, key: SessionKey, owed: OwedKind, packet_id: u16, out: &mut Outbox) -> Flow {
        let Some(session) = self.home.sessions.get_mut(key) else { return Flow::Gone };
        let ticket = session.acks.owe(owed, packet_id, 0);
        if self.home.writing.waits_for_disk {
            let token = self.home.writing.list(key, session);
            session.acks.hold(ticket, token);
        }
        self.flush_acks(key, out);
        Flow::Next
    }

    /// Judges a filter, and whether the session may have one more. `mote` is the user property that holds an intent.
    fn judge_filter<'a>(
        &self,
        key: SessionKey,
        text: &'a str,
        mote: Result<Option<&'a str>, &'static str>,
    ) -> Result<Asked<'a>, Refusal> {
        let asked = read_filter(text, mote, self.home.config.limits.topic_levels)?;
        let session = self.home.sessions.get(key);
        if asked.versions && session.is_some_and(|session| !session.version.is_v5()) {
            return Err((ReasonCode::TopicFilterInvalid, "versions of rows are told in user properties of MQTT 5"));
        }
        let has_it = self.find_subscription(key, asked.filter, asked.kind).is_some();
        let count = session.map_or(0, |session| session.subscriptions.len());
        if !has_it && count >= self.home.config.limits.subscriptions {
            return Err((ReasonCode::QuotaExceeded, "too many subscriptions"));
        }
        Ok(asked)
    }

    /// Writes a subscription as it was asked for, where its session lasts.
    fn keep_subscription(
        &mut self,
        key: SessionKey,
        handle: FilterHandle,
        (filter, mote): (&str, Option<&str>),
        options: SubscriptionOptions,
        id: u32,
    ) {
        let number = self.home.filters.slot(handle).number;
        self.home.list(key);
        let lasting = self.home.sessions.get_mut(key).and_then(|session| session.delivery.lasting.as_deref_mut());
        if let Some(lasting) = lasting {
            // Where a merged one stands is written in place of where it began.
            let is_prefixed = matches!(parse_prefix(filter), Parsed::Intent(..));
            let filter = if is_prefixed { without_start(filter) } else { Cow::Borrowed(filter) };
            let (filter, mote) = (filter.into(), mote.map(|mote| without_start(mote).into()));
            let wanted = Wanted { filter, mote, options, id, cursor: Vec::new() };
            lasting.subscribed(number, wanted.clone());
            self.home.remember_merged(key, handle, wanted);
        }
    }

    /// What a merged subscription gets before what is live.
    fn first_of(&self, asked: &Asked<'_>) -> First {
        match asked.since {
            _ if !asked.sync => First::Nothing,
            None => First::All,
            Some(cursor) => match read_cursor(cursor, self.home.epoch) {
                None => First::Reset, // a cursor that is damaged is one that is too old
                // The frame of a filter without wildcard is the row as it is: an empty one would say that it is gone.
                Some(versions) if is_wildcard(asked.filter) => First::Since(versions),
                Some(versions) => First::AllSince(versions),
            },
        }
    }

    fn find_subscription(&self, key: SessionKey, filter: &str, kind: Kind) -> Option<SubscriptionRef> {
        let find = |kind: Kind| {
            let handle = self.home.filters.find(filter, kind)?;
            self.home.sessions.get(key)?.subscriptions.find(handle)
        };
        match kind {
            // A session has at most one merged subscription to a filter, in whatever form.
            Kind::Merged(_) => Form::ALL.into_iter().find_map(|form| find(Kind::Merged(form))),
            Kind::Plain | Kind::Shared => find(kind),
        }
    }

    /// Makes a subscription, or replaces the one to the same filter [MQTT-3.8.4-3] [3.1.1: MQTT-3.8.4-3]: messages go on
    /// [MQTT-3.8.4-4].
    fn make_subscription(
        &mut self,
        key: SessionKey,
        asked: &Asked<'_>,
        options: SubscriptionOptions,
        subscription_id: u32,
        ticket: u32,
        first: Option<First>,
    ) -> Made {
        let SubscriptionOptions { qos, no_local, retain_as_published, retain_handling } = options;
        let wish = Wish { qos, no_local, retain_as_published, versions: asked.versions, subscription_id };
        let existing = self.find_subscription(key, asked.filter, asked.kind);
        let owners = self.roots.owners_of_filter(asked.matches);
        let number = self.roots.number_of_filter(asked.filter, asked.kind);
        let handle = self.home.filters.find_or_insert(asked.filter, asked.kind, owners, number);
        let existing = match existing {
            Some(other) if other.handle != handle => {
                self.remove_subscription(key, other); // its frames had another form
                None
            }
            existing => existing,
        };
        let owners = self.home.owner_list(handle);
        let merged = match asked.kind {
            Kind::Plain | Kind::Shared => 0,
            Kind::Merged(_) => {
                let group = self.roots.group_of_filter(asked.filter);
                let has_object = self.roots.group_of_object(stem(asked.filter)).is_some();
                let first = first.unwrap_or_else(|| self.first_of(asked));
                let asked = MergedAsked { first, events: asked.events, options: asked.options, group, has_object };
                self.home.add_merged(key, handle, asked, &owners)
            }
        };
        match existing {
            Some(at) => {
                let replaced = self.home.filters.replace(at, wish, merged);
                if asked.kind.is_merged() {
                    self.home.remove_merged(replaced.merged);
                }
            }
            None => {
                let at = self.home.filters.subscribe(handle, Subscriber::new(key, wish, merged));
                if let Some(session) = self.home.sessions.get_mut(key) {
                    session.subscriptions.push(at);
                }
                if asked.kind == Kind::Shared {
                    self.home.become_member(key, at);
                }
            }
        }
        for owner in &owners {
            self.home.ask(*owner, Ask::Want { handle, session: key, ticket });
        }
        let reads = match asked.kind {
            Kind::Merged(_) => true,
            Kind::Shared => false, // no retained messages, MQTT 5 section 4.8.2
            Kind::Plain => retain_handling == 0 || retain_handling == 1 && existing.is_none(), // [MQTT-3.3.1-9..11]
        };
        if reads && existing.is_some() {
            // What the replaced one read or was to read begins again, behind this SUBACK.
            if let Some(session) = self.home.sessions.get_mut(key) {
                session.acks.forget_reading(handle);
            }
            self.home.cancel_plain_walks(key, handle);
        }
        Made { handle, reads, is_again: existing.is_some(), waiting: owners.len() as u32 }
    }

    /// SUBACK has left: retained rows follow [3.1.1: MQTT-3.3.1-6].
    pub(super) fn start_reading(&mut self, key: SessionKey, reading: &[FilterHandle], out: &mut Outbox) {
        for handle in reading {
            let Some(session) = self.home.sessions.get(key) else { return };
            let Some(at) = session.subscriptions.find(*handle) else { continue };
            if let Some(index) = self.home.filters.merged_at(at) {
                self.home.announce_merged(index, out);
                continue;
            }
            for owner in self.home.owner_list(*handle) {
                let is_waiting = !self.home.may_begin_walk(key, out);
                let reader = Reader { handle: *handle, is_waiting, ..Reader::of(key, owner) };
                let walk = self.home.start_walk(reader, Kind::Plain, Stand::NOTHING);
                if let Some(session) = self.home.sessions.get_mut(key) {
                    session.walks.push(*handle, walk);
                }
            }
        }
        self.home.go_on_walks(key, out);
    }

    pub(super) fn unsubscribe(&mut self, key: SessionKey, unsubscribe: &Unsubscribe<'_>, out: &mut Outbox) -> Flow {
        let Some(session) = self.home.sessions.get(key) else { return Flow::Gone };
        let packet_id = unsubscribe.packet_id;
        if session.version.is_v5() && session.acks.is_in_use(packet_id) {
            let codes = vec![ReasonCode::PacketIdentifierInUse as u8; unsubscribe.filters.len()];
            return self.answer_at_once(key, OwedKind::Unsuback(codes.into_boxed_slice()), packet_id, out);
        }
        let mote = find_property(unsubscribe.properties.user_properties()).unwrap_or_default();
        let is_classic = session.conn.is_some_and(|conn| self.home.conns.is_classic(conn));
        let intent = mote.and_then(|mote| parse_property(mote).ok().flatten());
        let is_merged = intent.is_some_and(|intent| matches!(intent.verb, Verb::Tree | Verb::Sync));
        let levels_max = self.home.config.limits.topic_levels;
        let (mut codes, mut left) = (Vec::new(), HashSet::default());
        // [MQTT-3.10.4-6] [MQTT-3.11.3-1] [3.1.1: MQTT-3.10.4-6]
        for text in unsubscribe.filters.iter() {
            let share = parse_share(text);
            let (kind, filter) = match parse_unsubscribe(text) {
                _ if share.is_some() => (Kind::Shared, text),
                Some((Verb::Tree | Verb::Sync, filter)) => (MERGED, filter),
                Some((Verb::Rows, filter)) => (Kind::Plain, filter),
                _ if is_merged => (MERGED, text),
                _ if is_classic => (MERGED, classic_filter(text).0),
                _ => (Kind::Plain, text),
            };
            let found = self.find_subscription(key, filter, kind);
            if let Some(at) = found {
                self.remove_subscription(key, at);
                left.extend((kind == Kind::Shared).then_some(at.handle));
            }
            let judged = share.unwrap_or(Ok(("", filter))).and_then(|(_, filter)| check_filter(filter, levels_max));
            let code = match found {
                Some(_) => ReasonCode::Success,
                None if judged.is_err() => ReasonCode::TopicFilterInvalid,
                None => ReasonCode::NoSubscriptionExisted,
            };
            codes.push(code as u8);
        }
        self.home.go_on_walks(key, out); // those behind the walks that ended
        self.home.leave_groups(key, &left);
        // Nothing of it is delivered from here on, whatever is under way: UNSUBACK waits for no owner, [MQTT-3.10.4-2].
        // There is always one [MQTT-3.10.4-4] [MQTT-3.10.4-5] [3.1.1: MQTT-3.10.4-4] [3.1.1: MQTT-3.10.4-5].
        self.answer_at_once(key, OwedKind::Unsuback(codes.into_boxed_slice()), packet_id, out)
    }

    /// Removes one subscription of a session, and the filter from its owners with the last: nothing new is found through
    /// it [3.1.1: MQTT-3.10.4-2], and what is in the window stays there [MQTT-3.10.4-3] [3.1.1: MQTT-3.10.4-3].
    pub(super) fn remove_subscription(&mut self, key: SessionKey, at: SubscriptionRef) {
        let (removed, moved) = self.home.filters.unsubscribe(at);
        debug_assert_eq!(removed.session, key);
        self.forget_subscription(key, at.handle);
        if let Some(session) = self.home.sessions.get_mut(key) {
            session.subscriptions.remove(at.handle);
        }
        if let Some(moved) = moved {
            match self.home.sessions.get_mut(moved) {
                Some(session) => session.subscriptions.moved(at),
                None => self.home.leaving.moved(moved, at),
            }
        }
        if self.home.filters.slot(at.handle).kind.is_merged() {
            self.home.remove_merged(removed.merged);
        }
        self.home.cancel_plain_walks(key, at.handle);
        if self.home.filters.slot(at.handle).subscribers.is_empty() {
            let owners = self.home.owner_list(at.handle);
            self.home.filters.retire(at.handle, owners.len() as u32);
            for owner in owners {
                self.home.ask(owner, Ask::Drop { handle: at.handle });
            }
        } else {
            self.home.tell_presence(at.handle);
        }
    }
}

/// A cursor is of one filter.
fn one_cursor_for_one_filter(mote: Option<&str>, filters: usize) -> Result<Option<&str>, &'static str> {
    let intent = mote.map_or(Ok(None), parse_property)?;
    if filters > 1 && intent.is_some_and(|intent| intent.options.has("since")) {
        return Err("a user property with since is for one filter");
    }
    Ok(mote)
}

/// What is said of filters that carry no intent themselves.
fn spelled<'a>(mote: Result<Option<&'a str>, &'static str>, is_classic: bool) -> Result<Option<&'a str>, &'static str> {
    if is_classic && mote == Ok(None) { Ok(Some(CLASSIC)) } else { mote }
}

/// A filter on a listener of the classic profile. `None`: it carries an intent, and is as elsewhere.
fn read_classic(text: &str) -> Option<Result<Asked<'_>, Refusal>> {
    if parse_share(text).is_some() {
        let what = "on this listener all subscriptions are merged";
        return Some(Err((ReasonCode::SharedSubscriptionsNotSupported, what)));
    }
    matches!(parse_prefix(text), Parsed::Plain(_)).then(|| {
        let (filter, sync) = classic_filter(text);
        Ok(Asked { kind: Kind::Merged(Form::CLASSIC), sync, ..Asked::plain(filter) })
    })
}

/// Reads the intent off a filter and judges both.
fn read_filter<'a>(
    text: &'a str,
    mote: Result<Option<&'a str>, &'static str>,
    levels_max: usize,
) -> Result<Asked<'a>, Refusal> {
    let invalid = |what| (ReasonCode::TopicFilterInvalid, what);
    let (mote, classic) = match mote {
        Ok(Some(CLASSIC)) => (Ok(None), read_classic(text)),
        mote => (mote, None),
    };
    if let Some(asked) = classic {
        let asked = asked?;
        return check_filter(asked.matches, levels_max).map_err(invalid).map(|()| asked);
    }
    let asked = match parse_share(text) {
        Some(parsed) => judge_share(text, parsed.map_err(invalid)?.1, mote)?,
        None => {
            let (prefix, filter) = match parse_prefix(text) {
                Parsed::Plain(filter) => (None, filter),
                Parsed::Intent(intent, filter) => (Some(intent), filter),
                Parsed::Bad(what) => return Err(invalid(what)),
            };
            let property = mote.map_err(invalid)?.map_or(Ok(None), parse_property).map_err(invalid)?;
            match combine(prefix, property).map_err(invalid)? {
                None => Asked::plain(filter),
                Some(intent) => judge_intent(intent, filter)?,
            }
        }
    };
    check_filter(asked.matches, levels_max).map_err(invalid)?;
    Ok(asked)
}

/// A share group takes plain messages alone: whatever else is asked of one, right or wrong, is not supported.
fn judge_share<'a>(
    text: &'a str,
    filter: &'a str,
    mote: Result<Option<&str>, &'static str>,
) -> Result<Asked<'a>, Refusal> {
    if is_shared_intent(text) || mote != Ok(None) {
        return Err((ReasonCode::SharedSubscriptionsNotSupported, "a shared subscription carries no intent"));
    }
    Ok(Asked { kind: Kind::Shared, matches: filter, ..Asked::plain(text) })
}

impl Shard {
    /// A subscription of an earlier process: its session waits for its client, and for what is published. A merged one
    /// goes on from where its reader stood, or with everything anew if that is not known: it was cut off, or stands where
    /// this store knows nothing of.
    pub(super) fn restore_subscription(
        &mut self,
        key: SessionKey,
        wanted: Wanted,
        is_cut_off: bool,
    ) -> Result<(), String> {
        // Limits that are lower now are for what is new.
        let asked = read_filter(&wanted.filter, Ok(wanted.mote.as_deref()), TOPIC_LEVELS_MAX);
        let asked = asked.map_err(|(_, why)| why.to_owned())?;
        let (frames, versions) = read_stand(&wanted.cursor, self.home.epoch);
        let first = versions.filter(|_| !is_cut_off).map_or(First::Reset, First::Missed);
        let made = self.make_subscription(key, &asked, wanted.options, wanted.id, 0, Some(first));
        let merged = self.home.filters.merged_in(made.handle, key);
        if let Some(index) = merged {
            self.home.restore_merged(index, frames);
            self.home.remember_merged(key, made.handle, wanted);
        }
        Ok(())
    }

    fn forget_subscription(&mut self, key: SessionKey, handle: FilterHandle) {
        self.home.list(key);
        let slot = self.home.filters.slot(handle);
        let lasting = self.home.sessions.get_mut(key).and_then(|session| session.delivery.lasting.as_deref_mut());
        if let Some(lasting) = lasting {
            lasting.unsubscribed(slot.number);
        }
    }
}

fn judge_intent<'a>(intent: Intent<'a>, filter: &'a str) -> Result<Asked<'a>, Refusal> {
    allowed_on_subscribe(intent).map_err(|what| (ReasonCode::TopicFilterInvalid, what))?;
    let sync = match intent.verb {
        Verb::Tree => false,
        Verb::Sync => true,
        Verb::Rows => return Ok(Asked { versions: true, ..Asked::plain(filter) }),
        Verb::Put | Verb::Set | Verb::Get => {
            return Err((ReasonCode::TopicFilterInvalid, "SUBSCRIBE takes no such verb"));
        }
    };
    let (kind, options) = (Kind::Merged(Form::of(intent.options)), ReaderOptions::of(intent.options));
    let (since, events) = (intent.options.value("since"), intent.options.has("events"));
    if events && since.is_none() {
        return Err((ReasonCode::TopicFilterInvalid, "events needs since"));
    }
    Ok(Asked { kind, sync, since, events, options, ..Asked::plain(filter) })
}
