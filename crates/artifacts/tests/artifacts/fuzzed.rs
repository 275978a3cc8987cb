//! The fuzz targets on the corpora that are kept, and on inputs made of them: the same ones in
//! every run, so that they hold without a fuzzer.

#[path = "../../../../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Inputs made of each kept one.
const MADE: u64 = 400;
/// The longest that one target may take.
const TIME: Duration = Duration::from_secs(15);

/// Numbers that look like chance (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((x ^ (x >> 31)) % limit.max(1) as u64).unwrap()
    }

    /// A slice of bytes.
    fn part<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let from = self.below(bytes.len());
        let length = self.below((bytes.len() - from).min(64) + 1);
        &bytes[from..from + length]
    }

    /// Another input made of one, or of two.
    fn change(&mut self, one: &[u8], other: &[u8]) -> Vec<u8> {
        const ODD: [&[u8]; 12] =
            [b"\0", b"\xff", b"..", b"/", b"\"", b"{", b"[", b": ", b"&a *a", b"-1", b"\n", b"%"];
        let mut bytes = one.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                2 => bytes.truncate(at),
                3 => {
                    let end = at + self.below((bytes.len() - at).min(64) + 1);
                    drop(bytes.drain(at..end));
                }
                4 => drop(bytes.splice(at..at, ODD[self.below(ODD.len())].iter().copied())),
                5 => {
                    let part = self.part(other).to_vec();
                    drop(bytes.splice(at..at, part));
                }
                _ => {
                    let part = self.part(one).to_vec();
                    drop(bytes.splice(at..at, part));
                }
            }
        }
        bytes
    }
}

#[test]
fn every_fuzz_target_holds_on_its_corpus_and_what_is_made_of_it() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (number, (name, target)) in targets::TARGETS.into_iter().enumerate() {
        let mut paths: Vec<_> =
            fs::read_dir(corpora.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let kept: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(kept.len() >= 5, "{name}");
        kept.iter().for_each(|input| target(input));
        target(b"");
        let (begun, mut chance, mut made) = (Instant::now(), Chance(number as u64), 0);
        for _ in 0..MADE {
            for one in &kept {
                if begun.elapsed() > TIME {
                    break;
                }
                let other = &kept[chance.below(kept.len())];
                let input = chance.change(one, other);
                let held = std::panic::catch_unwind(|| target(&input));
                assert!(held.is_ok(), "{name} does not hold on {input:?}");
                made += 1;
            }
        }
        assert!(made >= kept.len(), "{name}: only {made}");
    }
}

#[test]
fn each_target_has_its_program_and_its_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let settings = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for (name, _) in targets::TARGETS {
        assert!(settings.contains(&format!("name = \"{name}\"")), "{name}");
        let program = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("targets::{name}(data)")), "{name}");
    }
    let programs = fs::read_dir(folder.join("fuzz_targets")).unwrap().count();
    assert_eq!(programs, targets::TARGETS.len());
}
