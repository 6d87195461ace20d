//! What the allocators keep for later.
#![allow(unsafe_code)] // the allocators' own calls

/// Gives back to the system what the allocators keep for later: mimalloc that of the calling thread and what no thread
/// uses, the C library what LMDB has freed.
pub fn give_back() {
    // SAFETY: may be called at any time, from any thread; nothing that is in use moves.
    unsafe { libmimalloc_sys::mi_collect(true) };
    #[cfg(target_env = "gnu")]
    // SAFETY: likewise.
    unsafe {
        libc::malloc_trim(0);
    }
}
