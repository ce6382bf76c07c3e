//! SIGINT and SIGTERM: the first asks to stop after the batch in hand, a second one aborts.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// A flag that the first signal sets, and that may be set for other reasons: that does not make the first signal a
/// second one. A second signal ends the process at once, which is safe: the server rolls the open transaction back.
/// That the first one was heard is said at once, for what is in hand may take its time.
pub(crate) fn stop_flag(in_hand: &'static str) -> Result<Arc<AtomicBool>> {
    let (stop, signalled) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the shutdown looks at the flag before the same signal sets it.
        let code = ExitCode::Stopped as i32;
        flag::register_conditional_shutdown(signal, code, Arc::clone(&signalled))
            .and_then(|_| flag::register(signal, Arc::clone(&signalled)))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|e| deaf(&e))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|e| deaf(&e))?;
    let say = move || {
        if signals.forever().next().is_some() {
            // The cursor is behind the live line, if there is one.
            let clear = match std::io::stderr().is_terminal() {
                true => "\r\x1b[K",
                false => "",
            };
            crate::cli::say!("{clear}sexton: stopping after {in_hand}; once more to abort");
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(say)
        .map_err(|e| deaf(&e))?;
    Ok(stop)
}

fn deaf(error: &std::io::Error) -> Error {
    Error::internal(format!("cannot listen for signals: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    /// Else the test's process would end here.
    #[test]
    fn the_first_signal_is_the_first_though_the_run_is_ending() {
        let stop = stop_flag("the test").unwrap();
        stop.store(true, Ordering::Relaxed);
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(stop.load(Ordering::Relaxed));
    }
}
