//! Checks of national identity numbers by their check digits.

use super::money::luhn_sum;
use super::{Parameter, Subject, Verdict};

/// Whether a text is such a number.
type Kind = fn(&str) -> bool;

/// `national-id=name`: which number; what its digits say.
const KINDS: &[(&str, Kind)] = &[
    ("aadhaar", aadhaar),
    ("ahv", ahv),
    ("bsn", bsn),
    ("codice-fiscale", codice_fiscale),
    ("cpf", cpf),
    ("cuil", cuil),
    ("curp", curp),
    ("dni", dni),
    ("my-number", my_number),
    ("nhs", nhs),
    ("nino", nino),
    ("nir", nir),
    ("pesel", pesel),
    ("personnummer", personnummer),
    ("prc-id", prc_id),
    ("rrn", rrn),
    ("rut", rut),
    ("sin", sin),
    ("ssn", ssn),
    ("steuer-id", steuer_id),
    ("tfn", tfn),
];

/// A number of the kind that the parameter names (several: `ssn|sin`), with the check digits it must have.
pub(super) fn national_id(subject: &Subject<'_>, parameter: &Parameter) -> Verdict {
    let Parameter::Word(kinds) = parameter else { return Verdict::Pass };
    let text: String = String::from_utf8_lossy(subject.secret)
        .chars()
        .filter(|letter| !matches!(letter, ' ' | '-' | '.' | '/'))
        .collect::<String>()
        .to_ascii_uppercase();
    if !text.is_ascii() || text.len() < 8 || is_one_digit(&text) {
        return Verdict::Fail("no such number".into());
    }
    let fits = kinds.split('|').find(|kind| KINDS.iter().any(|(known, is)| known == kind && is(&text)));
    match fits {
        Some(kind) => Verdict::Raise(format!("the check digits of a {kind} fit").into()),
        None => Verdict::Fail("the check digits do not fit".into()),
    }
}

fn is_one_digit(text: &str) -> bool {
    text.bytes().all(|byte| text.starts_with(char::from(byte)))
}

/// The digits, where the text is so many of them.
fn digits(text: &str, count: usize) -> Option<Vec<u32>> {
    let digits: Option<Vec<u32>> = text.chars().map(|letter| letter.to_digit(10)).collect();
    digits.filter(|digits| digits.len() == count)
}

fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

fn number(text: &str, from: usize, to: usize) -> u64 {
    text.get(from..to).and_then(|part| part.parse().ok()).unwrap_or(u64::MAX)
}

/// United States, social security number: no check digit, but areas and groups that were never given.
fn ssn(text: &str) -> bool {
    let (area, group, serial) = (number(text, 0, 3), number(text, 3, 5), number(text, 5, 9));
    digits(text, 9).is_some()
        && !matches!(area, 0 | 666 | 900..)
        && group > 0
        && serial > 0
        && !matches!(text, "123456789" | "078051120" | "219099999")
}

/// Canada, social insurance number.
fn sin(text: &str) -> bool {
    digits(text, 9).is_some() && !text.starts_with(['0', '8']) && luhn_sum(text).is_multiple_of(10)
}

/// United Kingdom, national insurance number: no check digit, but a form.
fn nino(text: &str) -> bool {
    let (Some(prefix), Some(suffix)) = (text.get(..2), text.get(8..)) else { return false };
    let letters = |text: &str, not: &str| {
        text.bytes().all(|byte| byte.is_ascii_uppercase()) && !text.contains(|letter| not.contains(letter))
    };
    letters(prefix, "DFIQUV")
        && !prefix.ends_with('O')
        && !matches!(prefix, "BG" | "GB" | "KN" | "NK" | "NT" | "TN" | "ZZ")
        && text.get(2..8).is_some_and(|middle| digits(middle, 6).is_some())
        && matches!(suffix, "A" | "B" | "C" | "D")
}

/// United Kingdom, NHS number: modulo 11.
fn nhs(text: &str) -> bool {
    digits(text, 10)
        .is_some_and(|digits| weighted(&digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11))
}

/// Brazil, CPF: two check digits modulo 11.
fn cpf(text: &str) -> bool {
    digits(text, 11).is_some_and(|digits| {
        [9, 10].into_iter().all(|at| {
            let sum: u32 = digits.iter().take(at).zip((2..=at as u32 + 1).rev()).map(|(a, b)| a * b).sum();
            digits.get(at) == Some(&(sum * 10 % 11 % 10))
        })
    })
}

