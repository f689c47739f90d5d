//! Checks of payment cards and bank accounts by their check digits.

use super::{Parameter, Subject, Verdict};

/// Issuers of cards: the first digits from and to, as many digits as both have; how long their numbers are.
const ISSUERS: &[(&str, &str, &[usize], &str)] = &[
    ("34", "34", &[15], "American Express"),
    ("37", "37", &[15], "American Express"),
    ("4", "4", &[13, 16, 19], "Visa"),
    ("51", "55", &[16], "Mastercard"),
    ("2221", "2720", &[16], "Mastercard"),
    ("2200", "2204", &[16, 17, 18, 19], "Mir"),
    ("300", "305", &[14], "Diners Club"),
    ("36", "36", &[14], "Diners Club"),
    ("38", "39", &[14], "Diners Club"),
    ("3528", "3589", &[16, 17, 18, 19], "JCB"),
    ("6011", "6011", &[16], "Discover"),
    ("644", "649", &[16], "Discover"),
    ("65", "65", &[16], "Discover"),
    ("62", "62", &[16, 17, 18, 19], "UnionPay"),
    ("50", "50", &[16, 17, 18, 19], "Maestro"),
    ("56", "58", &[16, 17, 18, 19], "Maestro"),
    ("60", "60", &[16], "RuPay"),
    ("81", "82", &[16], "RuPay"),
];

/// Numbers that payment providers publish for tests, or that stand in every manual.
const TEST_CARDS: &[&str] = &[
    "4111111111111111",
    "4242424242424242",
    "4012888888881881",
    "4000056655665556",
    "4222222222222",
    "4000000000000002",
    "5555555555554444",
    "5105105105105100",
    "5200828282828210",
    "5424000000000015",
    "2223003122003222",
    "378282246310005",
    "371449635398431",
    "378734493671000",
    "6011111111111117",
    "6011000990139424",
    "30569309025904",
    "38520000023237",
    "3056930009020004",
    "3530111333300000",
    "3566002020360505",
    "6200000000000005",
];

/// Countries of the register of IBANs (ISO 13616) and how long theirs are.
const IBAN_LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 \
     DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 \
     IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 \
     MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 \
     SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// The check digit of payment cards (ISO/IEC 7812-1, annex B): twelve to nineteen digits, spaces and dashes aside.
pub(super) fn luhn(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let Some(digits) = digits(subject.secret).filter(|digits| digits.len() >= 12) else {
        return Verdict::Fail("no card number".into());
    };
    if digits.bytes().all(|digit| digits.starts_with(char::from(digit))) {
        return Verdict::Fail("no card number".into());
    }
    if luhn_sum(&digits).is_multiple_of(10) {
        Verdict::Raise("luhn ok".into())
    } else {
        Verdict::Fail("luhn does not fit".into())
    }
}

/// A card: the check digit, an issuer and the length of its numbers; none of those that are published for tests.
pub(super) fn card(subject: &Subject<'_>, parameter: &Parameter) -> Verdict {
    if let Verdict::Fail(reason) = luhn(subject, parameter) {
        return Verdict::Fail(reason);
    }
    let digits = digits(subject.secret).unwrap_or_default();
    if TEST_CARDS.contains(&digits.as_str()) {
        return Verdict::Fail("a card number for tests".into());
    }
    let issuer = ISSUERS.iter().find(|(from, to, lengths, _)| {
        let start = digits.get(..from.len()).unwrap_or_default();
        (*from..=*to).contains(&start) && lengths.contains(&digits.len())
    });
    match issuer {
        Some((.., name)) => Verdict::Raise(format!("luhn ok, {name}").into()),
        None => Verdict::Fail("of no known issuer".into()),
    }
}

/// The sum of the digits, every second one from the right doubled.
pub(super) fn luhn_sum(digits: &str) -> u32 {
    let each = digits.bytes().rev().enumerate().map(|(at, digit)| {
        let digit = u32::from(digit.wrapping_sub(b'0'));
        match (at % 2, digit * 2) {
            (0, _) => digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        }
    });
    each.sum()
}

/// An IBAN (ISO 13616): a country, its length, and the remainder of 97 (ISO 7064).
pub(super) fn iban(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let text: String = String::from_utf8_lossy(subject.secret)
        .chars()
        .filter(|letter| !matches!(letter, ' ' | '-'))
        .collect();
    let text = text.to_ascii_uppercase();
    let Some((country, rest)) = text.split_at_checked(4) else { return Verdict::Fail("no IBAN".into()) };
    let known = IBAN_LENGTHS.split_ascii_whitespace().any(|entry| {
        entry
            .split_at_checked(2)
            .is_some_and(|(code, length)| country.starts_with(code) && length.parse() == Ok(text.len()))
    });
    if !known || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Verdict::Fail("no IBAN".into());
    }
    let remainder = rest.chars().chain(country.chars()).fold(0_u32, |remainder, letter| {
        let value = letter.to_digit(36).unwrap_or(0);
        (remainder * if value > 9 { 100 } else { 10 } + value) % 97
    });
    if remainder == 1 {
        Verdict::Raise("the check digits of the IBAN fit".into())
    } else {
        Verdict::Fail("the check digits of the IBAN do not fit".into())
    }
}

/// At most nineteen digits; spaces and dashes are left out.
fn digits(value: &[u8]) -> Option<String> {
    let mut digits = String::with_capacity(19);
    for &byte in value {
        match byte {
            b'0'..=b'9' if digits.len() < 19 => digits.push(char::from(byte)),
            b' ' | b'-' => {}
            _ => return None,
        }
    }
    Some(digits)
}

#[cfg(test)]
mod tests {
    use super::super::{judge, table};
    use super::*;

    #[test]
    fn luhn_counts() {
        table(
            "luhn",
            &["4539 1488 0343 6467", "378282246310005", "6011-1111-1111-1117"],
            &["4539148803436468", "0000000000000000", "12345", "4539x48803436467", "79927398713"],
        );
    }

    #[test]
    fn a_card_has_an_issuer() {
        for (number, issuer) in [
            ("4539 1488 0343 6467", "Visa"),
            ("5457623898234113", "Mastercard"),
            ("2720990000000007", "Mastercard"),
            ("371122334455667", "American Express"),
        ] {
            assert_eq!(
                judge("card", number),
                Verdict::Raise(format!("luhn ok, {issuer}").into()),
                "{number}"
            );
        }
        table(
            "card",
            &[],
            &["4111 1111 1111 1111", "9999000011112222", "4539148803436468", "453914880343646"],
        );
    }

    #[test]
    fn an_iban_has_check_digits() {
        table(
            "iban",
            &["DE75 5121 0800 1245 1261 99", "GB33BUKB20201555555555", "fr76 3000 6000 0112 3456 7890 189"],
            &[
                "DE76512108001245126199",
                "DE7551210800124512619",
                "XX75512108001245126199",
                "DE",
                "",
                "DE75 5121 0800 1245 1261 9é",
            ],
        );
    }
}
