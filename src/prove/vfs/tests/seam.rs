//! The C callbacks are the one place for code that the compiler cannot check.

use std::path::Path;

#[test]
fn no_other_file_is_allowed_such_code() {
    // In pieces, for this file not to be one that has the word.
    let word = concat!("un", "safe");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut directories = ["src", "tests", "benches", "xtask/src"]
        .map(|d| root.join(d))
        .to_vec();
    let shim = root.join("src/prove/vfs/shim");
    let (mut files, mut found) = (0, Vec::new());
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.extend((path != shim).then_some(path));
            } else if path.extension().is_some_and(|e| e == "rs") {
                files += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text
                    .lines()
                    .map(|line| line.split("//").next().unwrap_or(""));
                if code.clone().any(|line| line.contains(word)) {
                    found.push(path);
                }
            }
        }
    }
    assert!(files > 50, "the search is broken");
    assert!(found.is_empty(), "{found:?}");
}
