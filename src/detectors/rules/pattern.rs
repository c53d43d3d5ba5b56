//! Patterns of keys.

/// Whether a key matches a pattern, in which `*` stands for any text, even an empty one, and all else for itself.
pub(crate) fn matches(pattern: &str, key: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == key;
    };
    let Some(mut key) = key.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    // The first place that a part is found at leaves the most to the parts after it.
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        match key.split_once(part) {
            Some((_, after)) => key = after,
            None => return false,
        }
    }
    key.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, key, expected) in [
            ("*", "", true),
            ("*", "boiler-7", true),
            ("**", "boiler-7", true),
            ("", "", true),
            ("", "a", false),
            ("boiler-7", "boiler-7", true),
            ("boiler-7", "boiler-70", false),
            ("boiler-*", "boiler-", true),
            ("boiler-*", "boiler-7", true),
            ("boiler-*", "old-boiler-7", false),
            ("*-7", "boiler-7", true),
            ("*-7", "boiler-7-a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("a*ab*b", "aab", false),
            ("a*ab*b", "aabb", true),
            ("Zähler*", "Zähler 1", true),
        ] {
            assert_eq!(matches(pattern, key), expected, "{pattern:?} {key:?}");
        }
    }
}
