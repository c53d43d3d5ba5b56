//! The report may run its own two scripts, and a browser must let it send or fetch nothing.

use sha2::{Digest, Sha256};

use crate::notation::base64;

/// The report's content security policy. Only scripts with one of these texts run, so that a script in a file's name or a
/// key would not.
pub(super) fn content_security_policy(scripts: &[&str]) -> String {
    let allowed: Vec<String> = scripts
        .iter()
        .map(|script| format!("'sha256-{}'", base64::encode(&Sha256::digest(script))))
        .collect();
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        allowed.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_hash() {
        // echo -n "doSomething();" | openssl dgst -sha256 -binary | base64
        let policy = content_security_policy(&["doSomething();"]);
        assert!(
            policy.contains("script-src 'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='"),
            "{policy}"
        );
    }
}
