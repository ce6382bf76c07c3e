//! SIGINT and SIGTERM: the first asks to stop after the batch in hand, a second one aborts.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A flag that the first signal sets. A second signal ends the process at once, which is safe: the
/// server rolls the open transaction back.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the shutdown looks at the flag before the same signal sets it.
        flag::register_conditional_shutdown(signal, ExitCode::Stopped as i32, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|e| Error::internal(format!("cannot listen for signals: {e}")))?;
    }
    Ok(stop)
}
