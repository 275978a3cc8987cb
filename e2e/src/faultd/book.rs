//! Decides what happens to each request: rules, kills, the rotation of all kinds of errors. Sends
//! nothing itself.

use super::trace::{Asked, Entry};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// On which side of a request something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The API server never sees the request.
    Before,
    /// The API server has answered; the client does not learn it.
    After,
}

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Passed on later.
    Delay(Duration),
    /// Answered by the proxy with this code.
    Answer {
        /// 409, 503.
        code: u16,
        /// The header Retry-After, in seconds.
        retry_after_s: Option<u8>,
    },
    /// The connection ends; on which side of the API server's answer.
    Lose(When),
    /// Passed on and answered with 504 all the same: what timed out was done.
    TimeOutAfter,
    /// The client is stopped, and the request waits until it is released.
    StopAndHold,
    /// Waits until it is released.
    Hold,
}

/// Every kind of error that the rotation goes through.
pub const KINDS: [Fault; 10] = [
    Fault::Answer { code: 409, retry_after_s: None },
    Fault::Answer { code: 500, retry_after_s: None },
    Fault::Lose(When::Before),
    Fault::Answer { code: 503, retry_after_s: None },
    Fault::Lose(When::After),
    Fault::Answer { code: 429, retry_after_s: Some(1) },
    Fault::TimeOutAfter,
    Fault::Answer { code: 410, retry_after_s: None },
    Fault::Delay(Duration::from_millis(700)),
    Fault::Answer { code: 504, retry_after_s: None },
];

impl Fault {
    /// In a word or two, for the trace.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delay(_) => "delayed",
            Self::Answer { .. } => "answered by faultd",
            Self::Lose(When::Before) => "lost before",
            Self::Lose(When::After) => "answer lost",
            Self::TimeOutAfter => "done, answered 504",
            Self::StopAndHold => "client stopped, held",
            Self::Hold => "held",
        }
    }
}

/// A fault for some requests.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Only this method; empty for every changing request.
    pub method: &'static str,
    /// Only paths that end so; empty for all.
    pub path: String,
    /// Only watches.
    pub watches: bool,
    /// From the n-th such request on, counted from 1.
    pub from: usize,
    /// For how many of them.
    pub times: usize,
    /// What happens to them.
    pub fault: Fault,
}

impl Rule {
    /// The first changing request with this method whose path ends so is lost before it arrives.
    #[must_use]
    pub fn first(method: &'static str, path: &str) -> Self {
        let (watches, fault) = (false, Fault::Lose(When::Before));
        Self { method, path: path.to_owned(), watches, from: 1, times: 1, fault }
    }

    /// Every changing request whose path ends so is answered with this code.
    #[must_use]
    pub fn every(path: &str, code: u16) -> Self {
        let fault = Fault::Answer { code, retry_after_s: None };
        Self { times: usize::MAX, fault, ..Self::first("", path) }
    }

    fn fits(&self, asked: &Asked) -> bool {
        let method =
            if self.method.is_empty() { asked.is_change() } else { asked.method == self.method };
        method && asked.path.ends_with(&self.path) && (!self.watches || asked.is_watch())
    }
}

/// The rotation: each request meets one kind the first time, and passes the second time.
/// Which kind follows from the request, how often it came and the seed, not from the order in which
/// requests arrive: a seed can be replayed, and ten seeds in a row bring all kinds to each request.
#[derive(Debug)]
struct Rotation {
    seed: u64,
    /// How many of each request there were, by its name in the trace.
    seen: BTreeMap<String, u64>,
}

/// What a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fault(Fault),
    Kill(When, u32),
    /// Its process is dead: nothing of it arrives.
    Dead,
}

/// Everything that was seen, and everything that is to happen.
#[derive(Debug)]
pub(crate) struct Book {
    began: Instant,
    rules: Vec<(Rule, usize)>,
    rotation: Option<Rotation>,
    armed: bool,
    /// On which side the last request of a method and path was killed.
    killed: BTreeMap<(String, String), When>,
    victim: u32,
    dead: bool,
    changes: usize,
    trace: Vec<Entry>,
}

impl Book {
    pub(crate) const fn new(began: Instant) -> Self {
        Self {
            began,
            rules: Vec::new(),
            rotation: None,
            armed: false,
            killed: BTreeMap::new(),
            victim: 0,
            dead: false,
            changes: 0,
            trace: Vec::new(),
        }
    }

    pub(crate) fn rule(&mut self, rule: Rule) {
        self.rules.push((rule, 0));
    }

    pub(crate) fn rotate(&mut self, seed: u64) {
        self.rotation = Some(Rotation { seed, seen: BTreeMap::new() });
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
        self.rotation = None;
    }

    pub(crate) const fn arm(&mut self) {
        self.armed = true;
        self.dead = false;
    }

    pub(crate) const fn disarm(&mut self) {
        self.armed = false;
        self.dead = false;
    }

    pub(crate) const fn victim(&mut self, pid: u32) {
        self.victim = pid;
    }

    pub(crate) const fn victim_id(&self) -> u32 {
        self.victim
    }

