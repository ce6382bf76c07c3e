//! The mode of a fault, as a scenario or a command line names it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::prove::fault::Mode;

fuzz_target!(|text: &str| {
    let json = serde_json::Value::String(text.into());
    let from_json = serde_json::from_value::<Mode>(json.clone()).ok();
    match text.parse::<Mode>() {
        Ok(mode) => {
            // There is one way to write a mode.
            assert_eq!(mode.to_string(), text);
            assert_eq!(from_json, Some(mode));
            assert_eq!(serde_json::to_value(mode).ok(), Some(json));
            assert!(!mode.describe().is_empty());
            assert!(!(mode.is_of_files() && mode.is_of_server()));
        }
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error:?}");
            assert_eq!(from_json, None);
        }
    }
});
