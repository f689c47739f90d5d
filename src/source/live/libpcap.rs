//! Frames from libpcap, on any system it runs on.

use std::os::fd::AsFd as _;

use pcap::{Active, Capture, Error, Precision};

use super::{Backend, Captured, Gone, Settings, wait};
use crate::model::{LinkType, Timestamp};
use crate::source::SourceError;
use crate::source::filter::libpcap::reason;

/// Longer frames are cut; loopback and virtual interfaces deliver up to 64 KiB, BIG TCP more.
const SNAPLEN: i32 = 262_144;
/// Milliseconds after which frames are handed over. Never "immediate mode", which loses a third of them under load.
const TIMEOUT: i32 = 50;

/// An open libpcap handle.
pub(super) struct Libpcap {
    handle: Capture<Active>,
    link: LinkType,
    is_dry: bool,
    dropped: u32,
}

impl Libpcap {
    pub(super) fn open(name: &str, settings: &Settings) -> Result<Self, SourceError> {
        let opened = Capture::from_device(name).and_then(|inactive| {
            inactive
                .snaplen(SNAPLEN)
                .timeout(TIMEOUT)
                .buffer_size(i32::try_from(settings.buffer).unwrap_or(i32::MAX))
                .promisc(settings.promiscuous && name != super::ANY)
                .precision(Precision::Nano)
                .open()
                .and_then(Capture::setnonblock)
        });
        let mut handle = opened.map_err(|error| refused(name, error))?;
        let link = LinkType(file_number(handle.get_datalink().0));
        if let Some(expression) = &settings.filter {
            handle.filter(expression, true).map_err(|error| SourceError::Filter {
                filter: expression.clone(),
                reason: reason(error),
                link: Some(link),
            })?;
        }
        Ok(Self { handle, link, is_dry: false, dropped: 0 })
    }
}

impl Backend for Libpcap {
    fn next(&mut self) -> Result<Option<Captured<'_>>, Gone> {
        if self.is_dry {
            self.is_dry = false;
            wait(self.handle.as_fd());
        }
        match self.handle.next_packet() {
            Ok(packet) => {
                let header = packet.header;
                // With nanoseconds asked for, that is what stands in the field of the microseconds.
                let nanos = header.ts.tv_sec.saturating_mul(1_000_000_000).saturating_add(header.ts.tv_usec);
                Ok(Some(Captured {
                    time: Timestamp::from_nanos(nanos),
                    link: self.link,
                    bytes: packet.data,
                    original_len: header.len,
                }))
            }
            Err(Error::TimeoutExpired | Error::NoMorePackets) => {
                self.is_dry = true;
                Ok(None)
            }
            Err(_) => Err(Gone),
        }
    }

    fn dropped(&mut self) -> u64 {
        let Ok(stats) = self.handle.stats() else { return 0 };
        let since = stats.dropped.wrapping_sub(self.dropped);
        self.dropped = stats.dropped;
        u64::from(since)
    }
}

/// libpcap says `DLT_` numbers, files `LINKTYPE_` numbers; of those read here only raw IP differs.
fn file_number(data_link: i32) -> u32 {
    match data_link {
        12 | 14 => LinkType::RAW.0,
        other => u32::try_from(other).unwrap_or(u32::MAX),
    }
}

fn refused(name: &str, error: Error) -> SourceError {
    let reason = reason(error);
    let lower = reason.to_lowercase();
    if lower.contains("permission") || lower.contains("operation not permitted") {
        SourceError::Rights { interface: name.to_owned(), help: super::rights::help() }
    } else {
        SourceError::Live { interface: name.to_owned(), reason }
    }
}
