//! Which functions of a program or library take clear text or give it, by the names of its symbols.

use std::fs::File;
use std::path::Path;

use super::elf::{Elf, Function};

/// What is watched of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    /// What the file is or has in it.
    pub(super) family: &'static str,
    /// What is to be attached where.
    pub(super) probes: Vec<Probe>,
}

/// A program in the kernel, and where in the file it is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) program: &'static str,
    /// In bytes of the file.
    pub(super) offsets: Vec<usize>,
    /// Where the functions there return, not where they begin.
    pub(super) returns: bool,
}

/// A family of libraries.
struct Family {
    name: &'static str,
    /// Without these it is not one.
    needs: &'static [&'static str],
    /// Each function, the program that runs where it begins, and whether what it returns matters, too.
    functions: &'static [(&'static str, &'static str, bool)],
    /// The program that runs where those return.
    done: &'static str,
}

/// BoringSSL has the names of OpenSSL. `SSL_peek` takes nothing.
const FAMILIES: [Family; 4] = [
    Family {
        name: "OpenSSL",
        needs: &["SSL_read", "SSL_write", "SSL_free"],
        functions: &[
            ("SSL_write", "handing", true),
            ("SSL_read", "taking", true),
            ("SSL_write_ex", "handing_ex", true),
            ("SSL_read_ex", "taking_ex", true),
            ("SSL_do_handshake", "shaking", true),
            ("SSL_free", "freeing", false),
        ],
        done: "done",
    },
    Family {
        name: "GnuTLS",
        needs: &["gnutls_record_recv", "gnutls_record_send", "gnutls_deinit"],
        functions: &[
            ("gnutls_record_send", "handing", true),
            ("gnutls_record_send2", "handing", true),
            ("gnutls_record_recv", "taking", true),
            ("gnutls_record_recv_seq", "taking", true),
            ("gnutls_handshake", "shaking", true),
            ("gnutls_deinit", "freeing", false),
        ],
        done: "done",
    },
    // What reads and writes is of files and sockets, too: only what was imported is TLS.
    Family {
        name: "NSS",
        needs: &["SSL_ImportFD", "SSL_ForceHandshake"],
        functions: &[("SSL_ImportFD", "", true)],
        done: "nss_imported",
    },
    Family {
        name: "NSPR",
        needs: &["PR_Read", "PR_Write", "PR_Close"],
        functions: &[
            ("PR_Write", "nss_handing", true),
            ("PR_Send", "nss_handing", true),
            ("PR_Read", "nss_taking", true),
            ("PR_Recv", "nss_receiving", true),
            ("PR_Close", "freeing", false),
        ],
        done: "done",
    },
];

/// Functions of Go's `crypto/tls`, and the program that runs where each begins.
const GO: [(&str, &str); 3] = [
    ("crypto/tls.(*Conn).Write", "go_handing"),
    ("crypto/tls.(*Conn).Read", "go_taking"),
    ("crypto/tls.(*Conn).Close", "go_closing"),
];

/// What is to be watched of a file; `None` where it has nothing to do with TLS.
pub(super) fn watched(path: &Path) -> Option<Watched> {
    let elf = Elf::open(File::open(path).ok()?)?;
    let names: Vec<&[u8]> = FAMILIES
        .iter()
        .flat_map(|family| family.needs.iter().chain(family.functions.iter().map(|(name, ..)| name)))
        .chain(GO.iter().map(|(name, _)| name))
        .map(|name| name.as_bytes())
        .collect();
    // Few names begin like any of these.
    let functions = elf
        .functions(|name| matches!(name.first(), Some(b'S' | b'g' | b'P' | b'c')) && names.contains(&name));
    of_family(&functions).or_else(|| of_go(&elf, &functions))
}

fn of_family(functions: &[Function]) -> Option<Watched> {
    let find = |name: &str| functions.iter().find(|function| function.name == name);
    let family = FAMILIES.iter().find(|family| family.needs.iter().all(|name| find(name).is_some()))?;
    let mut probes: Vec<Probe> = Vec::new();
    // Programs that run where functions return come first: of a call that is noted the end is seen.
    let returns = family.functions.iter().filter(|(.., returns)| *returns);
    let offsets: Vec<usize> =
        returns.filter_map(|(name, ..)| find(name)).map(|function| function.offset as usize).collect();
    probes.push(Probe { program: family.done, offsets, returns: true });
    for &(name, program, _) in family.functions {
        let Some(function) = find(name).filter(|_| !program.is_empty()) else { continue };
        let offset = function.offset as usize;
        match probes.iter_mut().find(|probe| probe.program == program) {
            Some(probe) => probe.offsets.push(offset),
            None => probes.push(Probe { program, offsets: vec![offset], returns: false }),
        }
    }
    Some(Watched { family: family.name, probes })
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
    if returns.is_empty() {
        return None;
    }
    let offsets = returns.iter().map(|at| read.offset as usize + at).collect();
    let mut probes = vec![Probe { program: "go_taken", offsets, returns: false }];
    for (name, program) in GO {
        let offset = find(name)?.offset as usize;
        probes.push(Probe { program, offsets: vec![offset], returns: false });
    }
    Some(Watched { family: "Go", probes })
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
        for (names, family, probes) in [
            (
                &["SSL_read", "SSL_write", "SSL_free", "SSL_do_handshake"][..],
                "OpenSSL",
                "done@103,100,101 shaking@103 taking@100 handing@101 freeing@102",
            ),
            (
                &["gnutls_record_send", "gnutls_record_send2", "gnutls_record_recv", "gnutls_deinit"],
                "GnuTLS",
                "done@100,101,102 handing@100,101 taking@102 freeing@103",
            ),
            (&["SSL_ImportFD", "SSL_ForceHandshake"], "NSS", "nss_imported@100"),
            (
                &["PR_Read", "PR_Write", "PR_Close"],
                "NSPR",
                "done@101,100 nss_handing@101 nss_taking@100 freeing@102",
            ),
        ] {
            let watched = of_family(&functions(names)).unwrap();
            assert_eq!(watched.family, family);
            let sorted = |text: &mut dyn Iterator<Item = String>| {
                let mut parts: Vec<String> = text
                    .map(|part| {
                        let (name, at) = part.split_once('@').unwrap();
                        let mut at: Vec<&str> = at.split(',').collect();
                        at.sort_unstable();
                        format!("{name}@{}", at.join(","))
                    })
                    .collect();
                parts.sort();
                parts
            };
            let told = watched.probes.iter().map(|probe| {
                assert_eq!(probe.returns, probe.program.ends_with("done") || probe.program == "nss_imported");
                let offsets: Vec<String> = probe.offsets.iter().map(ToString::to_string).collect();
                format!("{}@{}", probe.program, offsets.join(","))
            });
            assert_eq!(
                sorted(&mut told.into_iter()),
                sorted(&mut probes.split(' ').map(str::to_owned)),
                "{family}"
            );
        }
        for names in [&["SSL_read"][..], &["PR_Read", "PR_Write"], &[]] {
            assert_eq!(of_family(&functions(names)), None, "{names:?}");
        }
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
        assert_eq!(watched(Path::new("/proc/self/exe")), None);
        assert_eq!(watched(Path::new("/no/such/file")), None);
    }
}
