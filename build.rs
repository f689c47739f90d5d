//! Before the build: what has to be there is looked for, and what helps is said where it is missing.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_PCAP").is_some() {
        libpcap();
    }
}

/// Fails where libpcap cannot be linked; the linker's own message does not say what to do.
fn libpcap() {
    println!("cargo::rerun-if-env-changed=LIBPCAP_LIBDIR");
    println!("cargo::rerun-if-env-changed=LIBRARY_PATH");
    // Cross builds and other systems have places of their own for libraries.
    let native = env::var("HOST").ok() == env::var("TARGET").ok();
    if !native || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let names = ["libpcap.so", "libpcap.a"];
    let named = env::var_os("LIBPCAP_LIBDIR")
        .is_some_and(|folder| names.iter().any(|name| Path::new(&folder).join(name).exists()));
    if !named && !names.iter().any(|name| linker_finds(name)) && !pkg_config_finds() {
        println!(
            "cargo::error=libpcap cannot be linked: `apt-get install libpcap-dev` brings it \
             (or name its folder in LIBPCAP_LIBDIR); `cargo build --no-default-features` builds without it, \
             and without --filter"
        );
    }
}

/// The `pcap` crate asks it too, and links where it says.
fn pkg_config_finds() -> bool {
    Command::new("pkg-config").args(["--exists", "libpcap"]).status().is_ok_and(|status| status.success())
}

/// Whether the C compiler, which links, finds a library of this file name; it gives the bare name back where not.
/// Without a compiler nothing can be said: then the linker is missing, which cargo says itself.
fn linker_finds(name: &str) -> bool {
    match Command::new("cc").arg(format!("-print-file-name={name}")).output() {
        Ok(output) => Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute(),
        Err(_) => true,
    }
}
