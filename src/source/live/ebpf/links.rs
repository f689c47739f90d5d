//! The interfaces that the programs are attached to, as they come and go (rtnetlink(7)).

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use libbpf_rs::{Link, Object};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use super::super::interface::{self, Interface};
use super::kernel;
use crate::model::LinkType;

/// `RTMGRP_LINK`: told when an interface comes, goes or changes.
const LINK_NEWS: u32 = 1;

/// What became of an interface.
#[derive(Debug)]
pub(super) enum Change {
    Up(String),
    Down(String),
    Gone(String),
    Refused(String, io::Error),
    /// Its link layer is none that the programs know.
    Unknown(String, String),
}

/// An interface that the programs are attached to.
#[derive(Debug)]
struct Attached {
    index: u32,
    name: String,
    is_up: bool,
    /// Nothing where the kernel refused, or its link layer is not known.
    links: Vec<Link>,
    _promiscuous: Option<kernel::Promiscuous>,
}

/// The programs' links.
#[derive(Debug)]
pub(super) struct Links {
    /// One interface, or all.
    only: Option<String>,
    link: LinkType,
    promiscuous: bool,
    attached: Vec<Attached>,
    news: OwnedFd,
    refusal: Option<io::Error>,
}

impl Links {
    /// None yet.
    pub(super) fn new(only: Option<&str>, link: LinkType, promiscuous: bool) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let news = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(news.as_raw_fd(), &NetlinkAddr::new(0, LINK_NEWS))?;
        let only = only.map(str::to_owned);
        Ok(Self { only, link, promiscuous, attached: Vec::new(), news, refusal: None })
    }

    /// Where news of interfaces come in.
    pub(super) fn news(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }

    /// Whether there were news, which are taken away; what they say is looked up.
    pub(super) fn has_news(&self) -> bool {
        let mut message = [0; 8192];
        let mut is_any = false;
        // Where too many came for the socket it fails, and they are news all the same.
        while !matches!(recv(self.news.as_raw_fd(), &mut message, MsgFlags::empty()), Err(nix::Error::EAGAIN))
        {
            is_any = true;
        }
        is_any
    }

    /// Why no interface could be attached to, once.
    pub(super) fn refusal(&mut self) -> Option<io::Error> {
        let is_none = self.attached.iter().all(|one| one.links.is_empty());
        self.refusal.take().filter(|_| is_none)
    }

    /// Attaches the programs to what is there of these interfaces and was not; what changed.
    pub(super) fn follow(&mut self, object: &Object, interfaces: &[Interface]) -> Vec<Change> {
        let mut changes = Vec::new();
        let only = self.only.clone();
        let is_meant = |name: &str| only.as_deref().is_none_or(|only| only == name);
        self.attached.retain(|one| {
            let stays = interfaces.iter().any(|there| there.index == one.index && there.name == one.name);
            if !stays && only.is_some() {
                changes.push(Change::Gone(one.name.clone()));
            }
            stays
        });
        for there in interfaces.iter().filter(|one| is_meant(&one.name)) {
            if let Some(known) = self.attached.iter_mut().find(|one| one.index == there.index) {
                if known.is_up != there.up && only.is_some() {
                    let change = if there.up { Change::Up } else { Change::Down };
                    changes.push(change(there.name.clone()));
                }
                known.is_up = there.up;
                continue;
            }
            let mut links = Vec::new();
            match link_of(there) {
                Some(link) if only.is_none() || link == self.link => match attach(object, there, link) {
                    Ok(made) => {
                        links = made;
                        if there.up && only.is_some() {
                            changes.push(Change::Up(there.name.clone()));
                        }
                    }
                    Err(error) => {
                        // Kept, so that it is told once: the same refusal would come with all news.
                        self.refusal = Some(io::Error::from(error.kind()));
                        changes.push(Change::Refused(there.name.clone(), error));
                    }
                },
                _ => changes.push(Change::Unknown(there.name.clone(), there.link())),
            }
            let promiscuous = self.promiscuous && only.is_some() && !links.is_empty();
            self.attached.push(Attached {
                index: there.index,
                name: there.name.clone(),
                is_up: there.up,
                links,
                // Frames for others are not there without, and those that are, are told.
                _promiscuous: promiscuous.then(|| kernel::Promiscuous::new(there.index).ok()).flatten(),
            });
        }
        changes
    }
}

/// What frames begin with, where the programs know it.
pub(super) fn link_of(interface: &Interface) -> Option<LinkType> {
    match interface.hardware {
        Some(libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK) => Some(LinkType::ETHERNET),
        Some(number) if interface::is_raw_ip(number) => Some(LinkType::RAW),
        _ => None,
    }
}

/// The programs that fit the interface: what goes out on the loopback comes in there again.
fn attach(object: &Object, interface: &Interface, link: LinkType) -> io::Result<Vec<Link>> {
    let names = match (link, interface.loopback) {
        (LinkType::RAW, _) => &["raw_in", "raw_out"][..],
        (_, true) => &["ethernet_in"],
        (_, false) => &["ethernet_in", "ethernet_out"],
    };
    object
        .progs()
        .filter(|program| names.iter().any(|name| program.name() == *name))
        .map(|program| kernel::attach(&program, interface.index))
        .collect()
}
