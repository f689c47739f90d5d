//! SIGINT and SIGTERM: the first asks a run to end, the second ends it at once. SIGHUP: rules are read again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::flag;

use crate::pipeline::Signals;

/// A flag that the first signal raises.
///
/// # Errors
/// Where the system does not let signals be handled.
pub(super) fn stop() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag down, and the second finds it up.
        flag::register_conditional_shutdown(signal, 2, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// A flag that each SIGHUP raises.
///
/// # Errors
/// As for [`stop`].
pub(super) fn reload() -> io::Result<Arc<AtomicBool>> {
    let reload = Arc::new(AtomicBool::new(false));
    flag::register(SIGHUP, Arc::clone(&reload))?;
    Ok(reload)
}

/// The signals that a screen heeds: each raises its flag and does nothing else, so that the terminal is given back first.
///
/// # Errors
/// As for [`stop`].
pub(super) fn of_screen() -> io::Result<Signals> {
    let signals = Signals {
        stop: Arc::default(),
        suspend: Arc::default(),
        resumed: Arc::default(),
        stop_process: || signal_hook::low_level::emulate_default_handler(SIGTSTP),
    };
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&signals.stop))?;
    }
    flag::register(SIGTSTP, Arc::clone(&signals.suspend))?;
    flag::register(SIGCONT, Arc::clone(&signals.resumed))?;
    Ok(signals)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn a_signal_raises_the_flag_and_ends_nothing() {
        let stop = stop().unwrap();
        assert!(!stop.load(Ordering::Relaxed));
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(stop.load(Ordering::Relaxed));
    }
}
