//! A dump: mysqldump's or pg_dump's, or whatever is given for one.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let schema = match sexton::db::read_dump(bytes) {
        Ok(schema) => schema,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    for (name, table) in &schema.tables {
        assert_eq!(*name, table.name);
    }
});
