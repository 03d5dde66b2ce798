//! Feeds a function with variations of real inputs, on the stable compiler.
//!
//! cargo-fuzz (`integration/fuzz`) finds its way by what an input reaches, and needs nightly; this walks at random, and
//! runs in every `cargo test`. The functions are the same: they take bytes and panic when a promise is broken. An input
//! that makes one panic is made smaller while it still does, and printed as a byte string, ready for a test.
//!
//! `FUZZ_SECONDS` says how long each function is fed (otherwise a few thousand times), `FUZZ_SEED` with which seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, RngCore, SeedableRng};

use crate::bench::now;

/// Inputs of one function, unless `FUZZ_SECONDS` says otherwise.
const RUNS: usize = 2_000;
/// Inputs between two looks at the clock.
const BATCH: usize = 100;
/// The longest input, in bytes.
const MAX_INPUT: usize = 4 << 10;
/// Changed inputs that are changed further, beside the samples.
const POOL: usize = 256;
/// Attempts to make an input smaller that broke a promise.
const SHRINKS: usize = 2_000;

/// Feeds a function: first with the samples, then with variations that use the words (what the format is made of).
///
/// # Panics
/// When the function does; the message says how to come back to it.
#[allow(clippy::panic, reason = "that is how a test fails")]
pub fn run(target: impl Fn(&[u8]), samples: &[&[u8]], words: &[&[u8]]) {
    let seed = setting("FUZZ_SEED").unwrap_or(1);
    let until = setting("FUZZ_SECONDS").map(|seconds| now() + Duration::from_secs(seconds));
    let mut mutator = Mutator::new(seed, samples, words);
    let mut fed = 0;
    let mut feed = |input: &[u8]| {
        fed += 1;
        if breaks(&target, input) {
            let small = shrunk(&target, input);
            panic!("after {fed} inputs with FUZZ_SEED={seed}: b\"{}\"", small.escape_ascii());
        }
    };
    samples.iter().for_each(|sample| feed(sample));
    loop {
        for _ in 0..BATCH {
            let input = mutator.next();
            feed(&input);
            mutator.remember(input);
        }
        if until.map_or(mutator.made >= RUNS, |until| now() >= until) {
            break;
        }
    }
    println!("{fed} inputs with FUZZ_SEED={seed}");
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic_about(name, &text)))
}

#[allow(clippy::panic, reason = "a wrong setting is a wrong call of the test")]
fn panic_about(name: &str, text: &str) -> u64 {
    panic!("{name}={text}: expected a whole number")
}

fn breaks(target: &impl Fn(&[u8]), input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| target(input))).is_err()
}

/// Leaves out parts, large ones first, as long as the function still panics.
fn shrunk(target: &impl Fn(&[u8]), input: &[u8]) -> Vec<u8> {
    let mut small = input.to_vec();
    let (mut size, mut attempts) = (small.len() / 2, 0);
    while size > 0 && attempts < SHRINKS {
        let mut at = 0;
        while at < small.len() && attempts < SHRINKS {
            let shorter = [&small[..at], &small[(at + size).min(small.len())..]].concat();
            attempts += 1;
            if breaks(target, &shorter) {
                small = shorter;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    small
}

/// Makes inputs out of samples.
struct Mutator {
    random: SmallRng,
    words: Vec<Vec<u8>>,
    /// The samples, and behind them inputs that were made.
    pool: Vec<Vec<u8>>,
    samples: usize,
    made: usize,
}

impl Mutator {
    fn new(seed: u64, samples: &[&[u8]], words: &[&[u8]]) -> Mutator {
        let owned = |list: &[&[u8]]| list.iter().map(|bytes| bytes.to_vec()).collect();
        Mutator {
            random: SmallRng::seed_from_u64(seed),
            words: owned(words),
            pool: owned(samples),
            samples: samples.len(),
            made: 0,
        }
    }

    /// One of the pool with one, two, four or eight changes.
    fn next(&mut self) -> Vec<u8> {
        self.made += 1;
        let mut input = self.pool.choose(&mut self.random).cloned().unwrap_or_default();
        for _ in 0..1 << self.random.random_range(0..4) {
            self.change(&mut input);
        }
        input.truncate(MAX_INPUT);
        input
    }

    /// Now and then an input is changed further: some promises break only after many changes.
    fn remember(&mut self, input: Vec<u8>) {
        if !self.random.random_ratio(1, 16) {
            return;
        }
        if self.pool.len() < self.samples + POOL {
            self.pool.push(input);
        } else {
            let at = self.random.random_range(self.samples..self.pool.len());
            self.pool[at] = input;
        }
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.range(input.len());
        match self.random.random_range(0..8) {
            0 => drop(input.drain(from..to)),
            1 => {
                let part = input[from..to].to_vec();
                input.splice(to..to, part);
            }
            2 => {
                if let Some(byte) = input.iter_mut().choose(&mut self.random) {
                    *byte ^= 1 << self.random.random_range(0..8);
                }
            }
            3 => input.insert(from, self.random.next_u32() as u8),
            4 => {
                let other = self.pool.choose(&mut self.random).cloned().unwrap_or_default();
                let (first, last) = self.range(other.len());
                input.splice(from..to, other[first..last].iter().copied());
            }
            5 => {
                let digits = self.random.random_range(0..=u64::MAX) >> self.random.random_range(0..64);
                input.splice(from..to, digits.to_string().into_bytes());
            }
            _ => {
                let word = self.words.choose(&mut self.random).cloned().unwrap_or_default();
                let to = if self.random.random() { from } else { to };
                input.splice(from..to, word);
            }
        }
    }

    /// A part of so many bytes: short ones more often.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.random.random_range(0..=length);
        let longest = (length - from) >> self.random.random_range(0..8);
        (from, from + self.random.random_range(0..=longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed, &[b"sample"], &[b"word"]);
            (0..100).map(|_| mutator.next()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
    }

    #[test]
    fn a_broken_promise_is_found_and_made_small() {
        let target = |input: &[u8]| assert!(!input.windows(2).any(|pair| pair == b"!!"));
        let failure = catch_unwind(|| run(target, &[b"a long sample"], &[b"!"])).unwrap_err();
        let message = failure.downcast_ref::<String>().unwrap();
        assert!(message.ends_with(": b\"!!\""), "{message}");
    }
}
