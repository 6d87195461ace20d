//! Things by small number, in chunks: growing never moves what is there, so no insert stalls behind a copy of
//! millions, and at most one chunk is unused.

/// Things in a chunk.
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 10;

/// No thing: what links hold at their end.
pub(super) const NONE: u32 = u32::MAX;

/// See the module. A number is reused after `remove`; what must tell the old from the new carries a stamp.
pub(super) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    live: usize,
}

impl<T: Default> Slab<T> {
    pub(super) fn new() -> Slab<T> {
        Slab { chunks: Vec::new(), free: Vec::new(), live: 0 }
    }

    pub(super) fn insert(&mut self, thing: T) -> u32 {
        self.live += 1;
        if let Some(index) = self.free.pop() {
            self[index] = thing;
            return index;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunk = self.chunks.len() - 1;
        let at = self.chunks[chunk].len();
        assert!(chunk << CHUNK_BITS | at < NONE as usize, "more things than numbers");
        self.chunks[chunk].push(thing);
        (chunk << CHUNK_BITS | at) as u32
    }

    /// Leaves the default in its place. The last one to go gives all memory back.
    pub(super) fn remove(&mut self, index: u32) -> T {
        let thing = std::mem::take(&mut self[index]);
        self.live -= 1;
        self.free.push(index);
        if self.live == 0 {
            self.chunks = Vec::new();
            self.free = Vec::new();
        }
        thing
    }

    /// The thing of a number that may be long gone; then perhaps another thing, or a default.
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.chunks.get((index >> CHUNK_BITS) as usize)?.get(index as usize & (CHUNK - 1))
    }

    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        &self.chunks[(index >> CHUNK_BITS) as usize][index as usize & (CHUNK - 1)]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.chunks[(index >> CHUNK_BITS) as usize][index as usize & (CHUNK - 1)]
    }
}
