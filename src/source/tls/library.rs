//! Which functions of a program or library take clear text or give it, by the names of its symbols.

use std::fs::File;

use super::elf::{Elf, Function, Table};

/// What is watched of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    /// What the file is or has in it.
    pub(super) family: &'static str,
    /// Where in the file, in bytes, which function begins.
    pub(super) begins: Vec<(usize, Does)>,
    /// Those of which it matters, too, what they return.
    pub(super) returns: Vec<(usize, Does)>,
}

/// What a function does; the program in the kernel knows it by this number (`enum function` of `tls.bpf.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Takes clear text: session, buffer, length; gives the length taken.
    Hand = 1,
    /// Gives clear text, in the same way.
    Take,
    /// As these; the length is written where the fourth argument says.
    HandEx,
    TakeEx,
    Shake,
    Free,
    NssHand,
    NssTake,
    NssReceive,
    NssImport,
    GoHand,
    GoTake,
    GoTaken,
    GoClose,
}

/// A family of libraries.
struct Family {
    name: &'static str,
    /// Without these it is not one.
    needs: &'static [&'static str],
    functions: &'static [(&'static str, Does)],
}

/// BoringSSL has the names of OpenSSL. `SSL_peek` takes nothing.
const FAMILIES: [Family; 4] = [
    Family {
        name: "OpenSSL",
        needs: &["SSL_do_handshake", "SSL_read", "SSL_write", "SSL_free"],
        functions: &[
            ("SSL_write", Does::Hand),
            ("SSL_read", Does::Take),
            ("SSL_write_ex", Does::HandEx),
            ("SSL_read_ex", Does::TakeEx),
            ("SSL_do_handshake", Does::Shake),
            ("SSL_free", Does::Free),
        ],
    },
    Family {
        name: "GnuTLS",
        needs: &["gnutls_record_recv", "gnutls_record_send", "gnutls_deinit"],
        functions: &[
            ("gnutls_record_send", Does::Hand),
            ("gnutls_record_send2", Does::Hand),
            ("gnutls_record_recv", Does::Take),
            ("gnutls_record_recv_seq", Does::Take),
            ("gnutls_handshake", Does::Shake),
            ("gnutls_deinit", Does::Free),
        ],
    },
    // What reads and writes (NSPR) is of files and sockets, too: only what was imported is TLS.
    Family {
        name: "NSS",
        needs: &["SSL_ImportFD", "SSL_ForceHandshake"],
        functions: &[("SSL_ImportFD", Does::NssImport)],
    },
    Family {
        name: "NSPR",
        needs: &["PR_Write", "PR_Read", "PR_Close"],
        functions: &[
            ("PR_Write", Does::NssHand),
            ("PR_Send", Does::NssHand),
            ("PR_Read", Does::NssTake),
            ("PR_Recv", Does::NssReceive),
            ("PR_Close", Does::Free),
        ],
    },
];

/// Functions of Go's `crypto/tls`.
const GO: [(&str, Does); 3] = [
    ("crypto/tls.(*Conn).Write", Does::GoHand),
    ("crypto/tls.(*Conn).Read", Does::GoTake),
    ("crypto/tls.(*Conn).Close", Does::GoClose),
];

/// What is to be watched of a file; `None` where it has nothing to do with TLS.
pub(super) fn watched(file: &File) -> Option<Watched> {
    let elf = Elf::open(file.try_clone().ok()?)?;
    let names: Vec<&[u8]> = FAMILIES
        .iter()
        .flat_map(|family| family.needs.iter().chain(family.functions.iter().map(|(name, ..)| name)))
        .chain(GO.iter().map(|(name, _)| name))
        .map(|name| name.as_bytes())
        .collect();
    // Few names begin like any of these.
    let wanted =
        |name: &[u8]| matches!(name.first(), Some(b'S' | b'g' | b'P' | b'c')) && names.contains(&name);
    let marks: Vec<&str> = FAMILIES
        .iter()
        .filter_map(|family| family.needs.first().copied())
        .chain(GO.iter().map(|(name, _)| *name).take(1))
        .collect();
    // What others may call is a short list; all there is, of a large program, is megabytes.
    of_family(&elf.functions(Table::Dynamic, &marks, wanted)).or_else(|| {
        let functions = elf.functions(Table::All, &marks, wanted);
        of_family(&functions).or_else(|| of_go(&elf, &functions))
    })
}

