//! What an owner knows of subscriptions: filters, and for each the homes that want it. Single subscribers are
//! known to their home alone.

pub use super::trie::FilterId;

use super::cache::Cache;
use super::filter::is_wildcard;
use super::hash::mix;
use super::level::Interner;
use super::matcher::Walk;
use super::share::{Counts, Share, Shares};
use super::trie::{Place, Trie};
use crate::dialect::Form;
use crate::key::{FilterHandle, ShardId};
use smallvec::SmallVec;

/// What kind of subscription a filter of a home has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Plain,
    /// Frames, written so.
    Merged(Form),
    /// `$share/<name>/<filter>`: plain messages, each to one of the group.
    Shared,
}

impl Kind {
    pub fn is_merged(self) -> bool {
        matches!(self, Kind::Merged(_))
    }

    /// Of frames; else the plainest, which nobody asks for.
    pub fn form(self) -> Form {
        match self {
            Kind::Merged(form) => form,
            Kind::Plain | Kind::Shared => Form::default(),
        }
    }
}

/// The homes that want a filter, each with the handle that it knows the filter by.
pub type Homes = SmallVec<[(ShardId, FilterHandle); 2]>;

/// The homes that want frames of a filter, by the form of these: a home may want it in several.
pub type FrameHomes = SmallVec<[(Form, ShardId, FilterHandle); 2]>;

/// A filter and who wants it; at least one home does.
#[derive(Debug)]
pub struct Entry {
    pub text: Box<str>,
    pub plain: Homes,
    /// In the order of the forms.
    pub merged: FrameHomes,
    /// Most filters have none.
    pub shares: Option<Box<Shares>>,
}

impl Entry {
    /// `home` wants single messages or frames; who wants those of a share group is in `shares`.
    fn add(&mut self, kind: Kind, home: ShardId, handle: FilterHandle) {
        debug_assert_ne!(kind, Kind::Shared, "it is joined");
        if let Kind::Merged(form) = kind {
            return match self.merged.binary_search_by_key(&(form, home), |(form, home, _)| (*form, *home)) {
                Ok(at) => self.merged[at].2 = handle,
                Err(at) => self.merged.insert(at, (form, home, handle)),
            };
        }
        match self.plain.iter_mut().find(|(other, _)| *other == home) {
            Some(wish) => wish.1 = handle,
            None => self.plain.push((home, handle)),
        }
    }

    /// Whether `home` wanted it until now.
    fn remove(&mut self, kind: Kind, home: ShardId) -> bool {
        debug_assert_ne!(kind, Kind::Shared, "it is left");
        if let Kind::Merged(form) = kind {
            let found = self.merged.binary_search_by_key(&(form, home), |(form, home, _)| (*form, *home));
            return found.is_ok_and(|at| {
                self.merged.remove(at);
                true
            });
        }
        let found = self.plain.iter().position(|(other, _)| *other == home);
        found.is_some_and(|at| {
            self.plain.swap_remove(at);
            true
        })
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.merged.is_empty() && self.shares.is_none()
    }
}

/// See the module. Levels of filters are numbered by the shard's one [`Interner`], which every call is given.
pub struct Subscriptions {
    trie: Trie,
    entries: Vec<Option<Entry>>,
    free: Vec<FilterId>,
    walk: Walk,
    cache: Cache,
}

impl Subscriptions {
    pub fn new(seed: u64) -> Subscriptions {
        Subscriptions {
            trie: Trie::new(mix(seed, 1)),
            entries: Vec::new(),
            free: Vec::new(),
            walk: Walk::default(),
            cache: Cache::new(mix(seed, 2)),
        }
    }

    /// `home` wants what matches the valid `filter`, and calls it `handle`. One wish for each filter, kind and home:
    /// a later handle replaces the earlier.
    pub fn add(
        &mut self,
        filter: &str,
        kind: Kind,
        home: ShardId,
        handle: FilterHandle,
        interner: &mut Interner,
    ) -> FilterId {
        let place = self.trie.plant(filter, interner);
        let id = self.trie.get(place).unwrap_or_else(|| self.enter(filter, place));
        self.wanted(id).add(kind, home, handle);
        id
    }

    /// `home` no longer wants it. The filter goes with its last wish. Returns whether there was such a wish.
    pub fn remove(&mut self, filter: &str, kind: Kind, home: ShardId, interner: &mut Interner) -> bool {
        let place = self.trie.find(filter, interner);
        let Some((place, id)) = place.and_then(|place| Some((place, self.trie.get(place)?))) else { return false };
        if !self.wanted(id).remove(kind, home) {
            return false;
        }
        self.clear_if_empty(filter, place, id, interner);
        true
    }

    /// `home` has members of the share group `name` of the valid `filter`, and calls it `handle`. A later handle
    /// replaces the earlier.
    pub fn join(
        &mut self,
        name: &str,
        filter: &str,
        (home, handle): (ShardId, FilterHandle),
        counts: Counts,
        interner: &mut Interner,
    ) -> &mut Share {
        let place = self.trie.plant(filter, interner);
        let id = self.trie.get(place).unwrap_or_else(|| self.enter(filter, place));
        self.wanted(id).shares.get_or_insert_default().join(name, home, handle, counts)
    }

