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
    /// Of the connection itself: one buffer, or a list of them.
    RustlsHand,
    RustlsHandAll,
    /// Of what borrows it.
    RustlsWriterHand,
    RustlsWriterHandAll,
    RustlsTake,
    RustlsFree,
    /// Makes one.
    RustlsBegin,
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

/// Functions of rustls, by what stands in their names as Rust mangles them now (v0) and as it did before: modules differ by version,
/// and hashes follow.
const RUSTLS: [(&[&str], &[&str], Does); 8] = [
    (
        &["_RNvX", "6rustls4conn", "16ConnectionCommon", "13PlaintextSink5write"],
        &["$LT$rustls..conn..ConnectionCommon$LT$", "PlaintextSink$GT$5write17h"],
        Does::RustlsHand,
    ),
    (
        &["_RNvX", "6rustls4conn", "16ConnectionCommon", "13PlaintextSink14write_vectored"],
        &["$LT$rustls..conn..ConnectionCommon$LT$", "PlaintextSink$GT$14write_vectored17h"],
        Does::RustlsHandAll,
    ),
    (
        &["_RNvX", "6rustls4conn", "6Writer", "2io5Write5write"],
        &["$LT$rustls..conn..", "Writer$u20$as$u20$", "io..Write$GT$5write17h"],
        Does::RustlsWriterHand,
    ),
    (
        &["_RNvX", "6rustls4conn", "6Writer", "2io5Write14write_vectored"],
        &["$LT$rustls..conn..", "Writer$u20$as$u20$", "io..Write$GT$14write_vectored17h"],
        Does::RustlsWriterHandAll,
    ),
    (
        &["_RNvX", "6rustls4conn", "6Reader", "2io4Read4read"],
        &["$LT$rustls..conn..", "Reader$u20$as$u20$", "io..Read$GT$4read17h"],
        Does::RustlsTake,
    ),
    (
        &["_RINv", "13drop_in_place", "6rustls4conn16ConnectionCommon"],
        &["drop_in_place$LT$rustls..conn..ConnectionCommon$LT$"],
        Does::RustlsFree,
    ),
    (&["_RNv", "6rustls6client", "10for_client"], &["6rustls6client", "10for_client17h"], Does::RustlsBegin),
    (&["_RNv", "6rustls6server", "10for_server"], &["6rustls6server", "10for_server17h"], Does::RustlsBegin),
];
/// What a table of names has in it that has names of these.
const RUSTLS_MARKS: [&str; 2] = ["6rustls4conn", "$LT$rustls..conn.."];

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
    let wanted = |name: &[u8]| match name.first() {
        Some(b'S' | b'g' | b'P' | b'c') => names.contains(&name),
        Some(b'_') => of_name(name).is_some(),
        _ => false,
    };
    let marks: Vec<&str> = FAMILIES
        .iter()
        .filter_map(|family| family.needs.first().copied())
        .chain(GO.iter().map(|(name, _)| *name).take(1))
        .chain(RUSTLS_MARKS)
        .collect();
    // What others may call is a short list; all there is, of a large program, is megabytes.
    of_family(&elf.functions(Table::Dynamic, &marks, wanted)).or_else(|| {
        let functions = elf.functions(Table::All, &marks, wanted);
        of_family(&functions).or_else(|| of_go(&elf, &functions)).or_else(|| of_rustls(&functions))
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

/// Without the function that frees a connection, which optimization of whole programs may take away, the next in its place would be
/// taken for it.
fn of_rustls(functions: &[Function]) -> Option<Watched> {
    let mut all: Vec<(usize, Does)> = functions
        .iter()
        .filter_map(|function| Some((function.offset as usize, of_name(function.name.as_bytes())?)))
        .collect();
    all.sort_unstable_by_key(|(offset, does)| (*offset, *does as u64));
    all.dedup_by_key(|(offset, _)| *offset);
    let has = |wanted: Does| all.iter().any(|(_, does)| *does == wanted);
    // Who borrows it only calls it.
    let is_itself = has(Does::RustlsHand);
    let is_whole = has(Does::RustlsFree) && (is_itself || has(Does::RustlsWriterHand));
    all.retain(|(_, does)| !is_itself || !matches!(does, Does::RustlsWriterHand | Does::RustlsWriterHandAll));
    let is_call = |does: Does| !matches!(does, Does::RustlsFree | Does::RustlsBegin);
    let returns = all.iter().copied().filter(|(_, does)| is_call(*does)).collect();
    is_whole.then_some(Watched { family: "rustls", begins: all, returns })
}

/// What a function of rustls does.
fn of_name(name: &[u8]) -> Option<Does> {
    let has = |parts: &[&str]| parts.iter().all(|part| memchr::memmem::find(name, part.as_bytes()).is_some());
    RUSTLS
        .iter()
        .find(|(new, old, _)| if name.starts_with(b"_R") { has(new) } else { has(old) })
        .map(|(.., does)| *does)
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
            (Does::RustlsHand, "RUSTLS_HANDING"),
            (Does::RustlsTake, "RUSTLS_TAKING"),
            (Does::RustlsBegin, "RUSTLS_BEGINNING"),
        ] {
            assert_eq!(names.get(does as usize - 1), Some(&name));
        }
        assert_eq!(names.len(), Does::RustlsBegin as usize);
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
    fn functions_of_rustls_are_known_by_their_names() {
        use Does::{RustlsFree, RustlsHand, RustlsHandAll, RustlsTake, RustlsWriterHand};
        let sink = "_ZN99_$LT$rustls..conn..ConnectionCommon$LT$T$GT$$u20$as$u20$rustls..conn..connection..PlaintextSink$GT$";
        let v0 = "_RNvXNtNtCs1PVf_6rustls4conn10connectionINtB4_16ConnectionCommonNtB2_20ClientConnectionDataENtB2_13PlaintextSink";
        for (name, does) in [
            (format!("{sink}5write17h98dd407603f7a85fE"), Some(RustlsHand)),
            (format!("{sink}14write_vectored17h3defb0ccd134ab15E.llvm.123"), Some(RustlsHandAll)),
            (format!("{sink}5flush17h98dd407603f7a85fE"), None),
            (format!("{v0}5writeB6_"), Some(RustlsHand)),
            (format!("{v0}14write_vectoredB6_"), Some(RustlsHandAll)),
            (format!("{v0}5flushB6_"), None),
            (
                "_ZN66_$LT$rustls..conn..connection..Reader$u20$as$u20$std..io..Read$GT$4read17h2110e3c674f2e848E".to_owned(),
                Some(RustlsTake),
            ),
            (
                "_ZN54_$LT$rustls..conn..Writer$u20$as$u20$std..io..Write$GT$5write17h8b87c7039eed25b6E".to_owned(),
                Some(RustlsWriterHand),
            ),
            ("_RNvXs0_NtNtCs1PVf_6rustls4conn10connectionNtB5_6ReaderNtNtCsjr_3std2io4Read4read".to_owned(), Some(RustlsTake)),
            ("_RNCNvXs0_NtNtCs1PVf_6rustls4conn10connectionNtB5_6ReaderNtNtCsjr_3std2io4Read4read0B7_".to_owned(), None),
            (
                "_RINvNtCsgE_4core3ptr13drop_in_placeINtNtCs1PVf_6rustls4conn16ConnectionCommonNtNtBJ_10connection20ClientConnectionDataEEBL_".to_owned(),
                Some(RustlsFree),
            ),
            (
                "_ZN6rustls6client11client_conn103_$LT$impl$u20$rustls..conn..ConnectionCore$LT$D$GT$$GT$10for_client17h0E".to_owned(),
                Some(Does::RustlsBegin),
            ),
            ("_ZN4core3ptr49drop_in_place$LT$alloc..string..String$GT$17h0E".to_owned(), None),
        ] {
            assert_eq!(of_name(name.as_bytes()), does, "{name}");
        }
    }

    #[test]
    fn rustls_is_watched_where_its_connections_are_seen_to_end() {
        // As this program has it, which sends to webhooks.
        let this = watched(&File::open("/proc/self/exe").unwrap()).unwrap();
        let has = |list: &[(usize, Does)], wanted| list.iter().any(|(_, does)| *does == wanted);
        assert_eq!(this.family, "rustls");
        for does in [Does::RustlsHand, Does::RustlsTake] {
            assert!(has(&this.begins, does) && has(&this.returns, does), "{this:?}");
        }
        assert!(has(&this.begins, Does::RustlsFree) && !has(&this.returns, Does::RustlsFree), "{this:?}");
        assert!(!has(&this.begins, Does::RustlsWriterHand), "{this:?}");
        let hand = "_RNvX6rustls4conn6Writer2io5Write5write";
        let free = "_RINv13drop_in_place6rustls4conn16ConnectionCommon";
        assert_eq!(of_rustls(&functions(&[hand])), None);
        let watched = of_rustls(&functions(&[hand, free])).unwrap();
        assert_eq!(watched.begins, [(100, Does::RustlsWriterHand), (101, Does::RustlsFree)]);
        assert_eq!(watched.returns, [(100, Does::RustlsWriterHand)]);
    }

    #[test]
    fn what_is_no_program_is_not_watched() {
        assert_eq!(watched(&File::open("/dev/null").unwrap()), None);
    }
}
