//! What is read or made once and kept by the digest of what it came from, so that nothing can be
//! out of date: at most so many bytes, of which those go first that nobody asked for the longest.
//!
//! Must not know what is kept, nor wait for anything.

use api::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Values by digest, within a limit.
#[derive(Debug)]
pub struct Kept<V> {
    /// In bytes.
    limit: usize,
    /// In bytes.
    held: usize,
    /// Counts what is asked for: a later use has a higher number.
    uses: u64,
    entries: BTreeMap<Digest, Entry<V>>,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    bytes: usize,
    used: u64,
}

impl<V> Kept<V> {
    /// Nothing is kept yet; `limit` in bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, held: 0, uses: 0, entries: BTreeMap::new() }
    }

    /// What is kept under a digest.
    pub fn get(&mut self, digest: &Digest) -> Option<Arc<V>> {
        self.uses += 1;
        let entry = self.entries.get_mut(digest)?;
        entry.used = self.uses;
        Some(Arc::clone(&entry.value))
    }

    /// Keeps a value of so many bytes. One that is larger than the limit takes the place of all
    /// others: it is in use, and would be made again and again.
    pub fn keep(&mut self, digest: Digest, value: Arc<V>, bytes: usize) {
        self.uses += 1;
        self.remove(&digest);
        while self.held.saturating_add(bytes) > self.limit {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(digest, _)| digest.clone()) else { break };
            self.remove(&oldest);
        }
        self.held = self.held.saturating_add(bytes);
        self.entries.insert(digest, Entry { value, bytes, used: self.uses });
    }

    fn remove(&mut self, digest: &Digest) {
        if let Some(entry) = self.entries.remove(digest) {
            self.held -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asked_for_the_longest_goes_first_and_bytes_are_the_bound() {
        let of = |text: &str| Digest::of(text.as_bytes());
        let mut kept = Kept::new(100);
        kept.keep(of("a"), Arc::new("a"), 40);
        kept.keep(of("b"), Arc::new("b"), 40);
        assert_eq!(kept.get(&of("a")).as_deref(), Some(&"a"));
        kept.keep(of("c"), Arc::new("c"), 30);
        assert_eq!(kept.get(&of("b")), None, "a was asked for after it");
        assert!(kept.get(&of("a")).is_some() && kept.get(&of("c")).is_some());
        kept.keep(of("c"), Arc::new("c"), 60);
        assert!(kept.get(&of("a")).is_some(), "what is kept again counts once");
        for small in 0..10 {
            kept.keep(of(&small.to_string()), Arc::new("small"), 10);
        }
        assert_eq!((kept.entries.len(), kept.held), (10, 100), "many small ones fit");
        kept.keep(of("large"), Arc::new("large"), 1_000);
        assert_eq!(kept.entries.len(), 1, "one that is too large is kept alone");
        kept.keep(of("a"), Arc::new("a"), 40);
        assert_eq!((kept.entries.len(), kept.held), (1, 40));
    }
}
