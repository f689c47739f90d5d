//! Checks of tokens that carry their own proof: checksums and decodable parts.

use super::{Parameter, Subject, Verdict};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The checksum of GitHub's (`ghp_…`) and npm's (`npm_…`) tokens: the last six characters are the CRC-32 of the
/// thirty before them, in base 62.
pub(super) fn crc32_base62(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let behind = subject.secret.iter().rposition(|&byte| byte == b'_').map_or(0, |at| at + 1);
    let body = subject.secret.get(behind..).unwrap_or_default();
    let Some((random, check)) = body.len().checked_sub(6).and_then(|at| body.split_at_checked(at)) else {
        return Verdict::Fail("too short".into());
    };
    let mut crc = flate2::Crc::new();
    crc.update(random);
    let stated = check.iter().try_fold(0_u64, |number, byte| {
        let digit = BASE62.iter().position(|known| known == byte)?;
        Some(number * 62 + digit as u64)
    });
    if stated == Some(u64::from(crc.sum())) {
        Verdict::Raise("crc32 ok".into())
    } else {
        Verdict::Lower("crc32 does not fit".into())
    }
}

/// An AWS access key id: sixteen characters of base32 (RFC 4648) behind the prefix, of which the first bits are
/// an account number of at most twelve digits (keys from `Q` on; older ones are numbered otherwise).
pub(super) fn aws_key_id(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let Some(body) = subject.secret.get(4..).filter(|body| body.len() == 16) else {
        return Verdict::Fail("no twenty characters".into());
    };
    let mut bits = 0_u64;
    for (index, byte) in body.iter().enumerate() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'2'..=b'7' => byte - b'2' + 26,
            _ => return Verdict::Fail("no base32".into()),
        };
        // 48 bits are needed: nine digits and three bits of the tenth.
        if index < 9 {
            bits = bits << 5 | u64::from(digit);
        } else if index == 9 {
            bits = bits << 3 | u64::from(digit >> 2);
        }
    }
    if body.first().is_some_and(|&first| (b'A'..b'Q').contains(&first)) {
        return Verdict::Pass;
    }
    let account = (bits & 0x7fff_ffff_ff80) >> 7;
    if account <= 999_999_999_999 {
        Verdict::Raise(format!("of the account {account:012}").into())
    } else {
        Verdict::Lower("holds no account number".into())
    }
}

/// The checksum of GitLab's routable tokens: the last seven characters are the CRC-32 of all before them, in base 36.
/// Tokens of the older form have none.
pub(super) fn gitlab_crc32(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let Some(at) = memchr::memrchr(b'.', subject.secret) else { return Verdict::Pass };
    let stated = subject.secret.len().checked_sub(7).filter(|&check| check > at);
    let Some((before, check)) = stated.and_then(|check| subject.secret.split_at_checked(check)) else {
        return Verdict::Lower("no checksum".into());
    };
    let number = std::str::from_utf8(check).ok().and_then(|check| u64::from_str_radix(check, 36).ok());
    let mut crc = flate2::Crc::new();
    crc.update(before);
    if number == Some(u64::from(crc.sum())) {
        Verdict::Raise("crc32 ok".into())
    } else {
        Verdict::Lower("crc32 does not fit".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Verdict, judge, table};
    use super::*;

    /// A token with the checksum it should have.
    fn with_checksum(prefix: &str, random: &str) -> String {
        let mut crc = flate2::Crc::new();
        crc.update(random.as_bytes());
        let mut left = crc.sum() as usize;
        let mut check = Vec::new();
        for _ in 0..6 {
            check.insert(0, char::from(BASE62[left % 62]));
            left /= 62;
        }
        format!("{prefix}{random}{}", check.into_iter().collect::<String>())
    }

    #[test]
    fn a_checksum_makes_certain() {
        // Reckoned apart from this code: zlib.crc32 of the thirty characters, in base 62.
        assert_eq!(
            with_checksum("ghp_", "MadeUpForThisTest0123456789abc"),
            "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"
        );
        for prefix in ["ghp_", "gho_", "npm_"] {
            let token = with_checksum(prefix, "MadeUpForThisTest0123456789abc");
            assert_eq!(judge("github-crc32", &token), Verdict::Raise("crc32 ok".into()));
            let broken = token.replace('M', "N");
            assert_eq!(judge("npm-crc32", &broken), Verdict::Lower("crc32 does not fit".into()));
        }
        table("github-crc32", &["ghp_MadeUpForThisTest-123456789abc!!!!!!"], &["ghp_", "abc"]);
    }

    #[test]
    fn an_aws_key_id_is_base32() {
        assert_eq!(
            judge("aws-key-id", "AKIAQAAAAAAAAAAAAAAA"),
            Verdict::Raise("of the account 000000000000".into())
        );
        assert_eq!(
            judge("aws-key-id", "AKIA7777777777777777"),
            Verdict::Lower("holds no account number".into())
        );
        assert_eq!(judge("aws-key-id", "AKIAI3MADEUP3MADEUP3"), Verdict::Pass);
        table("aws-key-id", &[], &["AKIA1111111111111111", "AKIAQAAAA", "AKIAQAAAAAAAAAAAAAA1", ""]);
    }

    #[test]
    fn a_token_of_gitlab_may_have_a_checksum() {
        // Reckoned apart from this code: zlib.crc32 of what stands before it, in base 36.
        let body = "glpat-bWFkZS11cC1mb3ItdGhpcy10ZXN0cw.01.0y";
        let mut crc = flate2::Crc::new();
        crc.update(body.as_bytes());
        let mut left = u64::from(crc.sum());
        let mut check = String::new();
        for _ in 0..7 {
            check.insert(0, char::from_digit((left % 36) as u32, 36).unwrap());
            left /= 36;
        }
        assert_eq!(check, "1yqu59z");
        assert_eq!(judge("gitlab-crc32", &format!("{body}{check}")), Verdict::Raise("crc32 ok".into()));
        assert!(matches!(judge("gitlab-crc32", &format!("{body}0000000")), Verdict::Lower(_)));
        assert!(matches!(judge("gitlab-crc32", "glpat-GWs2GMtogy6C154jNDx0"), Verdict::Pass));
    }
}
