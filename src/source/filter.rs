//! Capture filters in libpcap's syntax: compiled by libpcap, run on the bytes of frames from anywhere.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::SourceError;
use crate::model::LinkType;

/// One instruction of classic BPF: code, jump if true, jump if false, operand.
pub type Instruction = (u16, u8, u8, u32);

/// Whether `expression` is a filter at all, as far as Ethernet goes: to refuse it before anything is read.
///
/// # Errors
/// [`SourceError::Filter`] with libpcap's reason, or that this build has no libpcap.
pub fn check(expression: &str) -> Result<(), SourceError> {
    Filter::new(expression)?.prepare(LinkType::ETHERNET)
}

/// A filter and its programs, one for each link type that was met.
pub struct Filter {
    expression: String,
    programs: BTreeMap<LinkType, Program>,
}

impl Filter {
    /// A filter that is compiled once a link type is known.
    ///
    /// # Errors
    /// [`SourceError::Filter`] where this build has no libpcap.
    pub fn new(expression: &str) -> Result<Self, SourceError> {
        Program::available(expression)?;
        Ok(Self { expression: expression.to_owned(), programs: BTreeMap::new() })
    }

    /// Compiles it for `link`, once.
    ///
    /// # Errors
    /// [`SourceError::Filter`] with libpcap's reason.
    pub fn prepare(&mut self, link: LinkType) -> Result<(), SourceError> {
        self.program(link).map(|_| ())
    }

    /// Whether it accepts a frame. libpcap's `len` is what was captured.
    ///
    /// # Errors
    /// [`SourceError::Filter`] where it does not compile for `link`.
    pub fn accepts(&mut self, link: LinkType, bytes: &[u8]) -> Result<bool, SourceError> {
        self.program(link).map(|program| program.accepts(bytes))
    }

    /// The instructions of classic BPF, for a kernel to run.
    ///
    /// # Errors
    /// [`SourceError::Filter`] where it does not compile for `link`.
    pub fn instructions(&mut self, link: LinkType) -> Result<Vec<Instruction>, SourceError> {
        self.program(link)?.instructions().ok_or_else(|| SourceError::Filter {
            filter: self.expression.clone(),
            reason: "libpcap's program cannot be read".to_owned(),
            link: Some(link),
        })
    }

    fn program(&mut self, link: LinkType) -> Result<&Program, SourceError> {
        match self.programs.entry(link) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(free) => Ok(free.insert(Program::compile(&self.expression, link)?)),
        }
    }
}

#[cfg(feature = "pcap")]
use libpcap::Program;
#[cfg(not(feature = "pcap"))]
use without::Program;

#[cfg(feature = "pcap")]
pub(super) mod libpcap {
    //! Programs by libpcap.

    use pcap::{BpfProgram, Capture, Linktype};

    use super::super::SourceError;
    use super::Instruction;
    use crate::model::LinkType;

    pub(in crate::source) struct Program(BpfProgram);

    impl Program {
        pub(super) fn available(_expression: &str) -> Result<(), SourceError> {
            Ok(())
        }

        pub(super) fn compile(expression: &str, link: LinkType) -> Result<Self, SourceError> {
            Capture::dead(data_link(link)).and_then(|dead| dead.compile(expression, true)).map(Self).map_err(
                |error| SourceError::Filter {
                    filter: expression.to_owned(),
                    reason: reason(error),
                    link: Some(link),
                },
            )
        }

        pub(super) fn accepts(&self, bytes: &[u8]) -> bool {
            self.0.filter(bytes)
        }

        /// The crate keeps the fields to itself but writes them: `code jt jf k`.
        pub(super) fn instructions(&self) -> Option<Vec<Instruction>> {
            let read = |text: String| {
                let mut fields = text.split(' ');
                Some((
                    fields.next()?.parse().ok()?,
                    fields.next()?.parse().ok()?,
                    fields.next()?.parse().ok()?,
                    fields.next()?.parse().ok()?,
                ))
            };
            self.0.get_instructions().iter().map(|one| read(one.to_string())).collect()
        }
    }

    /// What Linux calls raw IP; the constant of the crate is the file's number.
    const DLT_RAW: Linktype = Linktype(12);

