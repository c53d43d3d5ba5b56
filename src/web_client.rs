//! What clients of other programs' HTTP interfaces have in common: who they say they are, that they follow no redirection, and
//! that no answer is read without a limit.

/// What requests name as their program.
const USER_AGENT: &str = concat!("streamgauge/", env!("CARGO_PKG_VERSION"));

/// A client that goes where it is sent and nowhere else; its limits of time are its room's.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
}

/// The bytes of an answer; `None` if they are more than `most`.
///
/// # Errors
/// If the answer breaks off.
pub(crate) async fn bounded(
    mut response: reqwest::Response,
    most: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}
