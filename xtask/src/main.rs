//! Tasks of the project that are not the product: tests with real servers, schema capture, comparisons.

fn main() {}