    pub(crate) const fn changes(&self) -> usize {
        self.changes
    }

    pub(crate) fn trace(&self) -> &[Entry] {
        &self.trace
    }

    /// Decides, and writes the request down; gives its place in the trace.
    pub(crate) fn decide(&mut self, asked: Asked) -> (usize, Verdict) {
        let is_change = asked.is_change();
        let verdict = self.verdict(&asked);
        let change = (is_change && verdict != Verdict::Dead).then(|| {
            self.changes += 1;
            self.changes
        });
        let word = match verdict {
            Verdict::Pass => "",
            Verdict::Fault(fault) => fault.word(),
            Verdict::Kill(When::Before, _) => "lost, client killed",
            Verdict::Kill(When::After, _) => "done, client killed",
            Verdict::Dead => "of a dead client",
        };
        let at_ms = self.began.elapsed().as_millis();
        self.trace.push(Entry { at_ms, change, asked, verdict: word, code: 0 });
        (self.trace.len() - 1, verdict)
    }

    pub(crate) fn answered(&mut self, at: usize, code: u16) {
        if let Some(entry) = self.trace.get_mut(at) {
            entry.code = code;
        }
    }

    /// Requests that are sent side by side arrive in any order: each has its own turn.
    fn other_side(&mut self, asked: &Asked) -> When {
        let key = (asked.method.clone(), asked.path.clone());
        let when = match self.killed.get(&key) {
            Some(When::Before) => When::After,
            Some(When::After) | None => When::Before,
        };
        self.killed.insert(key, when);
        when
    }

    fn verdict(&mut self, asked: &Asked) -> Verdict {
        if self.dead {
            return Verdict::Dead;
        }
        if self.armed && asked.is_change() {
            self.dead = true;
            return Verdict::Kill(self.other_side(asked), self.victim);
        }
        for (rule, seen) in &mut self.rules {
            if rule.fits(asked) {
                *seen += 1;
                if *seen >= rule.from && *seen - rule.from < rule.times {
                    return Verdict::Fault(rule.fault);
                }
            }
        }
        self.rotation.as_mut().and_then(|r| r.next(asked)).map_or(Verdict::Pass, Verdict::Fault)
    }
}

impl Rotation {
    fn next(&mut self, asked: &Asked) -> Option<Fault> {
        let name = asked.name();
        let number = mark(&name);
        let seen = self.seen.entry(name).or_default();
        *seen += 1;
        // The first, third, ... time; a read the first time only: a round that reads a path twice
        // would meet an error in each.
        let fails = if asked.is_change() { *seen % 2 == 1 } else { *seen == 1 };
        fails.then(|| kind(number.wrapping_add(*seen / 2).wrapping_add(self.seed)))
    }
}

fn kind(number: u64) -> Fault {
    let all = u64::try_from(KINDS.len()).unwrap_or(1);
    KINDS[usize::try_from(number % all).unwrap_or_default()]
}

/// A number of a request that is the same in every run (FNV-1a).
fn mark(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str) -> Asked {
        Asked { method: method.to_owned(), path: path.to_owned(), query: String::new() }
    }

    fn faults(seed: u64, order: &[(&str, &str)]) -> BTreeMap<(String, usize), Verdict> {
        let mut book = Book::new(Instant::now());
        book.rotate(seed);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut all = BTreeMap::new();
        for (method, path) in order {
            let count = counts.entry(format!("{method} {path}")).or_default();
            *count += 1;
            let place = (format!("{method} {path}"), *count);
            all.insert(place, book.decide(asked(method, path)).1);
        }
        all
    }

    #[test]
    fn a_seed_replays_whatever_the_order() {
        let mut order = Vec::new();
        for _ in 0..6 {
            order.extend([("PATCH", "/a"), ("POST", "/b"), ("GET", "/a"), ("GET", "/c")]);
        }
        let first = faults(7, &order);
        order.sort_unstable();
        assert_eq!(first, faults(7, &order));
        assert_ne!(first, faults(8, &order));
        assert!(first.values().any(|v| *v == Verdict::Pass));
    }

    #[test]
    fn a_watch_meets_its_own_error_beside_the_list_of_its_path() {
        let mut book = Book::new(Instant::now());
        book.rotate(1);
        for query in ["", "watch=1"] {
            let of = || Asked { query: query.to_owned(), ..asked("GET", "/a") };
            assert_ne!(book.decide(of()).1, Verdict::Pass, "{query}");
            assert_eq!(book.decide(of()).1, Verdict::Pass, "{query}");
        }
    }

    #[test]
    fn ten_seeds_bring_every_kind_to_each_request() {
        for request in [("PATCH", "/a"), ("GET", "/a"), ("DELETE", "/b/c")] {
            let mut met: Vec<Fault> = Vec::new();
            for seed in 0..10 {
                for verdict in faults(seed, &[request]).into_values() {
                    if let Verdict::Fault(fault) = verdict {
                        met.push(fault);
                    }
                }
            }
            assert!(KINDS.iter().all(|kind| met.contains(kind)), "{request:?}: {met:?}");
        }
    }
}