    /// libpcap's own words.
    pub(in crate::source) fn reason(error: pcap::Error) -> String {
        match error {
            pcap::Error::PcapError(reason) => reason,
            other => other.to_string(),
        }
    }

    /// libpcap compiles for `DLT_` numbers, files carry `LINKTYPE_` numbers; of those read here only raw IP differs.
    fn data_link(link: LinkType) -> Linktype {
        match link {
            LinkType::RAW | LinkType::RAW_BSD | LinkType(14) => DLT_RAW,
            LinkType(number) => Linktype(i32::try_from(number).unwrap_or(i32::MAX)),
        }
    }
}

#[cfg(not(feature = "pcap"))]
mod without {
    //! What stands in where the build has no libpcap.

    use super::super::SourceError;
    use super::Instruction;
    use crate::model::LinkType;

    /// Never made.
    pub(super) enum Program {}

    impl Program {
        pub(super) fn available(expression: &str) -> Result<(), SourceError> {
            Err(refused(expression))
        }

        pub(super) fn compile(expression: &str, _link: LinkType) -> Result<Self, SourceError> {
            Err(refused(expression))
        }

        pub(super) fn accepts(&self, _bytes: &[u8]) -> bool {
            match *self {}
        }

        pub(super) fn instructions(&self) -> Option<Vec<Instruction>> {
            match *self {}
        }
    }

    fn refused(expression: &str) -> SourceError {
        SourceError::Filter {
            filter: expression.to_owned(),
            reason: "this build has no libpcap; build with the feature `pcap`".to_owned(),
            link: None,
        }
    }
}

#[cfg(all(test, feature = "pcap"))]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_checked_before_anything_is_read() {
        for good in ["", "tcp port 80", "host 10.0.0.1 and not port 22", "vlan 7 and tcp", "ip6"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["tcp prot 80", "port 99999", "(", "host 10.0.0.1\0"] {
            let error = check(bad).unwrap_err().to_string();
            assert!(error.starts_with("cannot use the filter"), "{error}");
        }
    }

    #[test]
    fn every_link_type_that_is_read_takes_a_filter() {
        for link in [0, 1, 12, 14, 101, 108, 113, 228, 229, 276] {
            let mut filter = Filter::new("tcp port 80").unwrap();
            assert!(filter.prepare(LinkType(link)).is_ok(), "{link}");
        }
        let mut filter = Filter::new("ether host 02:00:00:00:00:01").unwrap();
        assert!(matches!(
            filter.prepare(LinkType::RAW),
            Err(SourceError::Filter { link: Some(LinkType::RAW), .. })
        ));
    }

    #[test]
    fn a_program_can_be_given_to_a_kernel() {
        let program = Filter::new("").unwrap().instructions(LinkType::RAW).unwrap();
        assert!(matches!(program[..], [(6, 0, 0, 1..)]), "return all: {program:?}");
        let program = Filter::new("tcp port 80").unwrap().instructions(LinkType::ETHERNET).unwrap();
        assert!(program.len() > 10 && program.iter().any(|&(.., operand)| operand == 80));
    }

    #[test]
    fn programs_see_the_bytes_of_their_link_type() {
        let mut ip = [0; 40];
        (ip[0], ip[3], ip[9], ip[23]) = (0x45, 40, 6, 80);
        let ethernet = [&[0; 12], &[8, 0][..], &ip].concat();
        let mut filter = Filter::new("tcp dst port 80").unwrap();
        assert!(filter.accepts(LinkType::ETHERNET, &ethernet).unwrap());
        assert!(filter.accepts(LinkType::RAW, &ip).unwrap());
        assert!(!filter.accepts(LinkType::RAW, &ethernet).unwrap());
        assert!(!filter.accepts(LinkType::ETHERNET, &ethernet[..30]).unwrap());
    }
}

#[cfg(all(test, not(feature = "pcap")))]
mod tests_without {
    use super::*;

    #[test]
    fn a_build_without_libpcap_says_so() {
        let error = check("tcp port 80").unwrap_err().to_string();
        assert!(error.contains("this build has no libpcap"), "{error}");
    }
}
