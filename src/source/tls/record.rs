//! Records as `tls.bpf.c` writes them.

use crate::model::Endpoint;

/// Bytes of `struct head`, padding and all.
pub(super) const HEAD: usize = 112;
/// `AF_INET`, `AF_INET6`.
const INET: u16 = 2;
const INET6: u16 = 10;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A program handed bytes over or took them.
    Data,
    /// A session is over.
    End,
    /// A process ended.
    Exit,
    /// A process became another program.
    Exec,
}

/// One record; its bytes stand behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Nanoseconds of the clock that no one sets.
    pub(super) time: u64,
    pub(super) session: u64,
    pub(super) born: u64,
    pub(super) missing: u64,
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) what: What,
    pub(super) sent: bool,
    /// Both ends and the network namespace, where they are known: the process's own first.
    pub(super) ends: Option<(Endpoint, Endpoint, u32)>,
    pub(super) name: &'a [u8],
    pub(super) bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// `None` of what this program did not write.
    pub(super) fn read(record: &'a [u8]) -> Option<Self> {
        let (head, rest) = record.split_at_checked(HEAD)?;
        let long = |at: usize| head.get(at..)?.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk));
        let word = |at: usize| head.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk));
        let half = |at: usize| head.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk));
        let what = match head.get(44)? {
            0 => What::Data,
            1 => What::End,
            2 => What::Exit,
            3 => What::Exec,
            _ => return None,
        };
        let end = |at: usize, port: usize| {
            let address = head.get(at..)?;
            match half(84)? {
                INET => Some(Endpoint::v4(*address.first_chunk::<4>()?, half(port)?)),
                INET6 => Some(Endpoint::v6(*address.first_chunk::<16>()?, half(port)?)),
                _ => None,
            }
        };
        let ends = match (end(48, 80), end(64, 82)) {
            (Some(local), Some(remote)) if local.port != 0 && remote.port != 0 => {
                Some((local, remote, word(88)?))
            }
            _ => None,
        };
        let name = head.get(92..108)?.split(|&byte| byte == 0).next().unwrap_or_default();
        Some(Self {
            time: long(0)?,
            session: long(8)?,
            born: long(16)?,
            missing: long(24)?,
            pid: word(32)?,
            uid: word(36)?,
            what,
            sent: *head.get(45)? == 0,
            ends,
            name,
            bytes: rest.get(..word(40)? as usize)?,
        })
    }
}

/// A record as the kernel would write it.
#[cfg(test)]
pub(super) fn write(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = vec![0; HEAD];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    for (at, value) in [(0, record.time), (8, record.session), (16, record.born), (24, record.missing)] {
        put(at, &value.to_ne_bytes());
    }
    for (at, value) in [(32, record.pid), (36, record.uid), (40, record.bytes.len() as u32)] {
        put(at, &value.to_ne_bytes());
    }
    put(44, &[record.what as u8, u8::from(!record.sent)]);
    if let Some((local, remote, namespace)) = record.ends {
        for (at, end) in [(48, local), (64, remote)] {
            match end.ip() {
                std::net::IpAddr::V4(ip) => put(at, &ip.octets()),
                std::net::IpAddr::V6(ip) => put(at, &ip.octets()),
            }
        }
        let family = if local.ip().is_ipv4() { INET } else { INET6 };
        for (at, value) in [(80, local.port), (82, remote.port), (84, family)] {
            put(at, &value.to_ne_bytes());
        }
        put(88, &namespace.to_ne_bytes());
    }
    put(92, record.name);
    bytes.extend_from_slice(record.bytes);
    // There may be more room than bytes.
    bytes.extend([0xff; 7]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let v6 = |last: u8, port| {
            let mut address = [0; 16];
            (address[0], address[15]) = (0xfd, last);
            Endpoint::v6(address, port)
        };
        for ends in [
            None,
            Some((Endpoint::v4([10, 0, 0, 1], 51_000), Endpoint::v4([10, 0, 0, 2], 443), 77)),
            Some((v6(1, 443), v6(2, 51_000), 77)),
        ] {
            for (what, sent) in [
                (What::Data, true),
                (What::Data, false),
                (What::End, true),
                (What::Exit, true),
                (What::Exec, true),
            ] {
                let record = Record {
                    time: 1 << 60,
                    session: 0x7fff_0000_1000,
                    born: 3,
                    missing: 1 << 33,
                    pid: 4242,
                    uid: 1000,
                    what,
                    sent,
                    ends,
                    name: b"curl",
                    bytes: b"GET / HTTP/1.1\r\n",
                };
                assert_eq!(Record::read(&write(&record)), Some(record));
            }
        }
    }

    #[test]
    fn what_breaks_off_is_none() {
        let record = Record {
            time: 0,
            session: 0,
            born: 0,
            missing: 0,
            pid: 1,
            uid: 0,
            what: What::Data,
            sent: true,
            ends: None,
            name: b"",
            bytes: b"abc",
        };
        let mut bytes = write(&record);
        assert!(Record::read(&bytes[..HEAD + 2]).is_none());
        assert!(Record::read(&bytes[..HEAD - 1]).is_none());
        bytes[44] = 9;
        assert!(Record::read(&bytes).is_none());
    }
}
