//! Symbols of a program or library (ELF): which functions it has, and where in the file they lie.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Bytes of a table that are read at most: a larger one is left.
const TABLE: u64 = 256 << 20;
/// Segments and sections at most.
const ENTRIES: usize = 4096;
/// `PT_LOAD`, `STT_FUNC`.
const LOAD: u32 = 1;
const FUNC: u8 = 2;
/// Bytes of an entry: `Elf64_Sym`.
const SYMBOL: usize = 24;

/// Which symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// All there are, where they were not stripped (`SHT_SYMTAB`).
    All = 2,
    /// Those that other files may use (`SHT_DYNSYM`).
    Dynamic = 11,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// Where it begins, in bytes of the file.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) size: u64,
}

/// A file of this format (64 bits, least byte first).
pub(super) struct Elf {
    file: File,
    sections: Vec<Section>,
    segments: Vec<Segment>,
}

struct Section {
    name: u32,
    kind: u32,
    offset: u64,
    size: u64,
    link: u32,
}

struct Segment {
    offset: u64,
    address: u64,
    size: u64,
}

impl Elf {
    /// `None` where it is no such file, or damaged.
    pub(super) fn open(file: File) -> Option<Self> {
        let head = read(&file, 0, 64)?;
        if head.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let table = |at: usize, size: usize, count: usize| {
            let (offset, size) = (u64_at(&head, at)?, usize::from(u16_at(&head, size)?));
            let count = usize::from(u16_at(&head, count)?).min(ENTRIES);
            let bytes = read(&file, offset, (size * count) as u64)?;
            Some((bytes, size.max(1)))
        };
        let (bytes, size) = table(32, 54, 56)?;
        let segments = bytes.chunks_exact(size).filter(|entry| u32_at(entry, 0) == Some(LOAD));
        let segment = |entry: &[u8]| {
            Some(Segment { offset: u64_at(entry, 8)?, address: u64_at(entry, 16)?, size: u64_at(entry, 32)? })
        };
        let segments = segments.filter_map(segment).collect();
        let (bytes, size) = table(40, 58, 60)?;
        let section = |entry: &[u8]| {
            Some(Section {
                name: u32_at(entry, 0)?,
                kind: u32_at(entry, 4)?,
                offset: u64_at(entry, 24)?,
                size: u64_at(entry, 32)?,
                link: u32_at(entry, 40)?,
            })
        };
        let sections: Vec<Section> = bytes.chunks_exact(size).filter_map(section).collect();
        Some(Self { file, sections, segments })
    }

    /// The functions of a table whose names are wanted, each name once; of a table that has none of the `marks` nothing more is
    /// read than its names.
    pub(super) fn functions(
        &self,
        table: Table,
        marks: &[&str],
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Vec<Function> {
        let mut found: Vec<Function> = Vec::new();
        for section in self.sections.iter().filter(|section| section.kind == table as u32) {
            // What is damaged has no functions.
            let _ = self.of_table(section, marks, &wanted, &mut found);
        }
        found
    }

    fn of_table(
        &self,
        table: &Section,
        marks: &[&str],
        wanted: &impl Fn(&[u8]) -> bool,
        found: &mut Vec<Function>,
    ) -> Option<()> {
        let texts = self.sections.get(table.link as usize)?;
        let names = read(&self.file, texts.offset, texts.size)?;
        if !marks.iter().any(|mark| memchr::memmem::find(&names, mark.as_bytes()).is_some()) {
            return None;
        }
        let symbols = read(&self.file, table.offset, table.size)?;
        for symbol in symbols.chunks_exact(SYMBOL) {
            let (Some(name), Some(&info)) = (u32_at(symbol, 0), symbol.get(4)) else { continue };
            let (Some(address), Some(size)) = (u64_at(symbol, 8), u64_at(symbol, 16)) else { continue };
            if info & 0xf != FUNC || address == 0 {
                continue;
            }
            let rest = names.get(name as usize..).unwrap_or_default();
            let name = rest.split(|&byte| byte == 0).next().unwrap_or_default();
            let name = name.split(|&byte| byte == b'@').next().unwrap_or_default();
            if !wanted(name) || found.iter().any(|known| known.name.as_bytes() == name) {
                continue;
            }
            let Some(offset) = self.offset(address) else { continue };
            found.push(Function { name: String::from_utf8_lossy(name).into_owned(), offset, size });
        }
        Some(())
    }

    /// Where in the file lies what is loaded at `address`.
    fn offset(&self, address: u64) -> Option<u64> {
        let segment = self
            .segments
            .iter()
            .find(|segment| address.checked_sub(segment.address).is_some_and(|at| at < segment.size))?;
        Some(address - segment.address + segment.offset)
    }

    /// The bytes of a function.
    pub(super) fn code(&self, function: &Function) -> Option<Vec<u8>> {
        read(&self.file, function.offset, function.size.min(1 << 20))
    }

    /// The first `most` bytes of the section of this name.
    pub(super) fn section(&self, name: &str, most: u64) -> Option<Vec<u8>> {
        let mut head = [0; 2];
        self.file.read_exact_at(&mut head, 62).ok()?;
        let texts = self.sections.get(usize::from(u16::from_le_bytes(head)))?;
        let names = read(&self.file, texts.offset, texts.size)?;
        let section = self.sections.iter().find(|section| {
            let rest = names.get(section.name as usize..).unwrap_or_default();
            rest.split(|&byte| byte == 0).next() == Some(name.as_bytes())
        })?;
        read(&self.file, section.offset, section.size.min(most))
    }
}

fn read(file: &File, offset: u64, size: u64) -> Option<Vec<u8>> {
    let length = file.metadata().ok()?.len();
    // What a damaged head says must not cost memory.
    if size > TABLE || offset.checked_add(size)? > length {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn own() -> Vec<u8> {
        fs::read("/proc/self/exe").unwrap()
    }

    fn open(bytes: &[u8]) -> Option<Elf> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Elf::open(file)
    }

    #[test]
    fn the_functions_of_this_program_are_found() {
        let elf = Elf::open(File::open("/proc/self/exe").unwrap()).unwrap();
        let found =
            elf.functions(Table::All, &["main"], |name| name == b"main" || name == b"no_such_function");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(elf.functions(Table::All, &["no_such_function"], |_| true).is_empty());
        assert!(found[0].size > 0 && found[0].offset > 64);
        assert_eq!(elf.code(&found[0]).unwrap().len() as u64, found[0].size);
        assert!(elf.section(".text", 16).is_some_and(|text| text.len() == 16));
        assert!(elf.section(".no-such-section", 16).is_none());
    }

    #[test]
    fn what_is_no_program_has_no_functions() {
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0; 4096]] {
            assert!(open(bytes).is_none());
        }
        let head = own().into_iter().take(64).collect::<Vec<u8>>();
        assert!(open(&head).is_none(), "it breaks off");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_damaged_does_no_harm(changes in prop::collection::vec((0_usize..4096, any::<u8>()), 1..40)) {
            // Its head, with tables that lie within.
            let mut bytes: Vec<u8> = own().into_iter().take(64 << 10).collect();
            for (at, value) in changes {
                bytes[at % 64] = value;
                bytes[at] = value;
            }
            if let Some(elf) = open(&bytes) {
                elf.functions(Table::All, &[""], |_| true);
                elf.functions(Table::Dynamic, &[""], |_| true);
                elf.section(".text", 1 << 20);
            }
        }
    }
}
