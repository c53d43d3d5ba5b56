//! The report may run its own two scripts, and a browser must let it send or fetch nothing.

use sha2::{Digest, Sha256};

/// The report's content security policy. Only scripts with one of these texts run, so that a script in a file's name or a
/// key would not.
pub(super) fn content_security_policy(scripts: &[&str]) -> String {
    let allowed: Vec<String> = scripts
        .iter()
        .map(|script| format!("'sha256-{}'", base64(&Sha256::digest(script))))
        .collect();
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        allowed.join(" ")
    )
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, index| {
            bits << 8 | u32::from(*group.get(index).unwrap_or(&0))
        });
        for index in 0..4 {
            let output = ALPHABET[(bits >> (18 - 6 * index) & 63) as usize];
            text.push(if index > group.len() {
                '='
            } else {
                char::from(output)
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_hash() {
        // echo -n "doSomething();" | openssl dgst -sha256 -binary | base64, and RFC 4648's own examples.
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        let policy = content_security_policy(&["doSomething();"]);
        assert!(
            policy.contains("script-src 'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='"),
            "{policy}"
        );
    }
}
