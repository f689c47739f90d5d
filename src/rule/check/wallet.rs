//! Checks of wallets: Base58Check and BIP-39.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::{Parameter, Subject, Verdict};

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Longest value that is decoded: an extended key has 111 characters.
const LONGEST: usize = 128;
/// The 2048 English words of BIP-39, sorted.
const WORDS: &str = include_str!("bip39.txt");

static LIST: LazyLock<Vec<&str>> = LazyLock::new(|| WORDS.split_ascii_whitespace().collect());

/// Base58Check (Bitcoin's WIF and extended keys): the last four bytes are the start of a double SHA-256.
pub(super) fn base58check(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let Some(bytes) = base58(subject.secret) else { return Verdict::Fail("no base58".into()) };
    let Some((payload, check)) = bytes.split_last_chunk::<4>() else {
        return Verdict::Fail("too short".into());
    };
    if Sha256::digest(Sha256::digest(payload)).starts_with(check) {
        Verdict::Raise("base58check ok".into())
    } else {
        Verdict::Lower("base58check does not fit".into())
    }
}

fn base58(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    // Least significant byte first.
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    for letter in text {
        let mut carry = BASE58.iter().position(|known| known == letter)? as u32;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(carry as u8);
            carry >>= 8;
        }
    }
    bytes.extend(text.iter().take_while(|&&letter| letter == b'1').map(|_| 0));
    bytes.reverse();
    Some(bytes)
}

/// A BIP-39 mnemonic: 12 to 24 words of its list; the last bits are a checksum.
pub(super) fn bip39(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let text = String::from_utf8_lossy(subject.secret).to_ascii_lowercase();
    let numbers: Option<Vec<usize>> =
        text.split_ascii_whitespace().take(25).map(|word| LIST.binary_search(&word).ok()).collect();
    let Some(numbers) = numbers.filter(|words| matches!(words.len(), 12 | 15 | 18 | 21 | 24)) else {
        return Verdict::Fail("no words of BIP-39".into());
    };
    let bit = |at: usize| numbers.get(at / 11).is_some_and(|word| word >> (10 - at % 11) & 1 == 1);
    let check = numbers.len() / 3;
    let entropy: Vec<u8> = (0..check * 4)
        .map(|byte| (0..8).fold(0, |value, at| value << 1 | u8::from(bit(byte * 8 + at))))
        .collect();
    let digest = Sha256::digest(&entropy);
    let fits = (0..check).all(|at| {
        let wanted = digest.first().is_some_and(|byte| byte >> (7 - at) & 1 == 1);
        wanted == bit(check * 32 + at)
    });
    if fits {
        Verdict::Raise("the checksum of BIP-39 fits".into())
    } else {
        Verdict::Lower("the checksum of BIP-39 does not fit".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{judge, table};
    use super::*;

    #[test]
    fn the_list_of_words_is_whole_and_sorted() {
        assert_eq!(LIST.len(), 2048);
        assert!(LIST.is_sorted());
    }

    #[test]
    fn a_wallet_key_has_a_checksum() {
        let ok = Verdict::Raise("base58check ok".into());
        // Made of the bytes 1 to 32 by another program.
        assert_eq!(judge("base58check", "KwFfpDsaF7yxCELuyrH9gP5XL7TAt5b9HPWC1xCQbmrxvhJgMQHb"), ok);
        assert!(matches!(
            judge("base58check", "KwFfpDsaF7yxCELuyrH9gP5XL7TAt5b9HPWC1xCQbmrxvhJgMQHa"),
            Verdict::Lower(_)
        ));
        table("base58check", &[], &["", "0OIl", "11"]);
    }

    #[test]
    fn a_mnemonic_has_a_checksum() {
        let fits = Verdict::Raise("the checksum of BIP-39 fits".into());
        for words in [
            "nature visa census gift aware wool hamster amused joke inflict raise valid",
            "resource client jazz coin noise symptom old supreme breeze expire engage arctic beef program identify",
            "shock source energy story police side bullet galaxy begin puzzle whisper remove sudden remove empty solid mass session shaft also come column rain nation",
        ] {
            assert_eq!(judge("bip39", words), fits, "{words}");
        }
        let swapped = "visa nature census gift aware wool hamster amused joke inflict raise valid";
        assert!(matches!(judge("bip39", swapped), Verdict::Lower(_)));
        table(
            "bip39",
            &[],
            &["", "abandon", "the quick brown fox jumps over the lazy dog and then it sleeps"],
        );
    }
}