fn of_family(functions: &[Function]) -> Option<Watched> {
    let find = |name: &str| functions.iter().find(|function| function.name == name);
    let family = FAMILIES.iter().find(|family| family.needs.iter().all(|name| find(name).is_some()))?;
    let places =
        family.functions.iter().filter_map(|&(name, does)| Some((find(name)?.offset as usize, does)));
    let all: Vec<(usize, Does)> = places.collect();
    let some = |wanted: fn(Does) -> bool| all.iter().copied().filter(|(_, does)| wanted(*does)).collect();
    Some(Watched {
        family: family.name,
        begins: some(|does| does != Does::NssImport),
        returns: some(|does| does != Does::Free),
    })
}

/// A Go program hands arguments over in registers since 1.17; a program of before says its version in another way. Where a
/// function returns cannot be watched as elsewhere, because stacks move: each of its `RET` is, instead.
fn of_go(elf: &Elf, functions: &[Function]) -> Option<Watched> {
    let find = |name: &str| functions.iter().find(|function| function.name == name);
    let read = find("crypto/tls.(*Conn).Read")?;
    if !has_inline_version(&elf.section(".go.buildinfo", 64)?) {
        return None;
    }
    let returns = super::code::returns(&elf.code(read)?);
    let mut begins: Vec<(usize, Does)> =
        returns.iter().map(|at| (read.offset as usize + at, Does::GoTaken)).collect();
    if begins.is_empty() {
        return None;
    }
    for (name, does) in GO {
        begins.push((find(name)?.offset as usize, does));
    }
    Some(Watched { family: "Go", begins, returns: Vec::new() })
}

/// Whether the information about the build is of Go 1.18 or later (`debug/buildinfo`): the second flag says that strings follow.
fn has_inline_version(section: &[u8]) -> bool {
    section.starts_with(b"\xff Go buildinf:") && section.get(15).is_some_and(|flags| flags & 2 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(names: &[&str]) -> Vec<Function> {
        let each = names.iter().enumerate();
        each.map(|(at, name)| Function { name: (*name).to_owned(), offset: 100 + at as u64, size: 9 })
            .collect()
    }

    #[test]
    fn families_are_known_by_their_functions() {
        use Does::{Free, Hand, NssHand, NssImport, NssTake, Shake, Take};
        for (names, family, begins, returns) in [
            (
                &["SSL_read", "SSL_write", "SSL_free", "SSL_do_handshake"][..],
                "OpenSSL",
                vec![(101, Hand), (100, Take), (103, Shake), (102, Free)],
                vec![(101, Hand), (100, Take), (103, Shake)],
            ),
            (
                &["gnutls_record_send", "gnutls_record_send2", "gnutls_record_recv", "gnutls_deinit"],
                "GnuTLS",
                vec![(100, Hand), (101, Hand), (102, Take), (103, Free)],
                vec![(100, Hand), (101, Hand), (102, Take)],
            ),
            (&["SSL_ImportFD", "SSL_ForceHandshake"], "NSS", vec![], vec![(100, NssImport)]),
            (
                &["PR_Read", "PR_Write", "PR_Close"],
                "NSPR",
                vec![(101, NssHand), (100, NssTake), (102, Free)],
                vec![(101, NssHand), (100, NssTake)],
            ),
        ] {
            assert_eq!(of_family(&functions(names)), Some(Watched { family, begins, returns }));
        }
        for names in [&["SSL_read", "SSL_write", "SSL_free"][..], &["PR_Read", "PR_Write"], &[]] {
            assert_eq!(of_family(&functions(names)), None, "{names:?}");
        }
    }

    #[test]
    fn the_numbers_are_those_of_the_program_in_the_kernel() {
        let text = include_str!("tls.bpf.c");
        let list = text.split_once("enum function {").unwrap().1.split_once('}').unwrap().0;
        let names: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        assert_eq!(names.first(), Some(&"HANDING = 1"));
        for (does, name) in [
            (Does::Shake, "SHAKING"),
            (Does::NssImport, "NSS_IMPORTED"),
            (Does::GoTaken, "GO_TAKEN"),
            (Does::GoClose, "GO_CLOSING"),
        ] {
            assert_eq!(names.get(does as usize - 1), Some(&name));
        }
        assert_eq!(names.len(), Does::GoClose as usize);
    }

    #[test]
    fn a_program_of_old_go_is_left() {
        let mut section = b"\xff Go buildinf:\x08\x02".to_vec();
        section.extend([0; 16]);
        assert!(has_inline_version(&section));
        section[15] = 0;
        assert!(!has_inline_version(&section));
        assert!(!has_inline_version(b"\xff Go"));
    }

    #[test]
    fn this_program_is_not_watched() {
        assert_eq!(watched(&File::open("/proc/self/exe").unwrap()), None);
        assert_eq!(watched(&File::open("/dev/null").unwrap()), None);
    }
}
