//! An allocator that is as simple as can be, and counts how often it is asked.
//!
//! What `malloc` takes depends on all that it did before and on the C library: the same run of the
//! same program may take an eighth more or less. Here an allocation takes a few instructions,
//! always the same, and how many there are is a figure of its own. Nothing is ever given back:
//! the program ends before that matters.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// Taken from the system at once.
const CHUNK: usize = 1 << 20;

pub(crate) struct Bump {
    next: AtomicUsize,
    end: AtomicUsize,
    asked: AtomicU64,
}

impl Bump {
    pub(crate) const fn new() -> Self {
        Self {
            next: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
        }
    }

    /// How often it was asked so far.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Relaxed)
    }

    #[cold]
    #[inline(never)]
    fn refill(&self, layout: Layout) -> *mut u8 {
        let Ok(chunk) = Layout::from_size_align(CHUNK.max(layout.size()), layout.align()) else {
            return ptr::null_mut();
        };
        // SAFETY: a chunk is never empty.
        let start = unsafe { System.alloc(chunk) };
        if !start.is_null() {
            let first = start.expose_provenance();
            self.next.store(first + layout.size(), Relaxed);
            self.end.store(first + chunk.size(), Relaxed);
        }
        start
    }
}

// SAFETY: what is handed out lies within a chunk, is aligned, and is handed out once. The program
// has one thread, so that nothing happens between a load and its store.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.asked.store(self.asked.load(Relaxed) + 1, Relaxed);
        let start = self.next.load(Relaxed).next_multiple_of(layout.align());
        let end = start + layout.size();
        if end > self.end.load(Relaxed) {
            return self.refill(layout);
        }
        self.next.store(end, Relaxed);
        ptr::with_exposed_provenance_mut(start)
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
