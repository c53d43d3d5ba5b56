//! Hands a mail to a mail server, over an encrypted connection.

use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error};
use lettre::{AsyncTransport, Message, Tokio1Executor};
use tokio::time::timeout;

use super::SendError;
use super::secrets::Secrets;
use crate::alerts::ReceiverSettings;
use crate::printable::printable;
use crate::secret_file;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// For the whole conversation: servers make strangers wait for their greeting.
const SEND_WITHIN: Duration = Duration::from_secs(60);
/// The characters of a server's words that an error has.
const SHOWN_ANSWER: usize = 300;

/// Sends a mail, once. Gives what was answered, in words.
///
/// # Errors
/// [`SendError::Refused`] for an answer of 5xx, [`SendError::Busy`] for one of 4xx, [`SendError::Unreachable`] without one:
/// then the mail may have been taken.
pub(super) async fn send(
    settings: &ReceiverSettings,
    secrets: &Secrets,
    mail: Message,
) -> Result<String, SendError> {
    let transport = transport(settings, secrets)?;
    let host = settings.server.clone();
    match timeout(SEND_WITHIN, transport.send(mail)).await {
        Ok(Ok(response)) => {
            let words: Vec<&str> = response.message().collect();
            let words: String = words.join(" ").chars().take(SHOWN_ANSWER).collect();
            Ok(format!(
                "{host} answered {} {}",
                response.code(),
                printable(&words)
            ))
        }
        Ok(Err(error)) => {
            let words = secrets.hidden_in(&error.to_string());
            let cause: String = printable(&words).chars().take(SHOWN_ANSWER).collect();
            Err(match error {
                error if error.is_permanent() => SendError::Refused { host, cause },
                error if error.is_transient() => SendError::Busy {
                    host,
                    cause,
                    retry_after: None,
                },
                _ => SendError::Unreachable { host, cause },
            })
        }
        Err(_) => Err(SendError::Unreachable {
            host,
            cause: format!("it took longer than {}", humantime::format_duration(SEND_WITHIN)),
        }),
    }
}

fn transport(
    settings: &ReceiverSettings,
    secrets: &Secrets,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, SendError> {
    let unusable = |cause: String| SendError::Settings { cause };
    let (host, port) = settings.server.rsplit_once(':').unwrap_or((&settings.server, ""));
    let port = port
        .parse()
        .map_err(|_| unusable("server has no port".to_owned()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let tls = || tls_parameters(settings, host);
    let tls = match settings.tls.as_str() {
        "none" => Tls::None,
        "tls" => Tls::Wrapper(tls()?),
        _ => Tls::Required(tls()?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(port)
        .timeout(Some(CONNECT_WITHIN))
        .tls(tls);
    if !settings.user.is_empty() {
        builder = builder.credentials(Credentials::new(settings.user.clone(), secrets.password.clone()));
    }
    Ok(builder.build())
}

fn tls_parameters(settings: &ReceiverSettings, host: &str) -> Result<TlsParameters, SendError> {
    let unusable = |cause: String| SendError::Settings { cause };
    let of_file = |error: &dyn std::fmt::Display| unusable(format!("{}: {error}", settings.ca_file));
    let mut parameters = TlsParameters::builder(host.to_owned());
    if !settings.ca_file.is_empty() {
        let pem = secret_file::read(settings.ca_file.as_ref()).map_err(|error| of_file(&error))?;
        let certificate = Certificate::from_pem(pem.as_bytes()).map_err(|error: Error| of_file(&error))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters.build().map_err(|error| unusable(error.to_string()))
}
