//! Where a function returns: a probe may stand on the first byte of an instruction only.

/// The offsets of the instructions by which `code` returns. None where anything in it is not known: then nothing in it is safe.
#[cfg(target_arch = "x86_64")]
pub(super) fn returns(code: &[u8]) -> Vec<usize> {
    use iced_x86::{Code, Decoder, DecoderOptions, Instruction};
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut found = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() {
            return Vec::new();
        }
        if instruction.code() == Code::Retnq {
            found.push(instruction.ip() as usize);
        }
    }
    found
}

/// Each instruction is four bytes: `RET X30`.
#[cfg(target_arch = "aarch64")]
pub(super) fn returns(code: &[u8]) -> Vec<usize> {
    let is_return = |word: &[u8]| word == 0xd65f_03c0_u32.to_le_bytes();
    let words = code.chunks_exact(4).enumerate();
    words.filter(|(_, word)| is_return(word)).map(|(at, _)| at * 4).collect()
}

/// Nobody knows the instructions of this machine here.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn returns(_: &[u8]) -> Vec<usize> {
    Vec::new()
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn only_instructions_that_return_are_found() {
        // mov eax, 0xc3c3c3c3; test eax, eax; je +1; ret; xor eax, eax; ret
        let code = [0xb8, 0xc3, 0xc3, 0xc3, 0xc3, 0x85, 0xc0, 0x74, 0x01, 0xc3, 0x31, 0xc0, 0xc3];
        assert_eq!(returns(&code), [9, 12]);
        assert_eq!(returns(&[0xc3, 0x06]), [0; 0], "not an instruction in 64 bits");
        assert_eq!(returns(&[]), [0; 0]);
    }
}
