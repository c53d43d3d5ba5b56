//! AWS credentials as the broker of the tests knows them.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::{Settings, Way};
use streamgauge_testkit::kafka::SecuredKafka;

/// A key that ends, with its secret and its session.
pub struct Credentials {
    key: String,
    end: SystemTime,
}

impl Credentials {
    pub fn that_end_in(lifetime: Duration) -> Credentials {
        let end = SystemTime::now() + lifetime;
        let end_ms = end
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        Credentials {
            key: format!("ASIA{end_ms}"),
            end,
        }
    }

    /// As `credential_process` prints them and a container's endpoint answers.
    pub fn json(&self) -> String {
        let Credentials { key, end } = self;
        let end = humantime::format_rfc3339_millis(*end);
        format!(
            r#"{{"Version": 1, "AccessKeyId": "{key}", "SecretAccessKey": "secret of {key}", "SessionToken": "session of {key}",
                "Token": "session of {key}", "Expiration": "{end}"}}"#
        )
    }
}

/// The settings for MSK, with a key that does not end in the environment.
pub fn of_environment(kafka: &SecuredKafka, key: &str) -> Result<Settings> {
    Ok(Settings::documented(kafka, Way::Iam)?
        .with_variable("AWS_ACCESS_KEY_ID", key)
        .with_variable("AWS_SECRET_ACCESS_KEY", format!("secret of {key}")))
}

/// A container credentials endpoint; every request gets new credentials. It serves until the tests end.
pub struct Lifetime {
    port: u16,
    served: Arc<AtomicUsize>,
}

impl Lifetime {
    pub fn serve(lifetime: Duration) -> Result<Lifetime> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let served = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&served);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if answer(connection, lifetime).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Lifetime { port, served })
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/credentials", self.port)
    }

    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

fn answer(mut connection: TcpStream, lifetime: Duration) -> Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    for line in BufReader::new(connection.try_clone()?).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let body = Credentials::that_end_in(lifetime).json();
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}
