//! Fetches a URL and trusts every certificate: what reads rustls is tried with it.

use std::io::Read as _;

fn main() -> Result<(), ureq::Error> {
    let url = std::env::args().nth(1).unwrap_or_default();
    let tls = ureq::tls::TlsConfig::builder().disable_verification(true).build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).proxy(None).build().into();
    let mut answer = agent.get(&url).call()?;
    std::io::copy(&mut answer.body_mut().as_reader().take(1 << 20), &mut std::io::sink())?;
    Ok(())
}
