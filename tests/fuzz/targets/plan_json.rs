//! A plan of an archive run: a file that people show around, edit and apply.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::archive::Forecast;

fuzz_target!(|text: &str| match Forecast::read(text) {
    Ok(plan) => {
        let written = serde_json::to_string(&plan).expect("JSON");
        let again = Forecast::read(&written).unwrap_or_else(|e| panic!("{written}: {e}"));
        assert_eq!(serde_json::to_string(&again).expect("JSON"), written);
        assert!((0.0..=100.0).contains(&plan.max_drift_percent));
    }
    Err(error) => assert!(!error.contains('\n'), "{error}"),
});
