//! What goes wrong in a schedule, and when: by number of a changing request, or by chance of a
//! seed. Knows nothing of what the requests are.

use crate::prng::Prng;
use crate::store::Store;
use cluster::CallError;
use kube::core::Status;
use std::collections::BTreeMap;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The process dies and the request is never sent.
    DeadBefore,
    /// The request is served and the process dies before it learns so.
    DeadAfter,
    /// An error is answered and nothing is done; its code, 0 for a connection that ends.
    Refused(u16),
    /// The request is served, and an error is what the process learns.
    Lost(u16),
    /// The process is paused before the request is sent; another one leads to the end, then it is
    /// sent. The process notices, and sends nothing more.
    Late,
}

/// Why the registry, or the trust in what it holds, gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Away,
    WrongBytes,
    Untrusted,
}

/// How far the clock of a process may be off, in seconds.
const OFF_S: u64 = 600;

/// Errors of a request that changes nothing, or that was not served.
const REFUSED: [u16; 7] = [0, 410, 429, 500, 503, 504, 409];
/// Errors of a request that was served.
const LOST: [u16; 3] = [0, 500, 504];

/// What the errors of a schedule say first.
pub(crate) const INJECTED: &str = "injected";

/// The error of a code, as the client of the product makes it.
pub(crate) fn error(code: u16, what: &str) -> CallError {
    if code == 0 {
        return CallError::Unavailable(format!("{INJECTED}: the connection ended: {what}"));
    }
    let status = Status::failure(&format!("{INJECTED}: {what}"), "").with_code(code);
    kube::Error::Api(status.boxed()).into()
}

/// What a user does.
pub(crate) type Edit = Box<dyn FnOnce(&mut Store) + Send>;

/// The faults of a schedule.
#[derive(Default)]
pub(crate) struct Faults {
    at: BTreeMap<u64, Fault>,
    random: Option<Random>,
    /// Writes of a kind that is refused for a while, and how many of them.
    refuses: Option<(String, u32)>,
    requests: u64,
    /// What users do, by number of a request, reads included.
    edits: BTreeMap<u64, Edit>,
    /// What the shelf does not give.
    shelf: Option<Random>,
    /// The clocks of processes; None where all of them are right.
    clocks: Option<Prng>,
    /// What came so far.
    pub(crate) met: Met,
}

/// How many faults of each sort came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) crashes: u32,
    pub(crate) errors: u32,
    pub(crate) refusals: u32,
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

    /// As [`Self::random`], with at least one crash and one error, a shelf that now and then gives
    /// nothing, and in half of the schedules with clocks that are wrong.
    pub(crate) fn of_everything(seed: u64) -> Self {
        let mut prng = Prng::new(seed ^ 0xA11);
        let crash = if prng.below(2) == 0 { Fault::DeadBefore } else { Fault::DeadAfter };
        let first = 1 + prng.below(12);
        let error = if prng.below(2) == 0 { Fault::Refused(503) } else { Fault::Lost(504) };
        let second = first + 1 + prng.below(6);
        let left = 1 + u32::try_from(prng.below(12)).unwrap_or(0);
        let per_mille = 5 + prng.below(100);
        let shelf = Random { prng: Prng::new(prng.next()), left, per_mille };
        let clocks = (prng.below(2) == 0).then(|| Prng::new(prng.next()));
        Self {
            at: BTreeMap::from([(first, crash), (second, error)]),
            shelf: Some(shelf),
            clocks,
            ..Self::random(seed)
        }
    }

    /// How far the clock of the next process is off, in seconds.
    pub(crate) fn clock_s(&mut self) -> i64 {
        let off = self.clocks.as_mut().map_or(OFF_S, |prng| prng.below(2 * OFF_S + 1));
        i64::try_from(off).unwrap_or(0) - i64::try_from(OFF_S).unwrap_or(0)
    }

    /// Why the shelf gives nothing this time.
    pub(crate) fn shelf(&mut self) -> Option<Refusal> {
        let shelf = self.shelf.as_mut()?;
        if shelf.left == 0 || !shelf.prng.per_mille(shelf.per_mille) {
            return None;
        }
        shelf.left -= 1;
        self.met.refusals += 1;
        Some(match shelf.prng.below(3) {
            0 => Refusal::Away,
            1 => Refusal::WrongBytes,
            _ => Refusal::Untrusted,
        })
    }

    /// So many writes of a kind are refused.
    pub(crate) fn refusing(kind: &str, times: u32) -> Self {
        Self { refuses: Some((kind.to_owned(), times)), ..Self::default() }
    }

    /// A user does something when so many requests came.
    pub(crate) fn edit(&mut self, request: u64, edit: Edit) {
        self.edits.insert(request, edit);
    }

    /// Whether something that must come did not come yet.
    pub(crate) fn is_due(&self) -> bool {
        !self.edits.is_empty() || !self.at.is_empty()
    }

    pub(crate) fn edits_left(&self) -> bool {
        !self.edits.is_empty()
    }

    /// Nothing goes wrong any more; edits that did not come yet come now.
    pub(crate) fn end(&mut self) -> Vec<Edit> {
        self.random = None;
        self.shelf = None;
        self.refuses = None;
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

    /// What happens to the next request.
    pub(crate) fn of(&mut self, changing: u64, changes: bool, of_kind: &str) -> Fault {
        let fault = self.next(changing, changes, of_kind);
        match fault {
            Fault::None | Fault::Late => {}
            Fault::DeadBefore | Fault::DeadAfter => self.met.crashes += 1,
            Fault::Refused(_) | Fault::Lost(_) => self.met.errors += 1,
        }
        fault
    }

    fn next(&mut self, changing: u64, changes: bool, of_kind: &str) -> Fault {
        if let Some(fault) = self.at.get(&changing).filter(|_| changes).copied() {
            self.at.remove(&changing);
            return fault;
        }
        if let Some((kind, left)) = &mut self.refuses
            && *left > 0
            && kind == of_kind
            && changes
        {
            *left -= 1;
            return Fault::Refused(503);
        }
        let Some(random) = &mut self.random else { return Fault::None };
        if random.left == 0 || !random.prng.per_mille(random.per_mille) {
            return Fault::None;
        }
        random.left -= 1;
        let prng = &mut random.prng;
        let mut one_of = |codes: &[u16]| {
            let at = prng.below(u64::try_from(codes.len()).unwrap_or(1));
            usize::try_from(at).ok().and_then(|at| codes.get(at)).copied().unwrap_or_default()
        };
        // Nobody answers a read with 409.
        match (one_of(&[0, 1, 2, 3]), changes) {
            (0, _) => Fault::DeadBefore,
            (1, true) => Fault::DeadAfter,
            (2, true) => Fault::Lost(one_of(&LOST)),
            (_, true) => Fault::Refused(one_of(&REFUSED)),
            (_, false) => Fault::Refused(one_of(&REFUSED[..6])),
        }
    }
}
