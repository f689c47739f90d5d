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
        Verdict::Raise("holds an account number".into())
    } else {
        Verdict::Lower("holds no account number".into())
    }
}

/// The check digit of payment cards (ISO/IEC 7812-1, annex B): twelve to nineteen digits, spaces and dashes aside.
pub(super) fn luhn(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let mut digits = Vec::with_capacity(19);
    for byte in subject.secret {
        match byte {
            b'0'..=b'9' if digits.len() < 19 => digits.push(u32::from(byte - b'0')),
            b' ' | b'-' => {}
            _ => return Verdict::Fail("no card number".into()),
        }
    }
    if digits.len() < 12 || digits.iter().all(|digit| Some(digit) == digits.first()) {
        return Verdict::Fail("no card number".into());
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, &digit)| match (at % 2, digit * 2) {
            (0, _) => digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    if sum.is_multiple_of(10) {
        Verdict::Raise("luhn ok".into())
    } else {
        Verdict::Fail("luhn does not fit".into())
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
            Verdict::Raise("holds an account number".into())
        );
        assert_eq!(
            judge("aws-key-id", "AKIA7777777777777777"),
            Verdict::Lower("holds no account number".into())
        );
        assert_eq!(judge("aws-key-id", "AKIAI3MADEUP3MADEUP3"), Verdict::Pass);
        table("aws-key-id", &[], &["AKIA1111111111111111", "AKIAQAAAA", "AKIAQAAAAAAAAAAAAAA1", ""]);
    }

    #[test]
    fn luhn_counts() {
        table(
            "luhn",
            &["4539 1488 0343 6467", "378282246310005", "6011-1111-1111-1117"],
            &["4539148803436468", "0000000000000000", "12345", "4539x48803436467", "79927398713"],
        );
    }
}
