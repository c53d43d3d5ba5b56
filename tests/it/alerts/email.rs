//! Mail over a real connection with STARTTLS.

use anyhow::{Result, ensure};
use serde_json::Value;
use streamgauge::alerts::{Kind, Notification, Receiver};
use streamgauge_testkit::alerts::TlsServer;
use streamgauge_testkit::require;

use super::{notification, receiver, send};

fn by_mail(server: &TlsServer, changes: &[(&str, &str)]) -> Receiver {
    let address = format!("localhost:{}", server.port);
    let mut fields = vec![
        ("kind", "email"),
        ("server", &*address),
        ("ca_file", server.authority.to_str().unwrap()),
        ("user", "meters"),
        ("password", TlsServer::PASSWORD),
        ("from", "meters@example.com"),
        ("to", "a@example.com, b@example.com"),
    ];
    fields.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    receiver(&[&fields[..], changes].concat())
}

#[test]
fn mails_of_an_episode_come_encrypted_and_as_a_conversation() -> Result<()> {
    let Some(server) = require("a mail server", TlsServer::mail()) else {
        return Ok(());
    };
    let receiver = by_mail(&server, &[]);
    let odd = Notification {
        series: Some("Zähler <7>\r\nBcc: x@example.com".to_owned()),
        ..notification("", Kind::Opened)
    };
    for told in [
        &notification("boiler-7", Kind::Opened),
        &notification("boiler-7", Kind::Ended),
        &odd,
    ] {
        send(&receiver, told, None)?;
    }
    let mails = server.mails()?;
    let [opened, ended, odd] = mails.as_slice() else {
        panic!("{mails:?}")
    };
    for mail in &mails {
        ensure!(mail["tls"] == true && mail["authenticated"] == true, "{mail}");
        ensure!(mail["from"] == "meters@example.com", "{mail}");
        ensure!(
            mail["to"] == serde_json::json!(["a@example.com", "b@example.com"]),
            "{mail}"
        );
        ensure!(mail["headers"]["auto-submitted"] == "auto-generated", "{mail}");
    }
    let header = |mail: &Value, name: &str| mail["headers"][name].as_str().unwrap_or("").to_owned();
    ensure!(header(opened, "subject") == "Warning: boiler-7", "{opened}");
    ensure!(header(ended, "subject") == "Over after 9m: boiler-7", "{ended}");
    ensure!(header(opened, "message-id") != header(ended, "message-id"));
    ensure!(
        header(ended, "in-reply-to") == header(opened, "references"),
        "{ended}"
    );
    ensure!(
        opened["text"]
            .as_str()
            .is_some_and(|text| text.contains("usual are 60 to 80 °C.")),
        "{opened}"
    );
    ensure!(
        opened["html"]
            .as_str()
            .is_some_and(|html| html.contains("series=a&amp;b")),
        "{opened}"
    );
    ensure!(
        header(odd, "subject") == "Warning: Zähler <7>\\u{d}\\u{a}Bcc: x@example.com",
        "{odd}"
    );
    Ok(())
}

#[test]
fn what_a_mail_server_says_tells_whether_to_try_again() -> Result<()> {
    let Some(server) = require("a mail server", TlsServer::mail()) else {
        return Ok(());
    };
    let other_authority = server.other_authority.to_str().unwrap().to_owned();
    for (changes, is_transient, reason) in [
        (&[("to", "later@example.com")][..], true, "busy"),
        (&[("to", "never@example.com")], false, "refused"),
        (&[("password", "wrong-wrong")], false, "refused"),
        (&[("to", "lost@example.com")], true, "unreachable"),
        (&[("ca_file", &other_authority)], true, "unreachable"),
        (&[("server", "127.0.0.1:9")], true, "unreachable"),
        (&[("ca_file", "/nowhere")], true, "settings"),
    ] {
        let error = send(
            &by_mail(&server, changes),
            &notification("boiler-7", Kind::Opened),
            None,
        )
        .unwrap_err();
        assert_eq!(
            (error.is_transient(), error.reason()),
            (is_transient, reason),
            "{changes:?}: {error}"
        );
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains(TlsServer::PASSWORD) && !text.contains("wrong-wrong"),
            "{text}"
        );
    }
    // The one that was lost after it was taken has come; sent again, it is the same mail.
    let lost = by_mail(&server, &[("to", "lost@example.com")]);
    send(&lost, &notification("boiler-7", Kind::Opened), None).unwrap_err();
    let ids: Vec<_> = server
        .mails()?
        .iter()
        .map(|mail| mail["headers"]["message-id"].clone())
        .collect();
    ensure!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    Ok(())
}

#[test]
fn nothing_is_sent_over_a_connection_that_is_not_encrypted() -> Result<()> {
    let Some(server) = require("a mail server", TlsServer::mail()) else {
        return Ok(());
    };
    // The server is spoken to in the clear from the first byte, where TLS is expected.
    let error = send(
        &by_mail(&server, &[("tls", "tls")]),
        &notification("a", Kind::Opened),
        None,
    )
    .unwrap_err();
    assert!(error.is_transient(), "{error}");
    // And it wants STARTTLS, which this does not give it.
    let error = send(
        &by_mail(&server, &[("tls", "none")]),
        &notification("a", Kind::Opened),
        None,
    )
    .unwrap_err();
    assert!(!error.to_string().contains(TlsServer::PASSWORD), "{error}");
    ensure!(server.mails()?.is_empty());
    Ok(())
}
