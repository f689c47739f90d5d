//! Colours as terminals of sixteen know them: the library asks for the same ones as of two hundred and fifty-six (`38;5;1`), which the
//! former take for something else.

use std::io::{self, Write};

/// Longest sequence that is looked into, in bytes.
const LONGEST: usize = 64;

/// Writes what it is given with the colours put so (ECMA-48 section 8.3.117 and its common extension `90` to `107`), in one go.
#[derive(Debug)]
pub(super) struct Sixteen<W: Write> {
    out: W,
    waiting: Vec<u8>,
}

impl<W: Write> Sixteen<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, waiting: Vec::new() }
    }
}

impl<W: Write> Write for Sixteen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.waiting);
        self.out.write_all(&plainer(&text))?;
        self.out.flush()
    }
}

/// The same text with its colours put in another way.
fn plainer(text: &[u8]) -> Vec<u8> {
    let mut plainer = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"\x1b[") {
        let (before, sequence) = rest.split_at(at + 2);
        plainer.extend_from_slice(before);
        let end = sequence.iter().take(LONGEST).position(|byte| (0x40..=0x7e).contains(byte));
        let Some((inner, behind)) = end.and_then(|end| sequence.split_at_checked(end)) else {
            rest = sequence;
            continue;
        };
        if behind.first() == Some(&b'm') {
            colours(inner, &mut plainer);
        } else {
            plainer.extend_from_slice(inner);
        }
        rest = behind;
    }
    plainer.extend_from_slice(rest);
    plainer
}

/// Puts the numbers of one sequence.
fn colours(inner: &[u8], to: &mut Vec<u8>) {
    let numbers: Vec<&[u8]> = inner.split(|&byte| byte == b';').collect();
    let mut at = 0;
    while let Some(number) = numbers.get(at) {
        if at > 0 {
            to.push(b';');
        }
        let base = match *number {
            b"38" => Some(30_u16),
            b"48" => Some(40),
            _ => None,
        };
        let colour =
            numbers.get(at + 2).and_then(|colour| std::str::from_utf8(colour).ok()?.parse::<u16>().ok());
        match (base, numbers.get(at + 1), colour) {
            (Some(base), Some(&b"5"), Some(colour @ 0..=15)) => {
                // The brighter eight stand sixty further on.
                let code = base + colour % 8 + if colour >= 8 { 60 } else { 0 };
                to.extend_from_slice(code.to_string().as_bytes());
                at += 3;
            }
            _ => {
                to.extend_from_slice(number);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_put_as_every_terminal_knows_them() {
        for (text, expected) in [
            ("plain", "plain"),
            ("\x1b[38;5;1mred\x1b[0m", "\x1b[31mred\x1b[0m"),
            ("\x1b[38;5;0;48;5;7mbar", "\x1b[30;47mbar"),
            ("\x1b[1m\x1b[38;5;15;48;5;9;4mx", "\x1b[1m\x1b[97;101;4mx"),
            ("\x1b[38;5;196mx", "\x1b[38;5;196mx"),
            ("\x1b[38;2;1;2;3mx", "\x1b[38;2;1;2;3mx"),
            ("\x1b[39m\x1b[49m", "\x1b[39m\x1b[49m"),
            ("\x1b[38;5Hx", "\x1b[38;5Hx"),
            ("\x1b[?25l 38;5;1m", "\x1b[?25l 38;5;1m"),
            ("\x1b[m\x1b[", "\x1b[m\x1b["),
            ("\x1b[38;5", "\x1b[38;5"),
        ] {
            let mut out = Sixteen::new(Vec::new());
            out.write_all(text.as_bytes()).unwrap();
            assert!(out.out.is_empty(), "all in one go");
            out.flush().unwrap();
            assert_eq!(String::from_utf8(out.out).unwrap(), expected);
        }
    }
}
