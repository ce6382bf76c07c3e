//! SIGINT and SIGTERM: the first asks to stop after the batch in hand, a second one aborts.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A flag that the first signal sets, and that may be set for other reasons: that does not make the first signal a
/// second one. A second signal ends the process at once, which is safe: the server rolls the open transaction back.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>> {
    let (stop, signalled) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the shutdown looks at the flag before the same signal sets it.
        let code = ExitCode::Stopped as i32;
        flag::register_conditional_shutdown(signal, code, Arc::clone(&signalled))
            .and_then(|_| flag::register(signal, Arc::clone(&signalled)))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|e| Error::internal(format!("cannot listen for signals: {e}")))?;
    }
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    /// Else the test's process would end here.
    #[test]
    fn the_first_signal_is_the_first_though_the_run_is_ending() {
        let stop = stop_flag().unwrap();
        stop.store(true, Ordering::Relaxed);
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(stop.load(Ordering::Relaxed));
    }
}