/// Argentina, CUIL and CUIT: modulo 11.
fn cuil(text: &str) -> bool {
    digits(text, 11)
        .is_some_and(|digits| weighted(&digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11))
        && matches!(number(text, 0, 2), 20 | 23 | 24 | 25 | 26 | 27 | 30 | 33 | 34)
}

/// Chile, RUT: modulo 11, the last may be `K`.
fn rut(text: &str) -> bool {
    let Some((body, check)) = text.split_at_checked(text.len() - 1) else { return false };
    let Some(digits) = digits(body, 7).or_else(|| digits(body, 8)) else { return false };
    let sum: u32 = digits.iter().rev().zip([2, 3, 4, 5, 6, 7].into_iter().cycle()).map(|(a, b)| a * b).sum();
    match 11 - sum % 11 {
        11 => check == "0",
        10 => check == "K",
        digit => check.parse() == Ok(digit),
    }
}

/// Mexico, CURP: letters, date of birth, sex, letters, and a check digit.
fn curp(text: &str) -> bool {
    const ALPHABET: &str = "0123456789ABCDEFGHIJKLMN*OPQRSTUVWXYZ";
    let class = |from: usize, to: usize, is: fn(&u8) -> bool| {
        text.as_bytes().get(from..to).is_some_and(|part| part.iter().all(is))
    };
    let Some(check) = text.get(17..18).and_then(|digit| digit.parse::<usize>().ok()) else { return false };
    let sum: Option<usize> = text
        .chars()
        .take(17)
        .enumerate()
        .map(|(at, letter)| ALPHABET.find(letter).map(|value| value * (18 - at)))
        .sum();
    text.len() == 18
        && class(0, 4, u8::is_ascii_uppercase)
        && class(4, 10, u8::is_ascii_digit)
        && class(10, 16, u8::is_ascii_uppercase)
        && sum.is_some_and(|sum| (10 - sum % 10) % 10 == check)
}

/// France, NIR: the last two are 97 less the remainder; Corsica has letters.
fn nir(text: &str) -> bool {
    let text = text.replacen("2A", "19", 1).replacen("2B", "18", 1);
    digits(&text, 15).is_some()
        && text.starts_with(['1', '2', '7', '8'])
        && 97 - number(&text, 0, 13) % 97 == number(&text, 13, 15)
}

/// Spain, DNI and NIE: a letter by the remainder of 23.
fn dni(text: &str) -> bool {
    const LETTERS: &str = "TRWAGMYFPDXBNJZSQVHLCKE";
    let Some((body, letter)) = text.split_at_checked(text.len() - 1) else { return false };
    let body = match body.split_at_checked(1) {
        Some(("X", rest)) => format!("0{rest}"),
        Some(("Y", rest)) => format!("1{rest}"),
        Some(("Z", rest)) => format!("2{rest}"),
        _ => body.to_owned(),
    };
    let at = (number(&body, 0, 8) % 23) as usize;
    digits(&body, 8).is_some() && LETTERS.get(at..=at) == Some(letter)
}

/// Italy, codice fiscale: a check letter over values of odd and even places.
fn codice_fiscale(text: &str) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let bytes = text.as_bytes();
    let Some((check, body)) = bytes.split_last() else { return false };
    let sum: u32 = body
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            let value = char::from(*byte).to_digit(36).unwrap_or(0);
            let value = if value > 9 { value - 10 } else { value };
            if at % 2 == 0 { ODD.get(value as usize).copied().unwrap_or(0) } else { value }
        })
        .sum();
    bytes.len() == 16
        && bytes.iter().take(6).all(u8::is_ascii_uppercase)
        && bytes.get(6..8).is_some_and(|year| year.iter().all(u8::is_ascii_alphanumeric))
        && u32::from(*check) == u32::from(b'A') + sum % 26
}

/// Germany, tax identification number: ISO 7064 modulo 11, 10.
fn steuer_id(text: &str) -> bool {
    let Some(digits) = digits(text, 11) else { return false };
    let product = digits.iter().take(10).fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    !text.starts_with('0') && digits.last() == Some(&((11 - product) % 10))
}

