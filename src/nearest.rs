//! The names that were probably meant, for messages about one that is not known.

/// How alike two names have to be, from 0 to 1: what clap asks of its own suggestions.
const ALIKE: f64 = 0.7;

/// How many names are offered at most.
const MOST: usize = 3;

/// The known names that are near to what was given, the nearest first, three at most.
pub fn nearest<'n>(given: &str, known: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let alike = |name: &'n str| (strsim::jaro(given, name), name);
    let mut near: Vec<_> = known.into_iter().map(alike).collect();
    near.retain(|(alike, _)| *alike > ALIKE);
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// What to do about an unknown name, as a hint: the near ones, or all of them where none is near.
pub fn meant<'n>(given: &str, known: impl IntoIterator<Item = &'n str> + Clone) -> String {
    let near = nearest(given, known.clone());
    match near.as_slice() {
        [] => {
            let all: Vec<_> = known.into_iter().collect();
            format!("known are {}", all.join(", "))
        }
        [one] => format!("did you mean {one}?"),
        [others @ .., last] => format!("did you mean {} or {last}?", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["live-child", "living-owner", "residue", "no-date"];

    #[test]
    fn the_nearest_comes_first_and_what_is_far_is_left_out() {
        assert_eq!(nearest("live-chld", KNOWN)[0], "live-child");
        assert_eq!(nearest("residues", KNOWN), ["residue"]);
        assert_eq!(nearest("xyzzy", KNOWN), [""; 0]);
        assert_eq!(meant("residues", KNOWN), "did you mean residue?");
        let all = "known are live-child, living-owner, residue, no-date";
        assert_eq!(meant("xyzzy", KNOWN), all);
    }
}