    /// `home` has no members of it any longer. The filter goes with its last wish.
    pub fn leave(&mut self, name: &str, filter: &str, home: ShardId, interner: &mut Interner) -> bool {
        let place = self.trie.find(filter, interner);
        let Some((place, id)) = place.and_then(|place| Some((place, self.trie.get(place)?))) else { return false };
        let entry = self.wanted(id);
        let Some(shares) = entry.shares.as_deref_mut() else { return false };
        let had = shares.leave(name, home);
        if shares.is_empty() {
            entry.shares = None;
        }
        self.clear_if_empty(filter, place, id, interner);
        had
    }

    /// The share group `name` of `filter`, if any home has members of it.
    pub fn share(&mut self, name: &str, filter: &str, interner: &Interner) -> Option<&mut Share> {
        let id = self.find(filter, interner)?;
        self.shares(id)?.find(name)
    }

    /// The share groups of a filter, if it has any.
    #[inline]
    pub fn shares(&mut self, id: FilterId) -> Option<&mut Shares> {
        self.wanted(id).shares.as_deref_mut()
    }

    fn clear_if_empty(&mut self, filter: &str, place: Place, id: FilterId, interner: &mut Interner) {
        if self.entry(id).is_empty() {
            self.entries[id.index()] = None;
            self.free.push(id);
            self.trie.clear(place, interner);
            self.forget(filter);
        }
    }

    /// The number of `filter`, if any home wants it.
    pub fn find(&self, filter: &str, interner: &Interner) -> Option<FilterId> {
        self.trie.get(self.trie.find(filter, interner)?)
    }

    /// The filter of a number that `add`, `find` or a match gave, since when it was not removed.
    #[inline]
    pub fn entry(&self, id: FilterId) -> &Entry {
        self.entries[id.index()].as_ref().expect("the filter is wanted by some home")
    }

    /// How many filters are wanted.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nodes that the filters take, the root included: what the memory of this table grows with.
    pub fn nodes(&self) -> usize {
        self.trie.len()
    }

    /// Appends the filters that match `topic` to `out`, in any order, each once.
    pub fn matching(&mut self, topic: &str, interner: &Interner, out: &mut Vec<FilterId>) {
        out.extend_from_slice(self.look_up(topic, interner));
    }

    /// The same for many topics: `each` is given the index of every topic, in order, and what matches it. Cheapest
    /// when topics with the same first levels follow each other.
    pub fn matching_batch<'t>(
        &mut self,
        topics: impl Iterator<Item = &'t str>,
        interner: &Interner,
        mut each: impl FnMut(usize, &[FilterId]),
    ) {
        for (index, topic) in topics.enumerate() {
            // One level from where the last walk ended is as cheap as the cache, and leaves that to topics that come
            // alone.
            if index > 0 && self.walk.is_near(topic) {
                each(index, self.walk.walk(&self.trie, interner, topic));
            } else {
                each(index, self.look_up(topic, interner));
            }
        }
    }

    /// What matches `topic`, where that was found before; it is a topic name then.
    pub fn known(&self, topic: &[u8]) -> Option<&[FilterId]> {
        let at = self.cache.find(self.cache.key(topic)?, topic)?;
        Some(self.cache.filters(at))
    }

    /// What matches `topic`, in any order, each once.
    pub fn look_up(&mut self, topic: &str, interner: &Interner) -> &[FilterId] {
        let Subscriptions { trie, walk, cache, .. } = self;
        let Some(key) = cache.key(topic.as_bytes()) else { return walk.walk(trie, interner, topic) };
        if let Some(at) = cache.find(key, topic.as_bytes()) {
            return cache.filters(at);
        }
        let found = walk.walk(trie, interner, topic);
        cache.offer(key, topic.as_bytes(), found);
        found
    }

    /// A filter that nobody wanted before.
    fn enter(&mut self, filter: &str, place: Place) -> FilterId {
        let entry = Some(Entry { text: filter.into(), plain: Homes::new(), merged: FrameHomes::new(), shares: None });
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id.index()] = entry;
                id
            }
            None => {
                assert!(self.entries.len() < FilterId::NONE.index(), "more filters than numbers");
                self.entries.push(entry);
                FilterId(self.entries.len() as u32 - 1)
            }
        };
        self.trie.put(place, id);
        self.forget(filter);
        id
    }

    /// Forgets what was found for topics that `filter` matches. Most filters that come and go with their client
    /// have no wildcard, and concern one topic.
    fn forget(&mut self, filter: &str) {
        self.walk.reset();
        if is_wildcard(filter) {
            self.cache.forget_all();
        } else {
            self.cache.forget(filter.as_bytes());
        }
    }

    fn wanted(&mut self, id: FilterId) -> &mut Entry {
        self.entries[id.index()].as_mut().expect("the filter is wanted by some home")
    }
}
