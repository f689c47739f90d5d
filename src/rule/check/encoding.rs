//! Checks that take a value's encoding apart: base64, percent-encoding.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Parameter, Subject, Verdict};
use crate::model::text::percent_decode;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
pub(super) const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
pub(super) const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Base64 or base64url (RFC 4648), padded or not.
pub(super) fn base64(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let decodes = STANDARD.decode(subject.secret).is_ok() || URL_SAFE.decode(subject.secret).is_ok();
    if !subject.secret.is_empty() && decodes { Verdict::Pass } else { Verdict::Fail("no base64".into()) }
}

/// `decodes>=n`: base64 of at least so many bytes, as keys of a fixed length are.
pub(super) fn decodes(subject: &Subject<'_>, parameter: &Parameter) -> Verdict {
    let Parameter::AtLeast(least) = parameter else { return Verdict::Pass };
    match STANDARD.decode(subject.secret) {
        Ok(bytes) if bytes.len() as f32 >= *least => {
            Verdict::Raise(format!("base64 of {} bytes", bytes.len()).into())
        }
        _ => Verdict::Lower("no base64 of a key".into()),
    }
}

/// The password of Basic credentials (RFC 7617 section 2): base64 of `user:password`.
pub(super) fn basic_password(value: &[u8]) -> Option<Vec<u8>> {
    let decoded = STANDARD.decode(value).or_else(|_| URL_SAFE.decode(value)).ok()?;
    let text = std::str::from_utf8(&decoded).ok().filter(|text| !text.contains(char::is_control))?;
    text.split_once(':').map(|(_, password)| password.as_bytes().to_vec())
}

/// A value in percent-encoding, as a form has it (`+` is a space).
pub(super) fn percent(value: &[u8]) -> Option<Vec<u8>> {
    Some(percent_decode(value, true).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn base64_of_both_alphabets() {
        table("base64", &["aGVsbG8=", "aGVsbG8", "-_-_"], &["", "a-+b", "hello world"]);
    }

    #[test]
    fn a_key_has_its_length() {
        let judge = |value: &str| super::super::judge("decodes>=12", value);
        assert_eq!(judge("bWFkZS11cC1rZXk="), Verdict::Lower("no base64 of a key".into()));
        assert_eq!(judge("bWFkZS11cC1rZXktMDE="), Verdict::Raise("base64 of 14 bytes".into()));
        assert_eq!(judge("bWFkZS11cC1rZXk!"), Verdict::Lower("no base64 of a key".into()));
    }

    #[test]
    fn the_password_of_basic_credentials() {
        for (value, password) in [
            ("bWlyYTpSaWVkLUdyYXMtNDE=", Some("Ried-Gras-41")),
            ("c3ZjOkJhY2gtTGF1Zi03", Some("Bach-Lauf-7")),
            ("YTpiOmM", Some("b:c")),
            ("bWlyYTo=", Some("")),
            ("bWlyYQ==", None),
            ("AAECOgME", None),
            ("{credentials}", None),
        ] {
            assert_eq!(basic_password(value.as_bytes()).as_deref(), password.map(str::as_bytes), "{value}");
        }
    }
}
