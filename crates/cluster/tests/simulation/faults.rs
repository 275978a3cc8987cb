//! What goes wrong in a schedule, and when: by number of a changing request, or by chance of a
//! seed. Knows nothing of what the requests are.

use crate::prng::Prng;
use crate::store::Store;
use std::collections::BTreeMap;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The process dies and the request is never sent.
    DeadBefore,
    /// The request is served and the process dies before it learns so.
    DeadAfter,
    /// 409.
    Conflict,
    /// 503.
    Unavailable,
    /// The request is served, its answer is lost.
    LostAnswer,
}

/// What a user does.
pub(crate) type Edit = Box<dyn FnOnce(&mut Store) + Send>;

/// The faults of a schedule.
#[derive(Default)]
pub(crate) struct Faults {
    at: BTreeMap<u64, Fault>,
    random: Option<Random>,
    requests: u64,
    /// What users do, by number of a request, reads included.
    edits: BTreeMap<u64, Edit>,
}

struct Random {
    prng: Prng,
    /// Faults that are left; a schedule must come to its end.
    left: u32,
    per_mille: u64,
}

impl Faults {
    /// A fault at one changing request.
    pub(crate) fn at(request: u64, fault: Fault) -> Self {
        Self { at: BTreeMap::from([(request, fault)]), ..Self::default() }
    }

    /// Crashes and errors by chance; requests of one process overtake each other.
    pub(crate) fn random(seed: u64) -> Self {
        let mut prng = Prng::new(seed);
        let left = 1 + u32::try_from(prng.below(40)).unwrap_or(0);
        let per_mille = 5 + prng.below(120);
        Self { random: Some(Random { prng, left, per_mille }), ..Self::default() }
    }

    /// A user does something when so many requests came.
    pub(crate) fn edit(&mut self, request: u64, edit: Edit) {
        self.edits.insert(request, edit);
    }

    pub(crate) fn edits_left(&self) -> bool {
        !self.edits.is_empty()
    }

    /// Nothing goes wrong any more; edits that did not come yet come now.
    pub(crate) fn end(&mut self) -> Vec<Edit> {
        self.random = None;
        self.at.clear();
        std::mem::take(&mut self.edits).into_values().collect()
    }

    pub(crate) fn edit_due(&mut self) -> Option<Edit> {
        self.requests += 1;
        let first = self.edits.first_entry()?;
        (*first.key() <= self.requests).then(|| first.remove())
    }

    /// How often others of the process go first.
    pub(crate) fn waits(&mut self) -> u64 {
        self.random.as_mut().map_or(0, |r| r.prng.below(3))
    }

    pub(crate) fn of(&mut self, changing: u64, changes: bool) -> Fault {
        if let Some(fault) = self.at.get(&changing).filter(|_| changes).copied() {
            self.at.remove(&changing);
            return fault;
        }
        let Some(random) = &mut self.random else { return Fault::None };
        if random.left == 0 || !random.prng.per_mille(random.per_mille) {
            return Fault::None;
        }
        random.left -= 1;
        match random.prng.below(if changes { 5 } else { 2 }) {
            0 => Fault::DeadBefore,
            1 => Fault::Unavailable,
            2 => Fault::DeadAfter,
            3 => Fault::Conflict,
            _ => Fault::LostAnswer,
        }
    }
}
