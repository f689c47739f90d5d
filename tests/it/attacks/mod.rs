//! Attacks on the limits of every part: work stays linear, memory bounded, and what was given up is told.

mod content;
mod files;
mod flow;
mod http;
mod memory;
mod rules;

use std::time::{Duration, Instant};

/// Processor time of this thread, where the system tells it: other tests run beside this one.
fn clock(start: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = told.and_then(|told| told.split_whitespace().next()?.parse().ok());
    spent.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn cost(work: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    let before = clock(start);
    work();
    clock(start).saturating_sub(before)
}

/// What work of this cost may vary by on a busy machine.
const NOISE: Duration = Duration::from_millis(80);

/// Whether eight times the input cost much more than eight times the work: square growth makes it sixty-four times.
/// `prepare` makes an input of so many units, `work` does with it what is measured.
fn linear<T>(small: usize, prepare: impl Fn(usize) -> T, work: impl Fn(&T)) -> Result<(), String> {
    let (few, many) = (prepare(small), prepare(small * 8));
    let mut told = String::new();
    for _ in 0..3 {
        let large = cost(&mut || work(&many));
        if large < NOISE {
            return Ok(());
        }
        let little = cost(&mut || work(&few));
        if large < little * 24 {
            return Ok(());
        }
        told = format!("{small} units: {little:?}, eight times as many: {large:?}");
        if large > Duration::from_secs(20) {
            break;
        }
    }
    Err(told)
}

#[test]
fn the_measure_sees_steep_growth() {
    let cubic = |numbers: &Vec<u64>| {
        let mut sum = 0_u64;
        for a in numbers {
            for b in numbers {
                for c in numbers {
                    sum = std::hint::black_box(sum.wrapping_add(a ^ b ^ c));
                }
            }
        }
    };
    let once = |numbers: &Vec<u64>| {
        for _ in 0..1000 {
            std::hint::black_box(numbers.iter().sum::<u64>());
        }
    };
    let numbers = |count: usize| (0..count as u64).collect::<Vec<u64>>();
    assert!(linear(60, numbers, cubic).is_err());
    assert_eq!(linear(4000, numbers, once), Ok(()));
}
