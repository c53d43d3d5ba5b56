//! Certificates of the test's own making: two authorities, the broker's certificate, and clients'.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Files in PEM.
#[derive(Debug)]
pub struct Certificates {
    /// The authority that broker and clients trust.
    pub authority: PathBuf,
    /// One that no client trusts.
    pub other_authority: PathBuf,
    /// Key and certificate of the broker, for `localhost` and no other name.
    pub broker: PathBuf,
    /// Certificate and key of the client `CN=meter`.
    pub client: (PathBuf, PathBuf),
    /// Certificate and key of a client of the unheard-of authority.
    pub stranger: (PathBuf, PathBuf),
}

impl Certificates {
    pub fn make(folder: &Path) -> Result<Certificates> {
        let (authority, authority_pem) = make_authority("streamgauge tests")?;
        let (other, other_pem) = make_authority("somebody else")?;
        let write = |name: &str, text: String| -> Result<PathBuf> {
            let path = folder.join(name);
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let (certificate, key) = make("broker", &["localhost"], &authority)?;
        let broker = write("broker.pem", key + &certificate)?;
        let (certificate, key) = make("meter", &[], &authority)?;
        let client = (write("client.pem", certificate)?, write("client.key", key)?);
        let (certificate, key) = make("meter", &[], &other)?;
        let stranger = (write("stranger.pem", certificate)?, write("stranger.key", key)?);
        Ok(Certificates {
            authority: write("authority.pem", authority_pem)?,
            other_authority: write("other.pem", other_pem)?,
            broker,
            client,
            stranger,
        })
    }
}

fn make_authority(name: &str) -> Result<(Issuer<'static, KeyPair>, String)> {
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = parameters.self_signed(&key)?.pem();
    Ok((Issuer::new(parameters, key), pem))
}

/// Certificate and key, both in PEM.
fn make(name: &str, hosts: &[&str], issuer: &Issuer<'static, KeyPair>) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts)?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    Ok((parameters.signed_by(&key, issuer)?.pem(), key.serialize_pem()))
}