/// Netherlands, BSN: the test of eleven.
fn bsn(text: &str) -> bool {
    digits(text, 9).is_some_and(|digits| {
        let sum = weighted(&digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
        sum % 11 == digits.last().copied().unwrap_or(0)
    })
}

/// Poland, PESEL.
fn pesel(text: &str) -> bool {
    digits(text, 11)
        .is_some_and(|digits| weighted(&digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10))
}

/// Switzerland, AHV number: the check digit of EAN-13.
fn ahv(text: &str) -> bool {
    text.starts_with("756")
        && digits(text, 13).is_some_and(|digits| {
            weighted(&digits, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
        })
}

/// Sweden, personnummer: with or without the century.
fn personnummer(text: &str) -> bool {
    let bare = if text.len() == 12 { text.get(2..).unwrap_or_default() } else { text };
    let (month, day) = (number(bare, 2, 4), number(bare, 4, 6));
    digits(bare, 10).is_some()
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && luhn_sum(bare).is_multiple_of(10)
}

/// India, Aadhaar: Verhoeff's scheme, over the dihedral group of the pentagon.
fn aadhaar(text: &str) -> bool {
    const PERMUTATION: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let product = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b) % 5 + 5,
        (false, true) => (a + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    digits(text, 12).is_some_and(|digits| {
        !text.starts_with(['0', '1'])
            && digits.iter().rev().enumerate().fold(0, |state, (at, &digit)| {
                let permuted = (0..at % 8)
                    .fold(digit, |digit, _| PERMUTATION.get(digit as usize).copied().unwrap_or(digit));
                product(state, permuted)
            }) == 0
    })
}

/// China, resident identity number: ISO 7064 modulo 11, 2.
fn prc_id(text: &str) -> bool {
    let Some((body, check)) = text.split_at_checked(17) else { return false };
    let Some(digits) = digits(body, 17) else { return false };
    let sum = weighted(&digits, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) as usize % 11;
    (1..=12).contains(&number(text, 10, 12)) && "10X98765432".get(sum..=sum) == Some(check)
}

/// Japan, individual number.
fn my_number(text: &str) -> bool {
    digits(text, 12).is_some_and(|digits| {
        let rest = weighted(&digits, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
        digits.last() == Some(&(if rest <= 1 { 0 } else { 11 - rest }))
    })
}

/// South Korea, resident registration number.
fn rrn(text: &str) -> bool {
    digits(text, 13).is_some_and(|digits| {
        let sum = weighted(&digits, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]);
        (1..=12).contains(&number(text, 2, 4)) && digits.last() == Some(&((11 - sum % 11) % 10))
    })
}

/// Australia, tax file number.
fn tfn(text: &str) -> bool {
    digits(text, 9).is_some_and(|digits| weighted(&digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11))
}

#[cfg(test)]
mod tests {
    use super::super::table;

    /// Made up, their check digits reckoned by another program.
    #[test]
    fn check_digits_fit() {
        for (kind, fits, wrong) in [
            ("aadhaar", "718190937865", "718290937865"),
            ("ahv", "7567975432319", "7568975432319"),
            ("bsn", "127684268", "127784268"),
            ("codice-fiscale", "RSSMRA52B07H721M", "RSSMRA62B07H721M"),
            ("cpf", "58887180334", "58897180334"),
            ("cuil", "20616751361", "20626751361"),
            ("curp", "BOXW310820HNERXN09", "BOXW410820HNERXN09"),
            ("dni", "54444634T", "54454634T"),
            ("dni", "X5354930R", "X5364930R"),
            ("my-number", "731322817180", "731422817180"),
            ("nhs", "4610735873", "4611735873"),
            ("nir", "168037560506990", "168137560506990"),
            ("pesel", "95020570493", "95030570493"),
            ("personnummer", "681224-2052", "681324-2052"),
            ("prc-id", "110101197704073312", "110201197704073312"),
            ("rrn", "6211061109841", "6212061109841"),
            ("rut", "155239948", "155339948"),
            ("sin", "442842696", "442942696"),
            ("ssn", "512-48-3307", "912-48-3307"),
            ("steuer-id", "81853048729", "81863048729"),
            ("tfn", "764975545", "764075545"),
            ("nino", "JK 51 33 07 C", "JK 51 33 07 F"),
        ] {
            table(&format!("national-id={kind}"), &[fits], &[wrong, "", "12", "000000000", "ÄÖÜ123456789"]);
        }
    }
}
